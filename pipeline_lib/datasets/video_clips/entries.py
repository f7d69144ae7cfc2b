"""What a list says of a video, before anybody has looked for the file."""

from dataclasses import dataclass
from pathlib import Path

# Longer than any video; a list that says more is mistaken, and its windows would fill the memory.
_LONGEST_S = 1e6


@dataclass(frozen=True)
class Entry:
    """A video of a list.

    Attributes:
        name: Its path below the videos, or what its file is called at any depth there.
        cells: Its class, or the numbers that its value is made of.
        line: Of the list; ``None`` where there is none.
        class_name: In words, where the list gives them beside a number.
        frames: How many pictures there are; ``None`` for a video file.
        duration_s: Its length, where the list gives it.
    """

    name: str
    cells: tuple[str, ...]
    line: int | None = None
    class_name: str = ""
    frames: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True)
class Entries:
    """The videos of a split.

    Attributes:
        source: The list, or the folder of the class folders.
        videos: In its order.
    """

    source: Path
    videos: tuple[Entry, ...]


def read_seconds(text: str) -> float | None:
    """The length of a video in seconds, or ``None`` where the text is no such number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= _LONGEST_S else None
