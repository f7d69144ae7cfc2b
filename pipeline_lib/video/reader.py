"""The one reader every stage uses: which frame is shown at time t, and its pixels.

Times are seconds since the first presented frame, so 0 is what a player shows first, also in files
whose container clock starts elsewhere. The frame at t is the last one whose presentation time is
not after t. One frame is kept back, so memory does not grow with the length of the video.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.video.decoders import DECODERS
from pipeline_lib.video.decoders.base import Damage, DecodedFrame, Decoder, SparseDecoder, Wanted
from pipeline_lib.video.frames import Frames
from pipeline_lib.video.scaling import Resize

# Container clocks round; a frame this little after t still counts as shown at t.
TIME_TOLERANCE_S = 1e-4
END_TOLERANCE_S = 1e-6


@dataclass(frozen=True)
class Sample:
    """The frame shown at one requested time.

    Attributes:
        number: Position among the requested times.
        requested_s: The requested time.
        frame: The frame; the same object for every time at which it is shown.
    """

    number: int
    requested_s: float
    frame: DecodedFrame

    @property
    def pts_s(self) -> float:
        """When the frame was first shown."""
        return self.frame.pts_s

    @property
    def source_index(self) -> int:
        """Its index among all presented frames."""
        return self.frame.source_index

    def rgb(self, resize: Resize | None = None) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], RGB; ``None`` keeps full resolution.

        Converted at every call, and only before the next sample is taken.
        """
        return self.frame.rgb(resize)


class _Times(Iterator[float]):
    """Ascending times that can be looked at before they are taken."""

    def __init__(self, times_s: Iterable[float]) -> None:
        self._source = iter(times_s)
        self._taken: list[float] = []
        self._ahead: deque[float] = deque()

    def __next__(self) -> float:
        time = self._ahead.popleft() if self._ahead else next(self._source)
        self._taken = [time]
        return time

    def until(self, limit_s: float) -> list[float]:
        """The time that was taken last and all up to ``limit_s`` behind it, which stay."""
        while not self._ahead or self._ahead[-1] <= limit_s:
            time = next(self._source, None)
            if time is None:
                break
            self._ahead.append(time)
        return [time for time in (*self._taken, *self._ahead) if time <= limit_s]


