import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pipeline_lib.trainers.coop.training import train_coop
from tests.trainers.project import config, tower, write_project

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "epochs": 60,
    "save_every": 10,
    "patience": 40,
    "seeds": (1, 2),
    "control_backbone": "noise",
}
PROGRAM = f"""
import sys
from pathlib import Path
import torch
from pipeline_lib.trainers.coop.training import train_coop
from tests.trainers.project import config, places, tower
torch.set_num_threads(1)
train_coop(config(**{SETTINGS!r}), tower(), places(Path(sys.argv[1])))
"""


def start(root):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(root)], cwd=ROOT, env=environment)


def epochs_saved(scratch):
    states = sorted(scratch.glob("*/last.pt"), key=lambda path: path.stat().st_mtime)
    return [len(torch.load(path, weights_only=True)["record"]["history"]) for path in states]


def kill_after(process, root, folders, epochs):
    """SIGKILL once the newest of ``folders`` runs has saved ``epochs``."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        saved = epochs_saved(root / "scratch")
        if len(saved) == folders and saved[-1] >= epochs:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            return
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.005)
    pytest.fail("nothing was saved")


def outputs(root):
    produced = [*sorted((root / "models").rglob("*")), root / "plots" / "history.csv"]
    return {str(path.relative_to(root)): path.read_bytes() for path in produced if path.is_file()}


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_same_bytes(tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train_coop(config(**SETTINGS), tower(), write_project(straight))
    torch.set_num_threads(threads)

    write_project(killed)
    kill_after(start(killed), killed, folders=1, epochs=5)
    # The second kill hits the next seed; the finished first run must not be trained again.
    kill_after(start(killed), killed, folders=2, epochs=3)
    assert not (killed / "models").exists()
    assert start(killed).wait() == 0

    assert len(outputs(straight)) > 10
    assert outputs(killed) == outputs(straight)
    assert not any((killed / "scratch").iterdir())
