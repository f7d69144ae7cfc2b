"""What a decoder offers to the reader, and the checks all of them share."""

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import VideoError
from pipeline_lib.video.scaling import Resize


class DecodedFrame(Protocol):
    """One presented frame.

    Attributes:
        pts_s: Seconds since the first presented frame.
        source_index: Index among all presented frames.
    """

    pts_s: float
    source_index: int

    def rgb(self, resize: Resize | None) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], upright, contiguous; ``None`` keeps full resolution."""


@dataclass(frozen=True)
class Damage:
    """What is wrong with a video that can be read in part.

    Attributes:
        reason: ``truncated`` or ``corrupt``.
        message: What was found, for people.
    """

    reason: str
    message: str


class Decoder(Protocol):
    """One open video, read once from its start.

    Attributes:
        path: The file.
        version: Library and version, for the features' meta.
        errors: Packets that could not be decoded so far, and frames that came out damaged.
        frames: Frames presented so far.
        start_s: Container time of the first presented frame; ``None`` before it.
    """

    path: Path
    version: str
    errors: int
    frames: int
    start_s: float | None

    @property
    def duration_s(self) -> float:
        """Seconds from the first presented frame to the end of the last one so far."""

    @property
    def average_fps(self) -> float | None:
        """Presented frames per second of duration so far; ``None`` before the first frame."""

    @property
    def damage(self) -> Damage | None:
        """What has been found wrong so far; ``None`` for a sound video."""

    def __iter__(self) -> Iterator[DecodedFrame]:
        """All presented frames in presentation order, each with a later time than the last."""


@dataclass(frozen=True)
class Wanted:
    """Which frames are asked for.

    Attributes:
        times_until: All ascending times up to a given one, in seconds since the first presented
            frame.
        tolerance_s: A frame this little after a time still counts as shown at it.
        to_end: The last frame is wanted whatever the times are, and on the way to it only frames
            that no other one builds on may be left out: damage anywhere else has to be met.
    """

    times_until: Callable[[float], Sequence[float]]
    tolerance_s: float
    to_end: bool


@runtime_checkable
class SparseDecoder(Decoder, Protocol):
    """A decoder that can leave out frames nobody asks for."""

    def show_only(self, wanted: Wanted) -> None:
        """Before iterating: frames that are shown at none of the wanted times may be left out."""


class OpenDecoder(Protocol):
    """Opens a video for one pass; ``threads`` 0 lets the decoder choose."""

    def __call__(self, path: Path, threads: int = 0) -> AbstractContextManager[Decoder]:
        """Raises VideoError where the file is missing, empty or no video."""


def check_file(path: Path) -> None:
    """Refuse what is no readable file with content, before any decoder sees it.

    Raises:
        VideoError: Missing, empty, a folder or device, or not permitted.
    """
    try:
        info = path.stat()
        if stat.S_ISREG(info.st_mode):
            path.open("rb").close()
    except FileNotFoundError:
        raise VideoError(f"{path}: no such file.", reason="missing") from None
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}.", reason="unreadable") from None
    if not stat.S_ISREG(info.st_mode):
        raise VideoError(f"{path}: not a file.", reason="unreadable")
    if info.st_size == 0:
        raise VideoError(
            f"{path}: the file is empty (0 bytes).", reason="empty", hint="Copy it again."
        )
