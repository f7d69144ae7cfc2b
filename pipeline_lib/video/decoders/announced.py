"""Other libraries' decoders, held against what the container's packets announce.

Libraries differ in what they get wrong: frames that are hidden by an edit list, a codec they do
not know, a stop at the first fault that looks like the end. The packets say how many frames there
are and when each is shown; a library that says otherwise is refused, never believed.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.video.announcement import Announcement
from pipeline_lib.video.scaling import Resize, resize_image

# Libraries give seconds as floating point, some rounded to milliseconds.
_ROUNDING_S = 1.5e-3


def library(name: str, remedy: str) -> Any:
    """Import an optional library.

    Raises:
        ConfigError: It is not installed or does not load; ``remedy`` says what to do.
    """
    try:
        return import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        sys.modules.pop(name, None)
        raise ConfigError(
            f"decoder {name}: the library does not load ({str(error).splitlines()[0]}).",
            hint=remedy,
        ) from None


@dataclass
class AnnouncedFrame:
    """One presented frame; its picture is taken from the library when first asked for."""

    pts_s: float
    source_index: int
    source: "AnnouncedDecoder"
    image: NDArray[np.uint8] | None = field(default=None, repr=False)

    def rgb(self, resize: Resize | None) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], upright, contiguous."""
        if self.image is None:
            self.image = self.source.picture(self.source_index)
        return resize_image(self.image, resize) if resize else self.image


class AnnouncedDecoder(ABC):
    """A library that hands out one frame after the other.

    Frames are numbered and timed by the packets. The library is always at least one frame behind
    what has been handed out, so that only those pictures are converted that someone wants.

    Args:
        version: Library and version.
        announced: What the packets say.
    """

    def __init__(self, version: str, announced: Announcement) -> None:
        self.path = announced.path
        self.version = version
        self.errors = 0
        self.frames = 0
        self.start_s: float | None = None
        self.damage = announced.layout
        self._announced = announced
        self._reached = 0
        self._first_s: float | None = None

    @property
    def duration_s(self) -> float:
        """Seconds from the first presented frame to the end of the last one so far."""
        return self._announced.end_s(self.frames)

    @property
    def average_fps(self) -> float | None:
        """Presented frames per second of duration so far; ``None`` before the first frame."""
        return self.frames / self.duration_s if self.duration_s else None

    def __iter__(self) -> Iterator[AnnouncedFrame]:
        announced = self._announced
        self.start_s = float(announced.times[0])
        for number in range(len(announced.times)):
            self._pass_over(number - 1)
            self.frames = number + 1
            frame = AnnouncedFrame(announced.pts_s(number), number, self)
            yield frame
        # Behind the last frame nothing may come, and asking leaves that frame behind.
        if frame.image is None:
            frame.image = self.picture(number)
        if self._take():
            announced.refuse(self.version, f"gives more than {self._reached} frames")

    def picture(self, number: int) -> NDArray[np.uint8]:
        """The picture of a frame that has not been passed over.

        Raises:
            VideoError: The library has no such frame, or shows another one there.
            ValueError: The frame has been passed over: a later one was asked for before.
        """
        if number < self._reached:
            raise ValueError(f"Frame {number} has been passed over.")
        self._pass_over(number)
        self._next()
        return self._convert()

    @abstractmethod
    def _take(self) -> bool:
        """Go to the next frame; ``False`` behind the last one."""

    @abstractmethod
    def _time_s(self) -> float | None:
        """When the library says that this frame is shown; ``None`` where it does not say."""

    @abstractmethod
    def _convert(self) -> NDArray[np.uint8]:
        """The picture of this frame: uint8 [H, W, 3], RGB, upright, contiguous."""

    def _pass_over(self, number: int) -> None:
        while self._reached < number:
            self._next()

    def _next(self) -> None:
        announced = self._announced
        if not self._take():
            announced.refuse(
                self.version, f"stops after {self._reached} of {len(announced.times)} frames"
            )
        time_s = self._time_s()
        if time_s is not None:
            self._first_s = time_s if self._first_s is None else self._first_s
            self._check_time(self._reached, time_s - self._first_s)
        self._reached += 1

    def _check_time(self, number: int, time_s: float) -> None:
        announced, expected_s = self._announced, self._announced.pts_s(number)
        if abs(time_s - expected_s) > _ROUNDING_S + announced.tick_s:
            announced.refuse(
                self.version,
                f"shows frame {number} at {time_s:.3f} s, where the packets say {expected_s:.3f} s",
            )


def first_line(error: Exception) -> str:
    """What an error of a library says, shortened."""
    return str(error).strip().split("\n")[0][:120]
