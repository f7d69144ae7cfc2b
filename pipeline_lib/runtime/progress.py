"""Progress of long work, shown by whoever calls the library.

The library reports to a :class:`Progress` and never prints. Commands pass one of
``runtime/progress_shown.py``; everyone else leaves the default, :data:`SILENT`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
