"""Progress of long work, shown by whoever calls the library.

The library reports to a :class:`Progress` and never prints. Commands pass :class:`RichProgress`,
which draws bars on a terminal and writes one line per finished task into a log; everyone else
leaves the default, :data:`SILENT`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBars


class Advance(Protocol):
    """Reports finished units of one task."""

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """``amount`` more units are done; a non-empty ``note`` is shown beside the bar."""


class Progress(Protocol):
    """Where long work reports to."""

    def task(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """A context in which ``total`` units of work are done and reported."""


class _Silent:
    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        del title, total

        def advance(amount: int = 1, note: str = "") -> None:
            del amount, note

        yield advance


SILENT: Progress = _Silent()


class RichProgress:
    """Bars with rate and remaining time on stderr; plain lines where stderr is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Show one bar for the time of the context."""
        columns = (
            TextColumn("{task.description}", markup=False),  # both name files: [/a] is no markup
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        interactive = self._console.is_terminal
        with RichBars(*columns, console=self._console, disable=not interactive) as bars:
            task = bars.add_task(title, total=total, note="")

            def advance(amount: int = 1, note: str = "") -> None:
                if note:
                    bars.update(task, advance=amount, note=note)
                else:
                    bars.update(task, advance=amount)

            yield advance
        if not interactive:
            line = f"{title}: {total} done"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
