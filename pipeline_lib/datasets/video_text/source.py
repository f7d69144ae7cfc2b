"""What a format is given, and what it makes of it: listed videos with their captions."""

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline_lib.errors import DataError


@dataclass(frozen=True)
class Listed:
    """A video of a list; whether there is a file of it is not known yet.

    Attributes:
        id: NFC.
        texts: Its captions, as written but for blanks around them.
        line: Of the list that names it, if that has lines.
        file: Its path below the videos; empty where any video file of a name is meant.
        name: That name; empty is the id.
        start_s: Where its segment begins.
        end_s: Where that ends; ``None`` is the end of the file.
        at_most_s: As of :class:`~pipeline_lib.datasets.video_text.items.VideoItem`.
    """

    id: str
    texts: tuple[str, ...]
    line: int | None = None
    file: str = ""
    name: str = ""
    start_s: float = 0.0
    end_s: float | None = None
    at_most_s: float | None = None


@dataclass(frozen=True)
class Source:
    """The annotation files of a data set.

    Attributes:
        path: The folder of the files, or the one file.
        variant: Which of several training lists; ``None`` is the usual one.
        origin: Where such files are distributed, for messages.
    """

    path: Path
    variant: str | None = None
    origin: str = ""

    def of(self, origin: str) -> "Source":
        """The same, with where such files are distributed."""
        return replace(self, origin=origin)

    def file(self, *names: str) -> Path:
        """The first of these files that exists.

        Raises:
            DataError: There is none.
        """
        found = self.optional(*names)
        if found is None:
            raise DataError(
                f"{self.path}: no {' or '.join(names)} in this folder.", hint=self.origin
            )
        return found

    def optional(self, *names: str) -> Path | None:
        """The first of these files that exists, or ``None``."""
        paths = (self.path / name for name in names)
        return next((path for path in paths if path.is_file()), None)
