"""Two processes pretrain as one does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.trainers.tempme_stop.project import vit
from tests.trainers.videomamba_pretrain.project import outputs

ROOT = Path(__file__).parents[3]
# Batches of four clips, of which the last has a single one, in steps of two batches.
SETTINGS = {
    "batch_size": 4, "accumulate": 2, "drop_path": 0.4, "epochs": 3, "lr": 0.02,
    "aligned_layers": 2, "mask": "attention",
}  # fmt: skip
PROGRAM = """
import json
import sys
from pathlib import Path
from pipeline_lib.config import ClipConfig, RuntimeConfig
from pipeline_lib.runtime.distributed import joined
from pipeline_lib.trainers.videomamba_pretrain.training import pretrain
from tests.trainers.videomamba_pretrain.project import config, places
root, clip = Path(sys.argv[1]), ClipConfig(model=f"local-dir:{sys.argv[3]}", weights="untrained")
settings = config(**json.loads(sys.argv[2]))
with joined("cpu") as group:
    runtime = RuntimeConfig(threads=1, decode_workers=1)
    pretrain(settings, clip, places(root), group, runtime=runtime)
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")

pytestmark = pytest.mark.slow


def pretrained(root, videos, *launcher):
    shutil.copytree(videos / "data", root / "data")
    (root / "program.py").write_text(PROGRAM)
    vit(root.parent)  # one for both, because the published description names it
    command = [sys.executable, *launcher, str(root / "program.py"), str(root)]
    command += [json.dumps(SETTINGS), str(root.parent / "clip")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def test_two_processes_give_the_weights_of_one(tmp_path, videos):
    one, two = tmp_path / "one", tmp_path / "two"
    pretrained(one, videos)
    pretrained(two, videos, *TORCHRUN)
    assert set(outputs(one)) == set(outputs(two))
    final = Path("models/pretrain/final/model.safetensors")
    first, second = load_file(one / final), load_file(two / final)
    assert max(float((first[key] - second[key]).abs().max()) for key in first) < 1e-4
    tables = [pd.read_csv(root / "plots" / "history.csv") for root in (one, two)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-3)
