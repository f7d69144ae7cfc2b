"""From a decoded frame to the RGB pixels a network takes: one call of swscale."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from pipeline_lib.errors import VideoError

# No picture that is watched is larger; what a damaged header declares may be.
MAX_SIDE = 16_384
MAX_PIXELS = MAX_SIDE * MAX_SIDE // 2

# Exact rounding and full chroma: the same pixels on every CPU, and none of swscale's green tint.
_SCALE_FLAGS = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
_FILTERS = {"bicubic": Interpolation.BICUBIC, "bilinear": Interpolation.BILINEAR}


@dataclass(frozen=True)
class Resize:
    """How a frame is scaled, and what is cut out of it.

    Attributes:
        size: Pixels.
        mode: ``shortest`` scales the shorter side to ``size`` and keeps the aspect ratio;
            ``squash`` scales both sides to ``size``.
        interpolation: ``bicubic`` or ``bilinear``, both antialiased when shrinking.
        crop: Side of the centred square that is kept after scaling; ``None`` keeps all.
    """

    size: int
    mode: Literal["shortest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    crop: int | None = None

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after scaling; the long side is truncated, as torchvision does."""
        if self.mode == "squash":
            return self.size, self.size
        if width <= height:
            return self.size, int(self.size * height / width)
        return int(self.size * width / height), self.size

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The centred square of a scaled, upright image [H, W, 3]; a view."""
        if self.crop is None:
            return image
        height, width = image.shape[:2]
        top, left = round((height - self.crop) / 2), round((width - self.crop) / 2)
        return image[top : top + self.crop, left : left + self.crop]


def to_rgb(raw: VideoFrame, resize: Resize | None, turns: int = 0) -> NDArray[np.uint8]:
    """Convert, scale, turn upright and crop a decoded frame.

    Args:
        raw: The decoder's frame.
        resize: ``None`` keeps full resolution.
        turns: Quarter turns counter-clockwise that bring the picture upright.

    Returns:
        uint8 [H, W, 3], contiguous.

    Raises:
        VideoError: The scaled picture would be absurdly large (a picture of 16000 x 2 pixels
            whose shorter side is to be 224).
    """
    width, height = resize.target(raw.width, raw.height) if resize else (raw.width, raw.height)
    if not 0 < width * height <= MAX_PIXELS:
        raise VideoError(
            f"pictures of {raw.width} x {raw.height} pixels cannot be scaled to {width} x {height}",
            reason="absurd_size",
        )
    scaling = _FILTERS[resize.interpolation if resize else "bicubic"]
    unknown = raw.color_range == ColorRange.UNSPECIFIED
    converted = raw.reformat(
        width=width,
        height=height,
        format="rgb24",
        interpolation=scaling | _SCALE_FLAGS,
        src_color_range=None if unknown else raw.color_range,
        threads=1,
    )
    upright = np.rot90(np.asarray(converted.to_ndarray(), dtype=np.uint8), turns)
    return np.ascontiguousarray(resize.cut(upright) if resize else upright)


def resize_image(image: NDArray[np.uint8], resize: Resize) -> NDArray[np.uint8]:
    """Scale and crop an RGB image [H, W, 3] the way frames are scaled while decoding."""
    return to_rgb(VideoFrame.from_ndarray(image, format="rgb24"), resize)
