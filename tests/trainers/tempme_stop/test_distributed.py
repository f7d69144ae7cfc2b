"""Two processes train as one does, in every mode, and go on after a kill as one does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.trainers.tempme_stop.project import outputs, vit
from tests.trainers.test_resume import epochs_saved

ROOT = Path(__file__).parents[3]
# Small rates: Adam blows the rounding of a gradient that should be zero up to a whole rate.
RATES = {"tempme_lr": 1e-3, "stop_lr": 1e-3}
RUNS = {
    # Batches of five, of which the last has two captions, and videos that both processes share.
    "joint": {**RATES, "batch_size": 5, "accumulate": 2, "frame_draws": 2},
    "alike": {**RATES, "batch_size": 6, "alike": 3},
    "sequential": {**RATES, "mode": "sequential", "batch_size": 4},
    "reranked": {**RATES, "sim_header": "tightTransf", "batch_size": 3},
}
PROGRAM = """
import json
import sys
from pathlib import Path
from pipeline_lib.config import ClipConfig
from pipeline_lib.runtime.distributed import joined
from pipeline_lib.trainers.tempme_stop.training import train_tempme_stop
from tests.trainers.tempme_stop.project import config, places
root, clip = Path(sys.argv[1]), ClipConfig(model=f"local-dir:{sys.argv[3]}", weights="untrained")
with joined("cpu") as group:
    for name, settings in json.loads(sys.argv[2]).items():
        own = root / name
        train_tempme_stop(config(**settings), clip, places(own), group, threads=1)
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")

pytestmark = pytest.mark.slow


def start(root, runs, *launcher):
    root.mkdir(exist_ok=True)
    (root / "program.py").write_text(PROGRAM)
    vit(root.parent)  # one for all, because the published description names it
    command = [sys.executable, *launcher, str(root / "program.py"), str(root), json.dumps(runs)]
    command.append(str(root.parent / "clip"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def test_two_processes_give_the_weights_of_one(tmp_path, videos):
    for name in RUNS:
        for processes in ("one", "two"):
            # Copies: the encoder's threads do not write the same file twice.
            shutil.copytree(videos, tmp_path / processes / name / "data")
    one, two = tmp_path / "one", tmp_path / "two"
    assert start(one, RUNS).wait() == 0
    assert start(two, RUNS, *TORCHRUN).wait() == 0
    for name in RUNS:
        final = Path("models/tempme_stop/final/adapters.safetensors")
        first, second = load_file(one / name / final), load_file(two / name / final)
        assert max(float((first[key] - second[key]).abs().max()) for key in first) < 1e-5, name
        tables = [pd.read_csv(root / name / "plots" / "history.csv") for root in (one, two)]
        pd.testing.assert_frame_equal(*tables, rtol=1e-3)


def kill_group_after(process, root, phases, epochs):
    """SIGKILL for the launcher and all processes once ``epochs`` of the last phase are saved."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        saved = epochs_saved(root / "scratch")
        if len(saved) == phases and saved[-1] >= epochs:
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            return
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.005)
    pytest.fail("nothing was saved")


@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["one", "two"])
def test_a_training_killed_in_both_phases_ends_with_the_same_bytes(tmp_path, videos, launcher):
    root = tmp_path / "all"
    shutil.copytree(videos, root / "run" / "data")
    runs = {"run": {"mode": "sequential", "epochs": 12, "save_every": 5, "batch_size": 4}}
    assert start(root, runs, *launcher).wait() == 0
    straight = outputs(root / "run")
    (root / "run" / "models").rename(tmp_path / "before")
    kill_group_after(start(root, runs, *launcher), root / "run", phases=1, epochs=4)
    kill_group_after(start(root, runs, *launcher), root / "run", phases=2, epochs=3)
    assert not (root / "run" / "models").exists()
    assert start(root, runs, *launcher).wait() == 0
    assert len(straight) == 18
    assert outputs(root / "run") == straight
    assert list((root / "run" / "scratch").iterdir()) == []
