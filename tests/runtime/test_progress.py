import io
import json

import pytest
from rich.console import Console

from pipeline_lib.runtime.progress import SILENT
from pipeline_lib.runtime.progress_shown import (
    BarProgress,
    JsonProgress,
    LogProgress,
    shown_progress,
)

TITLE = "train on local-dir:/data/[old]/" + "long/" * 30


class Clock:
    """Time that passes when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def console(terminal=False, width=80):
    shown = io.StringIO()
    return shown, Console(file=shown, force_terminal=terminal, width=width)


@pytest.mark.parametrize("terminal", [True, False])
def test_names_of_files_are_no_markup(terminal):
    shown, where = console(terminal, 400)
    with shown_progress("auto", where).task(TITLE, 1) as advance:
        advance(note="[/b] fall")
    assert "[old]" in shown.getvalue()
    assert ("[/b] fall" in shown.getvalue()) == terminal


def test_a_log_gets_one_line_a_short_task():
    shown, where = console()
    with shown_progress("auto", where).task(TITLE, 3) as advance:
        advance(3)
    assert shown.getvalue() == f"{TITLE}: 3 done\n"


def test_a_log_tells_rate_and_remaining_time_every_half_minute():
    shown, where = console()
    clock = Clock()
    with LogProgress(where, clock).task("embed", 100) as advance:
        for _ in range(100):
            clock.now += 2
            advance(note="epoch 1")
    lines = shown.getvalue().splitlines()
    assert lines[0] == "embed: 15 of 100, 2.0 s each, 2:50 left, epoch 1"
    assert lines[-1] == "embed: 100 done in 3:20, 2.0 s each"
    assert len(lines) == 100 * 2 // 30 + 1


def test_what_was_not_done_is_not_told_as_done():
    shown, where = console()
    with shown_progress("log", where).task("embed", 3) as advance:
        advance(2)
    assert shown.getvalue() == "embed: 2 of 3 done\n"


def test_json_is_one_object_a_line_at_most_once_a_second():
    shown, where = console()
    clock = Clock()
    with JsonProgress(where, clock).task(TITLE, 8) as advance:
        for _ in range(8):
            clock.now += 0.25
            advance(note="a")
    events = [json.loads(line) for line in shown.getvalue().splitlines()]
    assert [e["event"] for e in events] == ["begin", "progress", "progress", "end"]
    assert events[0] == {
        "event": "begin", "task": TITLE, "done": 0, "total": 8, "seconds": 0.0,
        "rate": None, "remaining_s": None, "note": "",
    }  # fmt: skip
    assert events[1] == events[0] | {
        "event": "progress", "done": 4, "seconds": 1.0, "rate": 4.0, "remaining_s": 1.0,
        "note": "a",
    }  # fmt: skip
    assert events[-1]["done"] == 8


def test_what_fails_is_not_told_as_done():
    shown, where = console()

    def fail():
        with shown_progress("log", where).task("embed", 3):
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert shown.getvalue() == ""


def test_a_bar_has_rate_and_remaining_time():
    shown, where = console(terminal=True, width=200)
    with BarProgress(where).task("embed", 2) as advance:
        advance()
        advance()
    assert "2/2" in shown.getvalue()
    assert "0:00:00" in shown.getvalue()


def test_quiet_is_silent():
    assert shown_progress("quiet", console(terminal=True)[1]) is SILENT


def test_a_bar_can_be_forced_into_a_file():
    assert isinstance(shown_progress("bar", console()[1]), BarProgress)
