"""Two processes train as one does, whatever the loss, and go on after a kill as one does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.trainers.pos_neg.project import (
    outputs,
    wanted,
    write_mined,
)
from tests.trainers.test_resume import epochs_saved

ROOT = Path(__file__).parents[3]
LOSSES = ("bce", "bce_positive", "contrastive", "video_nce")
SETTINGS = {"epochs": 3, "batch_size": 3, "accumulate": 2}
PROGRAM = """
import json
import sys
from pathlib import Path
from pipeline_lib.runtime.distributed import joined
from pipeline_lib.trainers.pos_neg.training import train_pos_neg
from tests.trainers.pos_neg.project import config, places, section
root = Path(sys.argv[1])
with joined("cpu") as group:
    for name in sys.argv[3:]:
        own, settings = root / name, config(loss=name, **json.loads(sys.argv[2]))
        train_pos_neg(settings, section(own), places(own), group, threads=1)
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")

pytestmark = pytest.mark.slow


def start(root, settings, names, *launcher):
    (root / "program.py").write_text(PROGRAM)
    command = [sys.executable, *launcher, str(root / "program.py"), str(root), json.dumps(settings)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *names], cwd=ROOT, env=environment, start_new_session=True)


def project(root):
    for name in LOSSES:
        write_mined(root / name / "mined", wanted())
    return root


def test_two_processes_give_the_weights_of_one(tmp_path):
    one, two = project(tmp_path / "one"), project(tmp_path / "two")
    assert start(one, SETTINGS, LOSSES).wait() == 0
    assert start(two, SETTINGS, LOSSES, *TORCHRUN).wait() == 0
    for name in LOSSES:
        final = Path("models/pos_neg/final/open_clip_model.safetensors")
        first, second = load_file(one / name / final), load_file(two / name / final)
        assert max(float((first[key] - second[key]).abs().max()) for key in first) < 1e-5
        tables = [pd.read_csv(root / name / "plots" / "history.csv") for root in (one, two)]
        pd.testing.assert_frame_equal(*tables, rtol=1e-4)


def kill_group_after(process, root, epochs):
    """SIGKILL for the launcher and both processes once ``epochs`` are saved."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        saved = epochs_saved(root / "scratch")
        if saved and saved[0] >= epochs:
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            return
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.005)
    pytest.fail("nothing was saved")


def test_a_group_that_was_killed_goes_on(tmp_path):
    write_mined(tmp_path / "bce" / "mined", wanted())
    settings = {"epochs": 16, "batch_size": 3}
    assert start(tmp_path, settings, ["bce"], *TORCHRUN).wait() == 0
    straight = outputs(tmp_path / "bce")
    (tmp_path / "bce" / "models").rename(tmp_path / "before")
    kill_group_after(start(tmp_path, settings, ["bce"], *TORCHRUN), tmp_path / "bce", epochs=4)
    assert start(tmp_path, settings, ["bce"], *TORCHRUN).wait() == 0
    assert outputs(tmp_path / "bce") == straight
