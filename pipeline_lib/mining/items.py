"""What makes a question item minable: a safe name, a known video, times that exist."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import CliplineError, DataError
from pipeline_lib.paths import nfc, under
from pipeline_lib.video.files import find_videos

# Leaves room in a 255-byte file name for what is put behind the id.
_LONGEST_ID_BYTES = 150
_CONTROL = frozenset(("Cc", "Cs", "Zl", "Zp"))


class ItemError(CliplineError):
    """One item cannot be mined.

    Attributes:
        reason: A short stable word for failure tables: ``unsafe_id``, ``unsafe_path``,
            ``negative_time``, ``beyond_end``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Unmined:
    """An item without frames and why.

    Attributes:
        id: The item.
        video_path: As the question file has it.
        reason: A short stable word: one of :class:`ItemError` or
            :class:`~pipeline_lib.errors.VideoError`, ``no_support_frames`` or ``excluded``.
        message: The same for people.
    """

    id: str
    video_path: str
    reason: str
    message: str

    @classmethod
    def of(cls, question: Question, reason: str, message: str) -> "Unmined":
        """``question`` is not mined for ``reason``."""
        return cls(question.id, question.video_path, reason, message)


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
        # File systems keep the spelling they were given; the question file may use another.
        self._spelled = {
            nfc(video.path.relative_to(root).as_posix()): video.path
            for video in (*found.videos, *found.ambiguous)
        }

    def excludes(self, video_path: str) -> bool:
        """Whether ``data.exclude`` names this video."""
        return _name(video_path) in self._excluded

    def locate(self, video_path: str) -> Path:
        """The file an item names; it need not exist.

        Raises:
            ItemError: The path leaves the folder (``unsafe_path``).
        """
        try:
            path = under(self._root, video_path)
        except DataError as error:
            raise ItemError(error.message, reason="unsafe_path") from None
        return self._spelled.get(_name(video_path), path)


def _name(video_path: str) -> str:
    return nfc(PurePosixPath(video_path).as_posix())


def check_item(question: Question) -> None:
    """Refuse an item whose id cannot name files, or whose times cannot be in any video.

    Raises:
        ItemError: ``unsafe_id`` or ``negative_time``.
    """
    fault = _id_fault(question.id)
    if fault:
        raise ItemError(
            f"Item {question.id!r}: its id names folders and files, but {fault}.",
            reason="unsafe_id",
        )
    for time in question.support_frames:
        if time < 0:
            raise ItemError(
                f"Item {question.id!r}: support frame at {time:g} s; times count from 0, the "
                "first frame.",
                reason="negative_time",
            )


def _id_fault(name: str) -> str | None:
    if "/" in name or "\\" in name:
        return "it holds a slash"
    if name.startswith("."):
        return "it starts with a dot"
    if any(unicodedata.category(character) in _CONTROL for character in name):
        return "it holds a control character"
    size = len(name.encode("utf-8"))
    if size > _LONGEST_ID_BYTES:
        return f"it is {size} bytes long (at most {_LONGEST_ID_BYTES})"
    return None
