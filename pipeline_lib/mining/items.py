"""What makes a question item minable: a video that is there, and times that are in it."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import CliplineError
from pipeline_lib.paths import nfc
from pipeline_lib.video.files import file_named, find_videos
from pipeline_lib.video.reader import TIME_TOLERANCE_S


class ItemError(CliplineError):
    """One item cannot be mined.

    Attributes:
        reason: A short stable word for failure tables: ``missing_video``, ``negative_time`` or
            ``beyond_end``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class VideoFolder:
    """The videos that items may name.

    Args:
        root: ``<data.root>/videos``.
        exclude: Videos known to be unusable, relative to ``root``.

    Raises:
        DataError: ``root`` holds no video, or ``exclude`` names none.
    """

    def __init__(self, root: Path, exclude: Collection[str] = ()) -> None:
        self._root = root
        self._excluded = frozenset(map(nfc, exclude))
        found = find_videos(root, exclude)
        self._files = {
            nfc(video.path.relative_to(root).as_posix()): (video.path,)
            for video in (*found.videos, *found.ambiguous)
        }

    def excludes(self, video_path: str) -> bool:
        """Whether ``data.exclude`` names this video."""
        return nfc(PurePosixPath(video_path).as_posix()) in self._excluded

    def locate(self, video_path: str) -> Path:
        """The file an item names.

        Raises:
            ItemError: There is none (``missing_video``).
            DataError: The path leaves the folder.
        """
        path = file_named(self._root, self._files, video_path)
        if not path.exists():
            raise ItemError(
                f"there is no video {video_path!r} below {self._root}", reason="missing_video"
            )
        return path


@dataclass(frozen=True)
class SupportTimes:
    """The moments of an item, as its video and the policies for times have them.

    Attributes:
        times_s: Ascending, distinct, within the video.
        clamped: Times that were moved to the first or the last frame.
        dropped: Times that were left out.
    """

    times_s: tuple[float, ...]
    clamped: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class VideoSpan:
    """From when to when a video shows something.

    Attributes:
        last_s: When its last frame is first shown.
        end_s: When that ends.
    """

    last_s: float
    end_s: float


def support_times(question: Question, span: VideoSpan, config: MineConfig) -> SupportTimes:
    """The times of an item after ``mine.negative_time`` and ``mine.beyond_end``.

    Raises:
        ItemError: A time is outside the video and the policy is ``fail`` (``negative_time``,
            ``beyond_end``).
    """
    times: set[float] = set()
    clamped = dropped = 0
    for number, time in enumerate(question.support_frames):
        fault = _outside(time, number, span)
        if fault is None:
            times.add(time + 0.0)  # -0.0 is 0.0
            continue
        policy = config.negative_time if time < 0 else config.beyond_end
        if policy == "fail":
            raise fault
        if policy == "clamp":
            times.add(0.0 if time < 0 else span.last_s)
        clamped += policy == "clamp"
        dropped += policy == "drop"
    return SupportTimes(tuple(sorted(times)), clamped, dropped)


def _outside(time: float, number: int, span: VideoSpan) -> ItemError | None:
    said = f"support_frames[{number}] = {time:g} s"
    if time < 0:
        return ItemError(
            f"{said}, but times count from 0, the first frame (mine.negative_time: clamp or drop)",
            reason="negative_time",
        )
    if time > span.end_s + TIME_TOLERANCE_S:
        return ItemError(
            f"{said}, but its video ends at {span.end_s:g} s (mine.beyond_end: clamp or drop)",
            reason="beyond_end",
        )
    return None
