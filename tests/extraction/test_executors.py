"""Wherever the work happens: the same bytes, the same failures, the same end."""

import csv
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline_lib.config import ExtractConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.extraction.engine import Work
from pipeline_lib.extraction.executors.ray_actors import Backlog
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.extraction.shards import FOLDER, Shard
from pipeline_lib.video.files import find_videos
from tests.support.extraction_runs import REASONS, cli, extract, load, mixed_folder, tree
from tests.support.tiny_clip import untrained_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return mixed_folder(tmp_path_factory.mktemp("mixed") / "videos")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    clip = untrained_clip(tmp_path_factory.mktemp("clip"))
    return ExtractConfig(clip=clip, batch_size=8, precision="fp32")


@pytest.fixture(scope="module")
def expected(folder, config, tmp_path_factory):
    """What the plainest executor makes."""
    out = tmp_path_factory.mktemp("serial")
    [report] = extract(config, folder, out, executor="serial")
    assert (len(report.extracted), len(report.failures)) == (12, len(REASONS))
    return tree(out)


def failed_files(files: dict[str, bytes]) -> dict[str, str]:
    rows = csv.DictReader(files["clip/failures.csv"].decode().splitlines())
    return {row["file"]: row["reason"] for row in rows}


def test_every_bad_video_is_told_by_its_own_reason(expected):
    assert failed_files(expected) == REASONS
    assert "clip/train/fall/-rf.npy" in expected
    assert "clip/val/쓰러짐 é/낙상.npz" in expected


@pytest.mark.parametrize("workers", [1, 3])
def test_processes_make_the_same_bytes(folder, config, expected, tmp_path, workers):
    extract(config, folder, tmp_path, decode_workers=workers, threads=3 - workers // 2)
    assert tree(tmp_path) == expected


@pytest.mark.parametrize("own", [True, False])
def test_shards_in_any_order_make_the_same_bytes(folder, config, expected, tmp_path, own):
    reports = []
    for index in (2, 0, 1):
        reports += extract(config, folder, tmp_path, own=own, shard=Shard(index, 3))
        assert (tmp_path / "clip" / "manifest.json").exists() == (len(reports) == 3)
    assert tree(tmp_path) == expected
    assert sum(len(report.extracted) for report in reports) == 12
    assert sum(len(report.failures) for report in reports) == len(REASONS)
    assert [report.pruned for report in reports] == [[], [], []]


def test_shards_at_the_same_time_make_the_same_bytes(folder, config, expected, tmp_path):
    run = load(config, tmp_path, executor="shard", decode_workers=1)
    found = find_videos(folder)

    def part(index):
        return Extraction(run, own_directory=True, shard=Shard(index, 3)).extract(found)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(part, range(3)))
    assert tree(tmp_path) == expected


def test_a_shard_that_runs_again_keeps_what_stands(folder, config, expected, tmp_path):
    for index in range(3):
        extract(config, folder, tmp_path, shard=Shard(index, 3))
    [report] = extract(config, folder, tmp_path, shard=Shard(1, 3))
    assert report.extracted == []
    assert tree(tmp_path)["clip/manifest.json"] == expected["clip/manifest.json"]


def test_a_run_without_shards_sums_up_what_shards_left(folder, config, expected, tmp_path):
    for index in (0, 2):
        extract(config, folder, tmp_path, shard=Shard(index, 3))
    assert (tmp_path / "clip" / FOLDER).exists()
    [report] = extract(config, folder, tmp_path)
    assert len(report.extracted) == 4
    assert tree(tmp_path) == expected


def test_two_backbones_in_one_decode_are_each_as_alone(folder, config, tmp_path):
    other = untrained_clip(tmp_path / "model")
    both = ExtractConfig(
        clip=config.clip,
        clip_untrained=type(other)(model=other.model, weights="untrained", seed=5),
        batch_size=8,
        precision="fp32",
    )
    together = extract(both, folder, tmp_path / "both", ("clip", "clip_untrained"))
    assert len({report.samples for report in together}) == 1
    for name in ("clip", "clip_untrained"):
        extract(both, folder, tmp_path / "alone", (name,))
    assert tree(tmp_path / "both") == tree(tmp_path / "alone")
    clip, control = (tree(tmp_path / "both" / name) for name in ("clip", "clip_untrained"))
    assert clip["train/fall/a.npy"] != control["train/fall/a.npy"]


def works(count):
    return [Work(f"v{n:02}", f"folder/v{n:02}.mp4", (0,)) for n in range(count)]


def test_chunks_for_actors_become_smaller_towards_the_end():
    backlog = Backlog(works(100), actors=2)
    sizes = []
    while backlog:
        sizes.append(len(backlog.take()))
    assert sizes[:5] == [16, 16, 16, 13, 9]
    assert sum(sizes) == 100
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_a_lost_chunk_is_tried_one_by_one_and_its_culprit_given_up():
    first, second, third = works(3)
    backlog = Backlog([first, second, third], actors=1)
    assert backlog.lost([first, second]) == []
    order = list(itertools.islice(iter(lambda: backlog.take(), None), 3))
    assert [chunk[0] for chunk in order] == [first, second, third] or len(order[0]) >= 1
    assert backlog.lost([second]) == []
    [outcome] = backlog.lost([second])
    assert outcome.reason == "worker_died"
    assert outcome.message.startswith("folder/v01.mp4: 2 Ray actors died")


def model_options(config):
    return ["--model", config.clip.model, "--weights", "untrained"]


@pytest.mark.slow
def test_every_executor_ends_the_same_way_on_the_command_line(folder, config, tmp_path):
    trees, codes, lines = {}, {}, {}
    common = ["extract", "clip", folder, *model_options(config)]
    for executor in ("serial", "process", "ray"):
        done = cli(*common, "--out", tmp_path / executor, "--executor", executor, cwd=tmp_path)
        trees[executor] = tree(tmp_path / executor)
        codes[executor] = done.returncode
        lines[executor] = done.stdout.replace(executor, "X")
        assert "21 videos" not in done.stdout
        assert "Traceback" not in done.stderr, done.stderr
    with ThreadPoolExecutor(3) as threads:
        shards = list(
            threads.map(
                lambda n: cli(
                    *common, "--out", tmp_path / "shard", "--shard", f"{n}/3", cwd=tmp_path
                ),
                range(3),
            )
        )
    trees["shard"] = tree(tmp_path / "shard")
    codes["shard"] = max(done.returncode for done in shards)
    assert codes == dict.fromkeys(("serial", "process", "ray", "shard"), 2)
    assert lines["process"] == lines["serial"] == lines["ray"]
    for executor in ("process", "ray", "shard"):
        assert trees[executor] == trees["serial"]


@pytest.mark.slow
def test_ray_takes_relative_paths_and_more_actors_than_cpus(folder, config, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.chdir(folder.parent)
    source = folder.relative_to(folder.parent)
    extract(config, source, tmp_path / "process")
    extract(config, source, tmp_path / "ray", executor="ray", ray_actors=50)
    assert tree(tmp_path / "ray") == tree(tmp_path / "process")


@pytest.mark.slow
def test_ray_leaves_its_errors_as_they_are(folder, config, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    weights = tmp_path / "open_clip_config.json"
    extract(config, folder, tmp_path / "f")
    assert not weights.exists()


def test_ray_that_is_not_installed(folder, config, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match="needs the package ray") as caught:
        extract(config, folder, tmp_path, executor="ray")
    assert "pip install 'clipline[ray]'" in caught.value.hint
