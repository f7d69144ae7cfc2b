"""Random erasing (https://arxiv.org/abs/1708.04896): noise in a box of a clip."""

import math

import numpy as np
import torch
from torch import Tensor

_LEAST, _MOST = 0.02, 1 / 3
_NARROWEST = 0.3
_ATTEMPTS = 10


def erase_box(clip: Tensor, rng: np.random.Generator) -> None:
    """Fill a random box with noise, the same box in every frame and other noise in each.

    The box is 2 to 33 % of the frame, between 3:10 and 10:3; where ten attempts find none that fits
    into the frame, there is none.

    Args:
        clip: float32 [3, T, H, W], normalised; changed in place.
        rng: Of this clip.
    """
    height, width = clip.shape[2:]
    for _ in range(_ATTEMPTS):
        area = rng.uniform(_LEAST, _MOST) * height * width
        aspect = math.exp(rng.uniform(math.log(_NARROWEST), -math.log(_NARROWEST)))
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < tall < height and 0 < wide < width:
            top = int(rng.integers(height - tall, endpoint=True))
            left = int(rng.integers(width - wide, endpoint=True))
            noise = rng.standard_normal((*clip.shape[:2], tall, wide), dtype=np.float32)
            clip[:, :, top : top + tall, left : left + wide] = torch.from_numpy(noise)
            return
