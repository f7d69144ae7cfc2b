"""Pixels: outlines of the shapes, objects, and the textured ground they stand on.

Lengths are fractions of the picture's height and positions count from its centre, so a scene looks
the same at every size.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

# cv2 draws at fractions of a pixel when coordinates are fixed-point numbers with this many bits.
_SHIFT = 6
_ARC_POINTS = 48


@dataclass(frozen=True)
class Placed:
    """One object in one frame.

    Attributes:
        shape: A name in ``vocabulary.SHAPES``.
        rgb: Its colour.
        x: Centre, to the right of the picture's centre.
        y: Centre, below the picture's centre.
        radius: Of the circle around its outline.
        angle: Rotation in radians.
    """

    shape: str
    rgb: tuple[int, int, int]
    x: float
    y: float
    radius: float
    angle: float


def draw(image: Image, placed: Placed) -> None:
    """Paint one object onto ``image`` (uint8 [H, W, 3], RGB), antialiased, in place."""
    height, width = image.shape[:2]
    cos, sin = np.cos(placed.angle), np.sin(placed.angle)
    turn = np.array([[cos, sin], [-sin, cos]]) * placed.radius * height
    centre = np.array([width / 2 + placed.x * height, height / 2 + placed.y * height]) - 0.5
    contours = [
        np.round((outline @ turn + centre) * (1 << _SHIFT)).astype(np.int32)
        for outline in _outlines(placed.shape)
    ]
    cv2.fillPoly(image, contours, placed.rgb, lineType=cv2.LINE_AA, shift=_SHIFT)


def ground(
    rng: np.random.Generator, height: int, width: int, octaves: tuple[int, ...] = (3, 7, 18)
) -> Image:
    """A muted random texture, uint8 [height, width, 3]: blotches of several sizes, little colour.

    Args:
        rng: Where the texture comes from.
        height: Pixels.
        width: Pixels.
        octaves: Blotches across the height, from coarse to fine.
    """
    base = rng.uniform(75, 165) + rng.uniform(-14, 14, size=3)
    texture = np.full((height, width, 3), base, dtype=np.float32)
    for cells in octaves:
        grid = rng.normal(0, 1, (cells + 1, round(cells * width / height) + 1, 1))
        tint = rng.normal(0, 0.25, (*grid.shape[:2], 3))
        strength = rng.uniform(3, 13)
        blotches = ((grid + tint) * strength).astype(np.float32)
        texture += cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(texture, 45, 195).astype(np.uint8)


@cache
def _outlines(shape: str) -> tuple[Points, ...]:
    """Closed contours [n, 2] within the unit circle; a second contour cuts a hole."""
    outlines: dict[str, tuple[Points, ...]] = {
        "circle": (_arc(0, 2 * np.pi) * 0.92,),
        "ring": (_arc(0, 2 * np.pi), _arc(0, 2 * np.pi) * 0.52),
        "square": (_regular(4, (1.0,)) @ _rotation(np.pi / 4) * 1.08,),
        "triangle": (_regular(3, (1.1,)) + np.array([0, 0.2]),),
        "star": (_regular(10, (1.1, 0.45)),),
        "cross": (_cross(),),
        "heart": (_heart(),),
        "moon": (_moon(),),
    }
    return outlines[shape]


def _rotation(angle: float) -> Points:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _arc(start: float, end: float) -> Points:
    turn = np.linspace(start, end, _ARC_POINTS)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _regular(corners: int, radii: tuple[float, ...]) -> Points:
    """A polygon whose corners lie at ``radii`` in turn, the first one on top."""
    turn = -np.pi / 2 + 2 * np.pi * np.arange(corners) / corners
    radius = np.resize(np.array(radii), corners)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def _cross(arm: float = 0.33) -> Points:
    quarter = np.array([[-arm, -1.0], [arm, -1.0], [arm, -arm]])
    return np.concatenate([quarter @ _rotation(k * np.pi / 2) for k in range(4)])


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, _ARC_POINTS, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y - 2.5], axis=1) / 16


def _moon() -> Points:
    tip = 0.3 * np.pi
    outer = _arc(tip, 2 * np.pi - tip)
    # The inner edge is an arc around (0.62, 0) that meets the outer one at both tips.
    offset = outer[0] - np.array([0.62, 0])
    at_tip = np.arctan2(offset[1], offset[0])
    inner = np.hypot(*offset) * _arc(2 * np.pi - at_tip, at_tip) + np.array([0.62, 0])
    return np.concatenate([outer, inner]) - np.array([0.1, 0])
