"""Single pictures like the frames of the demo videos, as the demo CLIP sees them."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline_lib.demo.drawing import Image, Placed, draw, ground
from pipeline_lib.demo.filming import clutter
from pipeline_lib.demo.scenes import RADIUS, varied_colour
from pipeline_lib.demo.vocabulary import COLOURS, SHAPES, Kind

KINDS: tuple[Kind, ...] = tuple(Kind(colour, shape) for colour in COLOURS for shape in SHAPES)

# Stills are drawn at the height of a video and shrunk, so that they look like its frames do.
_DRAWN = 120
_GROUNDS = 400


@dataclass(frozen=True)
class StillMaker:
    """Draws stills from one random stream.

    Attributes:
        rng: Chooses everything in them.
        size: Their side in pixels.
        grounds: Textures that are mirrored and mixed anew for every still.
    """

    rng: np.random.Generator
    size: int
    grounds: tuple[Image, ...]

    @classmethod
    def of(cls, rng: np.random.Generator, size: int) -> "StillMaker":
        """A maker with textures of its own."""
        return cls(rng, size, tuple(ground(rng, _DRAWN, _DRAWN) for _ in range(_GROUNDS)))

    def still(self, kind: Kind | None) -> Image:
        """A picture of ``kind``, or of the bare ground: uint8 [size, size, 3], RGB."""
        rng = self.rng
        share = rng.random()
        mixed = cv2.addWeighted(self._ground(), share, self._ground(), 1 - share, 0)
        picture: Image = np.asarray(mixed, dtype=np.uint8)
        for _ in range(rng.integers(2, 6)):
            draw(picture, clutter(rng))
        if kind is not None:
            draw(picture, self._placed(kind))
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        return self._through_camera(picture)

    def _ground(self) -> Image:
        turned = np.rot90(self.grounds[self.rng.integers(_GROUNDS)], int(self.rng.integers(4)))
        return np.ascontiguousarray(turned[:, :: 1 - 2 * self.rng.integers(2)])

    def _placed(self, kind: Kind) -> Placed:
        rng = self.rng
        x, y = rng.uniform(-0.26, 0.26, 2)
        colour = varied_colour(rng, kind.colour)
        return Placed(kind.shape, colour, x, y, rng.uniform(*RADIUS), rng.uniform(-0.35, 0.35))

    def _through_camera(self, picture: Image) -> Image:
        rng = self.rng
        seen = cv2.convertScaleAbs(picture, alpha=rng.uniform(0.78, 1.2))
        if rng.random() < 0.4:
            seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.4, 1.2))
        # Video stores colour at half the resolution.
        planes = cv2.cvtColor(seen, cv2.COLOR_RGB2YUV_I420)
        seen = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
        small = cv2.resize(seen, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.asarray(small, dtype=np.uint8)
