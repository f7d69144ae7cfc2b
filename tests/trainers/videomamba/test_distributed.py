"""Two processes train as one does, and go on after a kill as one does."""

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

from tests.trainers.test_resume import epochs_saved
from tests.trainers.videomamba.project import outputs

ROOT = Path(__file__).parents[3]
# Small rates: Adam blows the rounding of a gradient that should be zero up to a whole rate.
RATES = {"lr": 0.064, "epochs": 2}
RUNS = {
    # All that presets draw, in batches of which the last has one clip.
    "mixed": {**RATES, "augment": {}, "batch_size": 11, "drop_path": 0.4},
    "accumulated": {**RATES, "augment": {"repeats": 1}, "batch_size": 3, "accumulate": 2},
    "values": {**RATES, "task": "regression", "batch_size": 5},
}
PROGRAM = """
import json
import sys
from pathlib import Path
from pipeline_lib.config import AugmentConfig
from pipeline_lib.runtime.distributed import joined
from pipeline_lib.config import RuntimeConfig
from pipeline_lib.trainers.repeating import repeatable
from pipeline_lib.trainers.videomamba import training
from tests.trainers.videomamba.project import config, places, splits
root = Path(sys.argv[1])
runtime = RuntimeConfig(threads=1, decode_workers=1)
with joined("cpu") as group, repeatable(group.device):
    for name, settings in json.loads(sys.argv[2]).items():
        if "augment" in settings:
            settings["augment"] = AugmentConfig(**settings["augment"])
        data = splits(val=7, values=settings.get("task") == "regression")
        training.open_splits = lambda *_, **__: data
        training.train_videomamba(config(**settings), places(root / name), group, runtime=runtime)
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")

pytestmark = pytest.mark.slow


def start(root, runs, *launcher):
    root.mkdir(exist_ok=True)
    (root / "program.py").write_text(PROGRAM)
    command = [sys.executable, *launcher, str(root / "program.py"), str(root), json.dumps(runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def test_two_processes_give_the_weights_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert start(one, RUNS).wait() == 0
    assert start(two, RUNS, *TORCHRUN).wait() == 0
    for name in RUNS:
        final = Path("models/videomamba/final/model.safetensors")
        first, second = load_file(one / name / final), load_file(two / name / final)
        assert max(float((first[key] - second[key]).abs().max()) for key in first) < 1e-4, name
        tables = [pd.read_csv(root / name / "plots" / "history.csv") for root in (one, two)]
        pd.testing.assert_frame_equal(*tables, rtol=1e-3)


def kill_group_after(process, root, epochs):
    """SIGKILL for the launcher and all processes once ``epochs`` are saved."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        saved = epochs_saved(root / "scratch")
        if saved and saved[-1] >= epochs:
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            return
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.005)
    pytest.fail("nothing was saved")


@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["one", "two"])
def test_a_killed_training_ends_with_the_same_bytes(tmp_path, launcher):
    root = tmp_path / "all"
    runs = {"run": {"epochs": 12, "save_every": 5, "augment": {}, "head_dropout": 0.1}}
    assert start(root, runs, *launcher).wait() == 0
    straight = outputs(root / "run")
    (root / "run" / "models").rename(tmp_path / "before")
    kill_group_after(start(root, runs, *launcher), root / "run", epochs=4)
    assert not (root / "run" / "models").exists()
    assert start(root, runs, *launcher).wait() == 0
    assert len(straight) == 10
    assert outputs(root / "run") == straight
    assert list((root / "run" / "scratch").iterdir()) == []
