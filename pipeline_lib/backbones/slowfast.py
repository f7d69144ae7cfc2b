"""SlowFast R50 8x8 trained on Kinetics-400: one feature a clip."""

from dataclasses import replace

import torch

from pipeline_lib.backbones.base import Backbone, Placement, Preprocess, WeightsSource
from pipeline_lib.backbones.weight_files import PublishedFile, load_weights
from pipeline_lib.config import SlowFastConfig
from pipeline_lib.networks.slowfast import DIM, FRAMES, SlowFast, fold_batch_norm
from pipeline_lib.video.scaling import Resize

PUBLISHED = {
    "kinetics400": PublishedFile(
        "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R50.pyth",
        "Apache-2.0",
        megabytes=138,  # its publisher states no hash
    )
}
# Raised whenever this file changes the features it gives for the same frames and weights.
VERSION = 1
_SIZE = 256
_RESIZES = {
    "crop": Resize(_SIZE, "shortest", "bilinear", crop=_SIZE),
    "full": Resize(_SIZE, "shortest", "bilinear"),
    "squash": Resize(_SIZE, "squash", "bilinear"),
}
_MEAN = (0.45, 0.45, 0.45)
_STD = (0.225, 0.225, 0.225)


class SlowFastBackbone(Backbone):
    """SlowFast without its classification layer; a sample is a clip of 32 frames.

    Which frames of a clip those are, :func:`pipeline_lib.networks.slowfast.fast_indices` says;
    the network itself takes 8 of them into its slow pathway.

    Args:
        network: With its published weights loaded.
        weights: Where they came from.
        resize: How frames are scaled.
        placement: Where and how it runs.
    """

    dim = DIM
    frames_per_sample = FRAMES

    def __init__(
        self, network: SlowFast, weights: WeightsSource, resize: Resize, placement: Placement
    ) -> None:
        preprocess = Preprocess(resize, _MEAN, _STD)
        super().__init__("SlowFast R50 8x8", VERSION, weights, preprocess, placement)
        fold_batch_norm(network)
        # Samples come with their channels last; weights alike spare every convolution a copy.
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.network = network.to(self.device, self.dtype)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features [B, 2304], slow before fast, of pixels [B, 3, 32, H, W]."""
        features: torch.Tensor = self.network(pixels)
        return features


def load_slowfast(config: SlowFastConfig, placement: Placement) -> SlowFastBackbone:
    """Load SlowFast R50 with the weights and the framing of ``config``.

    ``config.batch_size`` clips are one forward pass, whatever ``placement`` says for frames.

    Raises:
        WeightsError: The weights are missing or do not fit.
    """
    network, source = load_weights(
        SlowFast, config.weights, PUBLISHED, section="extract.slowfast", seed=config.seed
    )
    placement = replace(placement, batch_size=config.batch_size)
    return SlowFastBackbone(network, source, _RESIZES[config.frame], placement)
