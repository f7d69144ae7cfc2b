"""How frames are chosen, checked before any work starts."""

import re
from dataclasses import dataclass
from typing import Any, cast, get_args

from pipeline_lib.config import FrameSegments
from pipeline_lib.errors import ConfigError, did_you_mean

_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")
_LARGEST_SIDE = 16_384
_LARGEST_FPS = 1000  # no camera in use takes more; every wanted time costs, frame or not


@dataclass(frozen=True)
class ChoiceOptions:
    """How frames are chosen.

    Attributes:
        k: Frames that are wanted.
        segments: How the timeline is cut, one frame a part: see ``metrics.frame_choice``.
        fps: Frames a second among which is chosen.
        size: Width and height that chosen frames are squashed to, whatever their shape; ``None``
            leaves them as they are.

    Raises:
        ConfigError: One of them is out of range.
    """

    k: int = 4
    segments: FrameSegments = "equal"
    fps: float = 4.0
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k = {self.k}: at least one frame has to be chosen.")
        if not 0 < self.fps <= _LARGEST_FPS:
            raise ConfigError(
                f"fps = {self.fps:g}: it has to be greater than 0 and at most {_LARGEST_FPS}."
            )
        known = get_args(FrameSegments)
        if self.segments not in known:
            hint = did_you_mean(self.segments, known)
            raise ConfigError(f"segments = {self.segments!r} is not known.", hint=hint)
        if self.size and not all(0 < side <= _LARGEST_SIDE for side in self.size):
            width, height = self.size
            raise ConfigError(f"size {width}x{height}: each side is 1 to {_LARGEST_SIDE} pixels.")

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "k": self.k,
            "segments": self.segments,
            "fps": self.fps,
            "size": list(self.size) if self.size else None,
        }


def parse_options(k: int, segments: str, fps: float, size: str | None) -> ChoiceOptions:
    """Options as a command line states them; ``size`` is written ``1920x1080``.

    Raises:
        ConfigError: One of them is out of range or not written like that.
    """
    side = None if size is None else _parse_size(size)
    return ChoiceOptions(k, cast(FrameSegments, segments), fps, side)


def _parse_size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if not found:
        raise ConfigError(
            f"--size {text!r} is not WIDTHxHEIGHT.",
            hint="Whole numbers of pixels with an x between them: --size 1920x1080",
        )
    return int(found[1]), int(found[2])
