"""What an inspection found: faults that must be mended, and what is worth knowing."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline_lib.errors import CliplineError

Level = Literal["error", "warning", "note"]
# Of one kind; the JSON form has them all.
_LISTED = 10


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: ``error`` has to be mended, ``warning`` probably should be, ``note`` is for the
            record.
        kind: A short stable word.
        where: ``file``, or ``file:line``.
        what: What is there.
        remedy: What mends it; empty where that is plain.
    """

    level: Level
    kind: str
    where: str
    what: str
    remedy: str = ""

    def line(self) -> str:
        """The finding on one line: of control characters in names their escapes."""
        remedy = f" {self.remedy}" if self.remedy else ""
        line = f"{self.level:<8}{self.where}: {self.what}{remedy}"
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


class Findings:
    """The findings of one inspection, in the order they were made."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def error(self, kind: str, where: object, what: str, remedy: str = "") -> None:
        """Add what must be mended."""
        self._all.append(Finding("error", kind, str(where), what, remedy))

    def warning(self, kind: str, where: object, what: str, remedy: str = "") -> None:
        """Add what is worth knowing."""
        self._all.append(Finding("warning", kind, str(where), what, remedy))

    def note(self, kind: str, where: object, what: str, remedy: str = "") -> None:
        """Add what was done or left out on purpose."""
        self._all.append(Finding("note", kind, str(where), what, remedy))

    def refused(self, kind: str, where: object, error: CliplineError) -> None:
        """Add what a reader of the library refused, in its own words."""
        what = error.message.removeprefix(str(where)).lstrip(":").strip()
        self.error(kind, where, what, error.hint or "")

    def count(self, level: Level) -> int:
        """How many there are of a level."""
        return sum(finding.level == level for finding in self._all)

    def lines(self) -> list[str]:
        """Errors, then warnings, then notes; of a kind the first ten."""
        order = {"error": 0, "warning": 1, "note": 2}
        totals = Counter((finding.level, finding.kind) for finding in self._all)
        shown: Counter[tuple[Level, str]] = Counter()
        lines = []
        for finding in sorted(self._all, key=lambda finding: order[finding.level]):
            key = finding.level, finding.kind
            shown[key] += 1
            if shown[key] <= _LISTED:
                lines.append(finding.line())
            elif shown[key] == _LISTED + 1:
                more = f"and {totals[key] - _LISTED} more of the kind {finding.kind!r}"
                lines.append(f"        {more} (--json lists all)")
        return lines

    def as_list(self) -> list[dict[str, Any]]:
        """All of them, for JSON."""
        return [asdict(finding) for finding in self._all]


def some(names: Iterable[str], limit: int = 3) -> str:
    """The first names, and how many there are more."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def counted(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
