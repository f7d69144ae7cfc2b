"""What a backbone offers to extraction and mining, and what all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline_lib.runtime.device import choose_precision, precision_name, to_device
from pipeline_lib.video.scaling import Resize


@dataclass(frozen=True)
class WeightsSource:
    """Where a network's weights came from.

    Attributes:
        id: What the user called them.
        sha256: SHA-256 of the weights file; ``untrained-…`` for random weights.
        trained: False for random weights.
    """

    id: str
    sha256: str
    trained: bool


@dataclass(frozen=True)
class Preprocess:
    """From a decoded frame to a network's input.

    Attributes:
        resize: Scaling and cropping, done where the frame is decoded.
        mean: Subtracted from RGB in [0, 1], per channel.
        std: Divided by after that, per channel.
    """

    resize: Resize
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Placement:
    """Where and how a backbone runs.

    Attributes:
        device: The torch device.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        batch_size: Samples in one forward pass.
        scan: What runs a state space model's recurrence, as ``runtime.scan`` names it.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "fp32"
    batch_size: int = 32
    scan: str = "auto"


class Backbone(ABC):
    """A frozen network that turns samples into features.

    A sample is what one feature is made of: a frame uint8 [H, W, 3] where ``frames_per_sample``
    is 1, else that many frames of one clip, uint8 [T, H, W, 3].

    Attributes:
        dim: Length D of one feature.
        frames_per_sample: Frames in one sample.
        preprocess: How frames are scaled and normalised.
        batch_size: Samples in one forward pass.
        weights_id: What the user called the weights.
        weights_sha256: SHA-256 of the weights file; a name made from the tensors when untrained.
        trained: False for random weights.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        identity: JSON-able facts that change a feature: network, weights, preprocessing,
            precision, and a version number raised when the code changes its results.

    Args:
        network: What the network is called in ``identity``.
        version: Raised whenever the subclass changes its results.
        weights: Where the weights came from.
        preprocess: How frames are scaled and normalised.
        placement: Where and how it runs.
    """

    dim: int
    frames_per_sample: int = 1

    def __init__(
        self,
        network: str,
        version: int,
        weights: WeightsSource,
        preprocess: Preprocess,
        placement: Placement,
    ) -> None:
        self.device = placement.device
        self.dtype = choose_precision(placement.precision, placement.device)
        self.batch_size = placement.batch_size
        self.precision = precision_name(self.dtype)
        self.preprocess = preprocess
        self.weights_id = weights.id
        self.weights_sha256 = weights.sha256
        self.trained = weights.trained
        self.identity: Mapping[str, Any] = {
            "network": network,
            "version": version,
            "weights_sha256": weights.sha256,
            "precision": self.precision,
            "preprocess": {
                **asdict(preprocess.resize),
                "mean": list(preprocess.mean),
                "std": list(preprocess.std),
            },
        }
        self._mean = 255 * torch.tensor(preprocess.mean, device=self.device)
        self._std = 255 * torch.tensor(preprocess.std, device=self.device)

    @property
    def resize(self) -> Resize:
        """How a frame is scaled and cropped before :meth:`encode`."""
        return self.preprocess.resize

    def encode(self, samples: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed samples of one shape, scaled and cropped by ``resize``.

        Features are not normalised. Every forward pass has exactly ``batch_size`` rows (the last
        one is filled up and cut again): with the shape fixed, a row's bits do not depend on the
        rows beside it, so a video's features are the same whatever was extracted together with
        it. May be called from several threads.

        Args:
            samples: N arrays uint8 [H, W, 3], or [T, H, W, 3] for a clip network.

        Returns:
            float32 [N, D].
        """
        rows = np.empty((len(samples), self.dim), dtype=np.float32)
        for start in range(0, len(samples), self.batch_size):
            part = list(samples[start : start + self.batch_size])
            filled = np.stack(part + part[-1:] * (self.batch_size - len(part)))
            rows[start : start + len(part)] = self._embed(filled)[: len(part)]
        return rows

    def _embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            features = self.forward(self._normalised(to_device(pixels, self.device)))
            array: NDArray[np.float32] = features.float().cpu().numpy()
        return array

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels [B, …, H, W, 3] to [B, 3, …, H, W], by strides alone: channels-last memory."""
        out = torch.empty(pixels.shape, dtype=self.dtype, device=self.device)
        # On the CPU sample by sample: a whole batch in fp32 is the largest array there would be.
        parts = zip(out, pixels, strict=True) if self.device.type == "cpu" else [(out, pixels)]
        for part, sample in parts:
            part.copy_(sample.float().sub_(self._mean).div_(self._std))
        return out.movedim(-1, 1)

    @abstractmethod
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features [B, D] of normalised pixels [B, 3, H, W], or [B, 3, T, H, W] for clips."""


class BackboneLoader(Protocol):
    """Builds one backbone from its section of ``extract``."""

    def __call__(self, config: Any, placement: Placement) -> Backbone:
        """Load the network.

        Raises:
            ConfigError: The section names what does not exist or does not fit together.
            WeightsError: Weights are missing or unfit.
        """
