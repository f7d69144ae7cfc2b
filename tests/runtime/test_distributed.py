import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime import distributed
from pipeline_lib.runtime.distributed import ALONE, Group, joined, require_alone

ROOT = Path(__file__).parents[2]


def test_alone_needs_no_torch_distributed():
    rows = torch.randn(3, 2, requires_grad=True)
    gathered = ALONE.gather_rows(rows, 3)
    assert torch.equal(gathered, rows)
    assert not gathered.requires_grad
    ALONE.sum_in_place([rows])
    ALONE.barrier()
    assert ALONE.is_main
    assert ALONE.from_main({"a": 1}) == {"a": 1}
    with joined("cpu") as group:
        assert (group.rank, group.world, group.device.type) == (0, 1, "cpu")


@pytest.mark.parametrize("n", [0, 1, 2, 5, 7])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_shares_are_contiguous_and_even(n, world):
    shares = [range(n)[Group(torch.device("cpu"), r, world).share(n)] for r in range(world)]
    assert [i for share in shares for i in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_buckets_keep_the_order_and_the_size(monkeypatch):
    monkeypatch.setattr(distributed, "_BUCKET", 10)
    tensors = [torch.zeros(size) for size in (4, 6, 1, 25, 3)]
    buckets = list(distributed._buckets(tensors))
    assert [[len(t) for t in bucket] for bucket in buckets] == [[4, 6], [1], [25], [3]]


@pytest.mark.parametrize(
    ("name", "local_rank", "message"),
    [("cuda:1", "0", "several processes need a GPU each"), ("auto", "2", r"than GPUs \(2\)")],
)
def test_a_gpu_for_each_process(monkeypatch, name, local_rank, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    with pytest.raises(ConfigError, match=message):
        distributed._own_device(name)


def test_the_first_process_logs_for_all(caplog):
    caplog.set_level(logging.INFO, logger="pipeline_lib")
    for rank in (0, 1):
        with distributed._heard_once(Group(torch.device("cpu"), rank, 2)):
            logging.getLogger("pipeline_lib.x").info("from %d", rank)
    assert caplog.messages == ["from 0"]


def test_what_one_process_does_is_refused_once(monkeypatch):
    require_alone("train coop")
    monkeypatch.setattr(distributed.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(distributed, "_GRACE_S", 0.0)
    monkeypatch.setenv("WORLD_SIZE", "1")
    require_alone("train coop")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match=r"the work of one process, .* started 2"):
        require_alone("train coop")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as ended:
        require_alone("train coop")
    assert ended.value.code == 2


def torchrun(folder, program):
    (folder / "program.py").write_text(program)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [sys.executable, *launcher, folder / "program.py", str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True,
    )  # fmt: skip


EXCHANGE = """
import sys
from pathlib import Path
import torch
from pipeline_lib.runtime import distributed
from pipeline_lib.runtime.distributed import joined
distributed._BUCKET = 4
with joined("cpu") as group:
    for n in (0, 1, 2, 5):
        rows = torch.arange(2.0 * n).reshape(n, 2)
        assert torch.equal(group.gather_rows(rows[group.share(n)], n), rows), n
    sums = [torch.full(shape, 1.0 + group.rank) for shape in ((2, 3), (1,), (3,), ())]
    group.sum_in_place(sums)
    assert all((tensor == 3).all() for tensor in sums)
    assert group.from_main(group.rank) == 0
    (Path(sys.argv[1]) / f"done{group.rank}").touch()
"""
FAILING = """
import sys
from pipeline_lib.errors import DataError
from pipeline_lib.runtime.distributed import joined
try:
    with joined("cpu") as group:
        if group.rank == {rank} or {rank} is None:
            raise DataError("bad data")
        group.barrier()
except DataError as error:
    print("heard:", error, flush=True)
    sys.exit(2)
"""


@pytest.mark.slow
def test_two_processes_exchange(tmp_path):
    done = torchrun(tmp_path, EXCHANGE)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("done*")) == ["done0", "done1"]


KILLED = """
import os, signal
from pipeline_lib.errors import CliplineError
from pipeline_lib.runtime.distributed import joined
try:
    with joined("cpu") as group:
        group.barrier()
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        group.barrier()
except CliplineError as error:
    print("heard:", error, flush=True)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_in_one_line(tmp_path):
    done = torchrun(tmp_path, KILLED)
    assert done.returncode != 0
    assert done.stdout.count("heard: Another process of the training has ended") == 1


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1, None])
def test_an_error_is_heard_once_and_ends_all(tmp_path, rank):
    done = torchrun(tmp_path, FAILING.format(rank=rank))
    assert done.returncode != 0
    assert done.stdout.count("heard: bad data") == 1
