import io

import pytest
from rich.console import Console

from pipeline_lib.runtime.progress import RichProgress

TITLE = "train on local-dir:/data/[old]/" + "long/" * 30


@pytest.mark.parametrize("terminal", [True, False])
def test_names_of_files_are_no_markup(terminal):
    shown = io.StringIO()
    progress = RichProgress(Console(file=shown, force_terminal=terminal, width=400))
    with progress.task(TITLE, 1) as advance:
        advance(note="[/b] fall")
    assert "[old]" in shown.getvalue()
    assert ("[/b] fall" in shown.getvalue()) == terminal


def test_a_log_gets_one_line_a_task():
    shown = io.StringIO()
    with RichProgress(Console(file=shown, force_terminal=False, width=80)).task(TITLE, 3):
        pass
    assert shown.getvalue() == f"{TITLE}: 3 done\n"
