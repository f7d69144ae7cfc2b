"""One question about a machine or a project, its answer, and what mends it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline_lib.checkup.context import Context
from pipeline_lib.errors import CliplineError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Row:
    """One answer.

    Attributes:
        name: What was looked at.
        status: ``fail`` keeps something from working, ``warn`` may do so or costs something.
        text: What was found.
        remedy: What mends it; empty where nothing has to be.
    """

    name: str
    status: Status
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        group: Its part of the report.
        name: What it looks at; its row's name where it crashes.
        run: Answers, with one row or several.
    """

    group: str
    name: str
    run: Callable[[Context], Iterable[Row]]


@dataclass(frozen=True)
class Checkup:
    """All answers, by group, in the order of the checks."""

    groups: dict[str, list[Row]]

    def count(self, status: Status) -> int:
        """How many rows have a status."""
        return sum(row.status == status for rows in self.groups.values() for row in rows)

    def summary(self) -> str:
        """One line."""
        counts = {status: self.count(status) for status in ("ok", "warn", "fail")}
        warnings = "1 warning" if counts["warn"] == 1 else f"{counts['warn']} warnings"
        return f"{counts['ok']} ok, {warnings}, {counts['fail']} failed"

    def lines(self) -> list[str]:
        """Plain text, one line a row."""
        lines = []
        for group, rows in self.groups.items():
            lines += [group] if rows else []
            for row in rows:
                remedy = f" -> {row.remedy}" if row.remedy else ""
                lines.append(f"  {row.status:4} {row.name}: {row.text}{remedy}")
        return [*lines, self.summary()]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        counts = {status: self.count(status) for status in ("ok", "warn", "fail")}
        rows = [{"group": g, **asdict(row)} for g, rows in self.groups.items() for row in rows]
        return {**counts, "checks": rows}


def run_checks(checks: Sequence[Check], context: Context) -> Checkup:
    """Run the checks one after the other; one that crashes is a failed row."""
    groups: dict[str, list[Row]] = {}
    for check in checks:
        try:
            rows = list(check.run(context))
        except CliplineError as error:
            rows = [Row(check.name, "fail", error.message, error.hint or "")]
        except Exception as error:  # noqa: BLE001  # whatever is broken here is what is looked for
            said = (str(error).strip() or "no message").splitlines()[0]
            rows = [
                Row(
                    check.name,
                    "fail",
                    f"could not be looked at ({type(error).__name__}: {said}).",
                    "Please report it if the rest of the machine is sound.",
                )
            ]
        groups.setdefault(check.group, []).extend(rows)
    return Checkup(groups)