class VideoReader:
    """One pass over one video. Use :func:`open_video`."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @property
    def errors(self) -> int:
        """Packets skipped so far because they could not be decoded."""
        return self._decoder.errors

    @property
    def damage(self) -> Damage | None:
        """What has been found wrong so far; ``None`` for a sound video."""
        return self._decoder.damage

    @property
    def version(self) -> str:
        """The decoder's library and version."""
        return self._decoder.version

    @property
    def frames(self) -> int:
        """Presented frames seen so far."""
        return self._decoder.frames

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last one seen so far."""
        return self._decoder.duration_s

    @property
    def average_fps(self) -> float | None:
        """Presented frames per second so far."""
        return self._decoder.average_fps

    @property
    def start_s(self) -> float | None:
        """Container time of the first presented frame."""
        return self._decoder.start_s

    def at(self, times_s: Iterable[float]) -> Iterator[Sample]:
        """The frames shown at ascending ``times_s``; past the end that is the last frame.

        Stops decoding once the last time is served. A decoder that can leaves out frames that are
        shown at none of them; what those frames would have added to ``errors`` stays unknown.

        Raises:
            VideoError: No frame could be decoded (``no_frames``).
        """
        times = list(times_s)
        if isinstance(self._decoder, SparseDecoder):
            self._decoder.show_only(Wanted(lambda _: times, TIME_TOLERANCE_S, to_end=False))
        return self._walk(iter(times), stop_at_end=False)

    def until_end(self, times_s: Iterable[float]) -> Iterator[Sample]:
        """The frames shown at those ascending ``times_s`` that lie before the end of the video.

        Always goes to the end, so that ``duration_s`` is final afterwards; ``times_s`` may be
        endless. A decoder that can leaves out frames that are shown at none of the times and that
        no other frame builds on; what those would have added to ``errors`` stays unknown.

        Raises:
            VideoError: No frame could be decoded (``no_frames``).
        """
        times = _Times(times_s)
        if isinstance(self._decoder, SparseDecoder):
            self._decoder.show_only(Wanted(times.until, TIME_TOLERANCE_S, to_end=True))
        return self._walk(times, stop_at_end=True)

    def _walk(self, times: Iterator[float], stop_at_end: bool) -> Iterator[Sample]:
        number, time = 0, next(times, math.inf)
        for current, following in self._pairs():
            if following is not None:
                limit = following.pts_s - TIME_TOLERANCE_S
            else:
                limit = self.duration_s - END_TOLERANCE_S if stop_at_end else math.inf
            while time < limit:
                yield Sample(number, time, current)
                number, time = number + 1, next(times, math.inf)
            if time == math.inf and not stop_at_end:
                return

    def _pairs(self) -> Iterator[tuple[DecodedFrame, DecodedFrame | None]]:
        """Each presented frame with the one after it (``None`` behind the last)."""
        current = None
        for following in self._decoder:
            if current is not None:
                yield current, following
            current = following
        if current is None:
            raise VideoError(
                f"{self._decoder.path}: no frame could be decoded ({self.errors} bad packets).",
                reason="no_frames",
                hint="The file is damaged or its codec is not supported; re-encode it.",
            )
        yield current, None


@contextmanager
def open_video(path: Path, *, decoder: str = "pyav", threads: int = 0) -> Iterator[VideoReader]:
    """Open a video for one pass.

    Args:
        path: The file.
        decoder: A name in :data:`DECODERS`.
        threads: Decoding threads; 0 lets the decoder choose.

    Raises:
        VideoError: The file cannot be read as a video; ``reason`` says why.
        ConfigError: There is no such decoder.
    """
    with DECODERS.get(decoder)(path, threads) as opened:
        yield VideoReader(opened)


def read_frames(
    path: Path | str,
    times_s: Sequence[float] | NDArray[np.float64] | None = None,
    every_s: float | None = None,
    *,
    decoder: str = "pyav",
) -> Frames:
    """Read the frames shown at given times, or at a fixed spacing.

    Args:
        path: The video.
        times_s: Seconds since the first presented frame, in any order, repeats allowed; a time
            past the end gives the last frame.
        every_s: Spacing in seconds: frames at 0, every_s, 2 * every_s, … before the end.
            Exactly one of ``times_s`` and ``every_s`` is given.
        decoder: A name in :data:`DECODERS`.

    Returns:
        The frames in the order of the requested times.

    Raises:
        DataError: A time is negative or not a number: no frame is shown then.
        ValueError: Both or neither of ``times_s`` and ``every_s`` are given, or ``every_s <= 0``.
        VideoError: The video cannot be read; ``reason`` says why.
    """
    if (times_s is None) == (every_s is None):
        raise ValueError("Give exactly one of times_s and every_s.")
    if every_s is not None:
        if not every_s > 0:
            raise ValueError(f"every_s must be positive, not {every_s}.")
        with open_video(Path(path), decoder=decoder) as video:
            return _collect(video.until_end(k * every_s for k in count()), video)
    times = np.asarray(times_s, dtype=np.float64)
    if not (np.isfinite(times).all() and (times >= -TIME_TOLERANCE_S).all()):
        bad = times[~(times >= -TIME_TOLERANCE_S) | ~np.isfinite(times)][0]
        raise DataError(
            f"{path}: no frame is shown at {bad} s.", hint="Times count from 0, the first frame."
        )
    order = np.argsort(times, kind="stable")
    with open_video(Path(path), decoder=decoder) as video:
        ascending = _collect(video.at(times[order].tolist()), video)
    back = np.argsort(order, kind="stable")
    return Frames(
        ascending.frames[back], ascending.pts_s[back], ascending.source_index[back], video.errors
    )


def _collect(samples: Iterator[Sample], video: VideoReader) -> Frames:
    taken: list[Sample] = []
    images: list[NDArray[np.uint8]] = []
    for sample in samples:
        again = bool(taken) and taken[-1].frame is sample.frame
        images.append(images[-1] if again else sample.rgb())
        taken.append(sample)
    return Frames(
        np.stack(images) if images else np.zeros((0, 0, 0, 3), np.uint8),
        np.array([sample.pts_s for sample in taken], dtype=np.float64),
        np.array([sample.source_index for sample in taken], dtype=np.int64),
        video.errors,
    )
