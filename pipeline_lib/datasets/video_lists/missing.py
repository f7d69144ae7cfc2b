"""Videos that a list names and that cannot be used."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MissingVideo:
    """A video of the lists that cannot be used.

    Attributes:
        id: Unique in its data set, NFC.
        path: The file, or what was looked for where there is none.
        reason: For people, in one line.
        line: Of the list that names it; ``None`` where the list has no lines.
    """

    id: str
    path: str
    reason: str
    line: int | None = None
