"""The frames of one scene: slowly changing ground, grey clutter, objects, and an uneven camera."""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from pipeline_lib.demo.drawing import Image, Placed, draw, ground
from pipeline_lib.demo.scenes import Scene
from pipeline_lib.demo.vocabulary import SHAPES
from pipeline_lib.runtime.seeding import numpy_stream

# The texture is larger than the picture by this part of its height, to drift under it.
_MARGIN = 0.25


class Film:
    """Everything of one scene that is drawn at random but stays the same from frame to frame."""

    def __init__(self, scene: Scene, seed: int, width: int, height: int) -> None:
        rng = numpy_stream(seed, "demo film", scene.stem)
        self._scene = scene
        self._size = (width, height)
        self._margin = int(_MARGIN * height)
        large = (height + 2 * self._margin, width + 2 * self._margin)
        self._grounds = ground(rng, *large), ground(rng, *large)
        self._drift = rng.uniform(0.05, 0.12, 2), rng.uniform(0, 2 * np.pi, 2)
        self._clutter = [clutter(rng) for _ in range(rng.integers(2, 6))]
        self._sway = rng.uniform(0, 2 * np.pi, len(self._clutter))
        self._gain = rng.uniform(0.85, 1.12)
        self._flicker = rng.uniform(0.0, 0.08), rng.uniform(0.2, 0.6)
        self._blur = rng.uniform(0.5, 1.1) if rng.random() < 0.3 else 0.0

    def frames(self) -> Iterator[Image]:
        """uint8 [height, width, 3], RGB, one for each presentation time."""
        for time in self._scene.timing.times_s:
            yield self.frame(time)

    def frame(self, time: Fraction) -> Image:
        """The frame presented at ``time``."""
        image = self._ground_at(float(time))
        for speck, sway in zip(self._clutter, self._sway, strict=True):
            offset = 0.03 * np.sin(0.5 * float(time) + sway)
            draw(image, Placed(speck.shape, speck.rgb, speck.x + offset, speck.y, speck.radius, 0))
        for appearance in (*self._scene.distractors, *self._scene.events):
            if appearance.visible(time):
                draw(image, appearance.placed(time))
        return self._through_camera(image, float(time))

    def _ground_at(self, time: float) -> Image:
        width, height = self._size
        speed, phase = self._drift
        x, y = (self._margin * (1 + 0.9 * np.sin(speed * time + phase))).astype(int)
        first, second = (g[y : y + height, x : x + width] for g in self._grounds)
        share = 0.5 + 0.5 * np.cos(np.pi * time / float(self._scene.duration_s))
        return np.asarray(cv2.addWeighted(first, share, second, 1 - share, 0), dtype=np.uint8)

    def _through_camera(self, image: Image, time: float) -> Image:
        depth, rate = self._flicker
        gain = self._gain * (1 + depth * np.sin(rate * time))
        seen = cv2.convertScaleAbs(image, alpha=gain)
        if self._blur:
            seen = cv2.GaussianBlur(seen, (0, 0), self._blur)
        return np.asarray(seen, dtype=np.uint8)


def clutter(rng: np.random.Generator) -> Placed:
    """A small neutral grey thing that means nothing, anywhere in the picture."""
    grey = int(rng.uniform(60, 185))
    shape = SHAPES[rng.integers(len(SHAPES))]
    x, y = rng.uniform(-0.6, 0.6), rng.uniform(-0.45, 0.45)
    return Placed(shape, (grey, grey, grey), x, y, rng.uniform(0.02, 0.05), 0.0)
