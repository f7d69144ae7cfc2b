"""Parts of a run: which videos are whose, who sums up, and what launchers say."""

import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.extraction.shards import (
    FOLDER,
    Part,
    Shard,
    begin,
    choose_shard,
    claim,
    clear,
    gather_parts,
    leave_part,
)
from pipeline_lib.storage.features import VideoEntry


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_parts_cover_everything_once_and_evenly(count):
    items = list(range(17))
    parts = [Shard(index, count).part(items) for index in range(count)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("0/8", {}, Shard(0, 8)),
        ("7/8", {"RANK": "1", "WORLD_SIZE": "2"}, Shard(7, 8)),
        (None, {"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, Shard(3, 4)),
        (None, {"RANK": "1", "WORLD_SIZE": "2"}, Shard(1, 2)),
        # torchrun inside an allocation: its ranks divide the work, not the one task of the step.
        (
            None,
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "RANK": "1", "WORLD_SIZE": "2"},
            Shard(1, 2),
        ),
    ],
)
def test_the_part_is_named_or_told_by_the_launcher(text, environment, expected):
    assert choose_shard(text, environment) == expected


@pytest.mark.parametrize("text", ["8/8", "1", "a/b", "-1/3", "0/0", "1/2/3", ""])
def test_what_is_no_part(text):
    with pytest.raises(ConfigError, match="is no part of a whole"):
        choose_shard(text, {})


@pytest.mark.parametrize("environment", [{}, {"RANK": "0"}, {"SLURM_NTASKS": "2"}])
def test_no_part_is_an_error_that_names_the_launchers(environment):
    with pytest.raises(ConfigError, match="needs to know its part") as caught:
        choose_shard(None, environment)
    for word in ("--shard 0/8", "srun", "torchrun"):
        assert word in caught.value.hint


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("x", "2")])
def test_a_launcher_that_contradicts_itself(rank, size):
    with pytest.raises(ConfigError, match=f"Shard '{rank}/{size}' is no part"):
        choose_shard(None, {"RANK": rank, "WORLD_SIZE": size})


def test_a_job_array_names_the_part_itself():
    """Its tasks are all rank 0 of 1, and one that is submitted again sees another count."""
    array = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "8"}
    array |= {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
    with pytest.raises(ConfigError, match="job array") as caught:
        choose_shard(None, array)
    assert "--shard $SLURM_ARRAY_TASK_ID/8" in caught.value.hint
    assert choose_shard("5/8", array) == Shard(5, 8)


def entry(name: str) -> VideoEntry:
    return VideoEntry(name, 3, 2, 2.5, 0, {".npy": 320})


def part(*names: str) -> Part:
    row = {"video": f"bad {names[0]}", "file": "x.mp4", "reason": "empty", "message": "x"}
    return Part({name: entry(name) for name in names}, [row])


def test_nobody_sums_up_before_all_are_done(tmp_path):
    leave_part(tmp_path, Shard(2, 3), "key", part("c"))
    leave_part(tmp_path, Shard(0, 3), "key", part("a", "d"))
    assert gather_parts(tmp_path, 3, "key") is None
    leave_part(tmp_path, Shard(1, 3), "other settings", part("b"))
    assert gather_parts(tmp_path, 3, "key") is None
    leave_part(tmp_path, Shard(1, 3), "key", part("b"))
    whole = gather_parts(tmp_path, 3, "key")
    assert whole.entries == {name: entry(name) for name in "abcd"}
    assert [row["video"] for row in whole.failures] == ["bad a", "bad b", "bad c"]


def test_parts_of_another_division_do_not_count(tmp_path):
    leave_part(tmp_path, Shard(0, 2), "key", part("a"))
    assert gather_parts(tmp_path, 1, "key") is None


def test_one_sums_up_and_one_that_begins_anew_may_again(tmp_path):
    leave_part(tmp_path, Shard(0, 1), "key", part("a"))
    assert [claim(tmp_path), claim(tmp_path)] == [True, False]
    begin(tmp_path, Shard(0, 1))
    assert gather_parts(tmp_path, 1, "key") is None
    leave_part(tmp_path, Shard(0, 1), "key", part("a"))
    assert claim(tmp_path)
    clear(tmp_path)
    assert not (tmp_path / FOLDER).exists()
    clear(tmp_path)
    assert not claim(tmp_path)
