"""Frames as tensors: scaling and normalising them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline_lib.video.imagenet import IMAGENET_MEAN, IMAGENET_STD

_LEVELS = 255


def as_frames(clip: NDArray[np.uint8]) -> Tensor:
    """uint8 [T, H, W, 3] as uint8 [T, 3, H, W], of its own where it could not be written to."""
    owned = clip if clip.flags.writeable else clip.copy()
    return torch.from_numpy(owned).permute(0, 3, 1, 2)


def scaled(frames: Tensor, height: int, width: int) -> Tensor:
    """Bilinear and antialiased, of uint8 [T, 3, H, W]."""
    if frames.shape[2:] == (height, width):
        return frames
    size = (height, width)
    return functional.interpolate(frames, size=size, mode="bilinear", antialias=True)


def normalised(frames: Tensor) -> Tensor:
    """uint8 [T, 3, S, S] as float32 [3, T, S, S] with the mean and deviation of ImageNet."""
    shape = (3, 1, 1, 1)
    mean, std = (torch.tensor(of).view(shape) for of in (IMAGENET_MEAN, IMAGENET_STD))
    planes = torch.empty((3, len(frames), *frames.shape[2:]))
    planes.copy_(frames.transpose(0, 1))
    return planes.sub_(mean * _LEVELS).div_(std * _LEVELS)
