"""Progress for people and for programs: bars, lines of a log, JSON lines, or nothing."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBars
from rich.table import Column
from rich.text import Text

from pipeline_lib.runtime.progress import SILENT, Advance, Progress

ProgressMode = Literal["auto", "bar", "log", "json", "quiet"]
Clock = Callable[[], float]
_LOG_EVERY_S = 30.0
_JSON_EVERY_S = 1.0
_MINUTE, _HOUR = 60, 3600
_RATE_WIDTH, _TIME_WIDTH, _NOTE_WIDTH = 7, 7, 28


def shown_progress(mode: ProgressMode, console: Console) -> Progress:
    """The progress of a mode.

    Args:
        mode: ``bar`` for a terminal, ``log`` for a file, ``json`` for a program, ``quiet`` for
            nobody; ``auto`` is ``bar`` on a terminal and else ``log``.
        console: Where it is written.
    """
    if mode == "quiet":
        return SILENT
    if mode == "json":
        return JsonProgress(console)
    if mode == "bar" or (mode == "auto" and console.is_terminal):
        return BarProgress(console)
    return LogProgress(console)


class _RateColumn(ProgressColumn):
    """Units a second, or seconds a unit where these are long."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate(speed) if speed else "", style="progress.data.speed")


class BarProgress:
    """A bar a task, with its rate and the time that remains."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Show one bar for the time of the context."""
        note = Column(no_wrap=True, overflow="ellipsis", max_width=_NOTE_WIDTH)
        columns = (
            TextColumn("{task.description}", markup=False),  # both name files: [/a] is no markup
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            _RateColumn(table_column=Column(no_wrap=True, min_width=_RATE_WIDTH)),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=_TIME_WIDTH)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=_TIME_WIDTH)),
            # Long names of files give way to the figures.
            TextColumn("{task.fields[note]}", markup=False, table_column=note),
        )
        with RichBars(*columns, console=self._console) as bars:
            task = bars.add_task(title, total=total, note="")

            def advance(amount: int = 1, note: str = "") -> None:
                if note:
                    bars.update(task, advance=amount, note=note)
                else:
                    bars.update(task, advance=amount)

            yield advance


@dataclass
class _Count:
    """How far a task is. Several threads may report to one task.

    Attributes:
        total: Units of the task.
        started: When it began, by the clock.
        done: Units that are done.
        note: What was said last.
        told: When it was last written.
    """

    total: int
    started: float
    done: int = 0
    note: str = ""
    told: float = 0.0

    def rate(self, now: float) -> float | None:
        """Units a second, ``None`` before the first is done."""
        seconds = now - self.started
        return self.done / seconds if self.done and seconds > 0 else None

    def remaining_s(self, now: float) -> float | None:
        """Seconds to the end at this rate, ``None`` before the first unit is done."""
        rate = self.rate(now)
        return None if rate is None else max(self.total - self.done, 0) / rate


class _Lines:
    """A task as lines: at its end, and now and then before."""

    def __init__(self, console: Console, every_s: float, clock: Clock) -> None:
        self._console = console
        self._every_s = every_s
        self._clock = clock

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Write lines for the time of the context."""
        now = self._clock()
        count = _Count(total, now, told=now)
        lock = threading.Lock()
        self.begin(title, count)

        def advance(amount: int = 1, note: str = "") -> None:
            with lock:
                count.done += amount
                count.note = note or count.note
                now = self._clock()
                if now - count.told >= self._every_s:
                    count.told = now
                    self.go_on(title, count, now)

        yield advance
        self.end(title, count, self._clock())

    def begin(self, title: str, count: _Count) -> None:
        """A task begins."""

    def go_on(self, title: str, count: _Count, now: float) -> None:
        """A task goes on."""

    def end(self, title: str, count: _Count, now: float) -> None:
        """A task has ended."""

    def write(self, line: str) -> None:
        """One line, however long."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class LogProgress(_Lines):
    """One line a finished task, and one every half minute of a long one."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        super().__init__(console, _LOG_EVERY_S, clock)

    def go_on(self, title: str, count: _Count, now: float) -> None:
        """Where it is, how fast, and how long it will take."""
        rate, left = count.rate(now), count.remaining_s(now)
        parts = [f"{count.done} of {count.total}"]
        if rate is not None and left is not None:
            parts += [_rate(rate), f"{_duration(left)} left"]
        self.write(f"{title}: {', '.join(parts + [count.note] * bool(count.note))}")

    def end(self, title: str, count: _Count, now: float) -> None:
        """How much was done, and for a long task in what time."""
        seconds, rate = now - count.started, count.rate(now)
        took = f" in {_duration(seconds)}, {_rate(rate)}" if rate and seconds > _MINUTE else ""
        of = f" of {count.total}" if count.done < count.total else ""
        self.write(f"{title}: {count.done}{of} done{took}")


class JsonProgress(_Lines):
    """JSON objects, one a line: ``event`` is begin, progress or end."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        super().__init__(console, _JSON_EVERY_S, clock)

    def begin(self, title: str, count: _Count) -> None:
        """The task's name and size."""
        self._event("begin", title, count, count.started)

    def go_on(self, title: str, count: _Count, now: float) -> None:
        """Where it is, at most once a second."""
        self._event("progress", title, count, now)

    def end(self, title: str, count: _Count, now: float) -> None:
        """How it ended."""
        self._event("end", title, count, now)

    def _event(self, event: str, title: str, count: _Count, now: float) -> None:
        told: dict[str, Any] = {
            "event": event,
            "task": title,
            "done": count.done,
            "total": count.total,
            "seconds": _rounded(now - count.started),
            "rate": _rounded(count.rate(now)),
            "remaining_s": _rounded(count.remaining_s(now)),
            "note": count.note,
        }
        self.write(json.dumps(told))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _rate(per_second: float) -> str:
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{1 / per_second:.1f} s each"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // _HOUR, whole % _HOUR // _MINUTE
    return f"{hours}:{minutes:02}:{whole % _MINUTE:02}" if hours else f"{minutes}:{whole % 60:02}"
