"""CLIP image towers from open_clip (https://github.com/mlfoundations/open_clip)."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline_lib.backbones.open_clip_weights import LoadedClip, load_open_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.device import choose_precision
from pipeline_lib.video.pyav import Resize

# Raised whenever this file changes the features it gives for the same frames and weights.
VERSION = 1


class ClipBackbone:
    """The image tower of a CLIP; the text tower stays reachable through ``model``.

    See :class:`pipeline_lib.backbones.base.Backbone` for the attributes.
    """

    def __init__(
        self, loaded: LoadedClip, *, device: torch.device, precision: str, batch_size: int
    ) -> None:
        dtype = choose_precision(precision, device)
        preprocess = loaded.model.visual.preprocess_cfg
        self.model = loaded.model.to(device)
        self.tokenizer = loaded.tokenizer
        self.batch_size = batch_size
        self.weights_id = loaded.weights_id
        self.weights_sha256 = loaded.weights_sha256
        self.trained = loaded.trained
        self.precision = "bf16" if dtype == torch.bfloat16 else "fp32"
        self.resize = _resize(preprocess)
        # Only the image tower is cast: prompts are learned through the text tower in fp32.
        self._visual = self.model.visual.to(dtype)
        self._device = device
        self._dtype = dtype
        self._mean = 255 * torch.tensor(preprocess["mean"], device=device).view(1, 3, 1, 1)
        self._std = 255 * torch.tensor(preprocess["std"], device=device).view(1, 3, 1, 1)
        self.dim = int(self._forward(self._blank()).shape[1])
        self.identity: dict[str, Any] = {
            "network": "open_clip image tower",
            "version": VERSION,
            "weights_sha256": self.weights_sha256,
            "precision": self.precision,
            "preprocess": {
                "size": self.resize.size,
                "resize_mode": self.resize.mode,
                "interpolation": self.resize.interpolation,
                "mean": list(preprocess["mean"]),
                "std": list(preprocess["std"]),
            },
        }

    def encode(self, frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed frames scaled by ``resize``: N arrays uint8 [H, W, 3] to float32 [N, D].

        The projected embeddings are not normalised. Every forward pass has exactly ``batch_size``
        rows (the last one is filled up and cut again): with the shape fixed, a row's bits do not
        depend on the rows beside it, so a video's features are the same whatever was extracted
        together with it.
        """
        rows = np.empty((len(frames), self.dim), dtype=np.float32)
        for start in range(0, len(frames), self.batch_size):
            crops = [self._centre(frame) for frame in frames[start : start + self.batch_size]]
            filled = np.stack(crops + crops[-1:] * (self.batch_size - len(crops)))
            rows[start : start + len(crops)] = self._forward(filled)[: len(crops)]
        return rows

    def _forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
            normalised = (pixels.float() - self._mean) / self._std
            embedded: torch.Tensor = self._visual(normalised.to(self._dtype))
            array: NDArray[np.float32] = embedded.float().cpu().numpy()
        return array

    def _centre(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        size = self.resize.size
        height, width = frame.shape[:2]
        top, left = round((height - size) / 2), round((width - size) / 2)
        return frame[top : top + size, left : left + size]

    def _blank(self) -> NDArray[np.uint8]:
        return np.zeros((1, self.resize.size, self.resize.size, 3), dtype=np.uint8)


def _resize(preprocess: dict[str, Any]) -> Resize:
    size = preprocess["size"]
    if isinstance(size, (tuple, list)):
        if len(set(size)) != 1:
            raise ConfigError(f"A CLIP with a non-square input {tuple(size)} is not supported.")
        size = size[0]
    mode = preprocess["resize_mode"]
    if mode not in ("shortest", "squash"):
        raise ConfigError(
            f"A CLIP preprocessed with resize_mode {mode!r} is not supported.",
            hint="Supported: shortest, squash.",
        )
    # open_clip evaluates with bicubic unless bilinear is named; 'random' concerns training only.
    interpolation: Literal["bicubic", "bilinear"] = (
        "bilinear" if preprocess["interpolation"] == "bilinear" else "bicubic"
    )
    return Resize(int(size), mode, interpolation)


def load_clip(
    config: ClipConfig, *, device: torch.device, precision: str = "fp32", batch_size: int = 32
) -> ClipBackbone:
    """Load the CLIP that ``config`` names.

    Args:
        config: Model and weights.
        device: Where it runs.
        precision: ``auto``, ``fp32`` or ``bf16``, for the image tower.
        batch_size: Frames in one forward pass.

    Raises:
        ConfigError: Architecture, tag or preprocessing unknown or at odds.
        WeightsError: The weights are missing or do not fit.
    """
    return ClipBackbone(
        load_open_clip(config), device=device, precision=precision, batch_size=batch_size
    )
