"""Wherever the work happens: the same bytes, the same failures, the same end."""

import csv
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline_lib.config import ExtractConfig, RuntimeConfig
from pipeline_lib.errors import CliplineError, ConfigError
from pipeline_lib.extraction.engine import Work
from pipeline_lib.extraction.executors import Run
from pipeline_lib.extraction.executors.ray_actors import Backlog, ray_actors
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.extraction.shards import FOLDER, Shard
from pipeline_lib.video.files import find_videos
from tests.support.extraction_runs import (
    FAULTS,
    REASONS,
    ROOT,
    cli,
    extract,
    faulty_videos,
    in_session,
    load,
    mixed_folder,
    start_cli,
    tree,
    wait_until,
)
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


def test_a_second_run_reads_no_video_that_the_first_one_decoded(
    folder, config, tmp_path, monkeypatch
):
    copied = tmp_path / "videos"
    for path in (folder / "train" / "fall").iterdir():
        copied.mkdir(exist_ok=True)
        copied.joinpath(path.name).write_bytes(path.read_bytes())
        os.utime(copied / path.name, (1_500_000_000, 1_500_000_000))
    extract(config, copied, tmp_path / "f", hash_cache=tmp_path / "hashes.json")
    monkeypatch.setattr("pipeline_lib.storage.hash_cache.sha256_file", lambda path: 1 / 0)
    [report] = extract(config, copied, tmp_path / "f", hash_cache=tmp_path / "hashes.json")
    assert len(report.kept) == 6


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


def test_videos_under_suspicion_come_last_one_by_one_and_are_given_up_once_proven():
    videos = works(3)
    backlog = Backlog(videos, actors=1)
    chunk = [backlog.take()[0], backlog.take()[0]]
    assert backlog.lost(chunk) == []
    assert backlog.take() == [videos[2]]
    assert [backlog.take(), backlog.take()] == [[videos[0]], [videos[1]]]
    assert not backlog
    assert backlog.lost([videos[1]]) == []
    assert backlog.take() == [videos[1]]
    [outcome] = backlog.lost([videos[1]])
    assert (outcome.reason, outcome.entries) == ("worker_died", {})
    assert outcome.message.startswith("folder/v01.mp4: 2 Ray actors died")
    assert not backlog


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
def test_actors_that_die_cost_only_the_videos_that_kill_them(config, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    names = [*(f"good {n}" for n in range(8)), "poison", "unlucky", "hangs", "crashes"]
    source = faulty_videos(tmp_path / "v", *names)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAULTS), str(ROOT)]))
    [report] = extract(config, source, tmp_path / "f", executor="ray", decode_stall_s=5.0)
    assert report.extracted == [*(f"good {n}" for n in range(8)), "unlucky"]
    assert {row["file"]: row["reason"] for row in report.failures} == {
        "crashes.mp4": "decoder_crashed",
        "hangs.mp4": "timeout",
        "poison.mp4": "worker_died",
    }
    monkeypatch.delenv("PYTHONPATH")
    for name in ("poison", "hangs", "crashes"):
        (source / f"{name}.mp4").unlink()
    extract(config, source, tmp_path / "plain")
    extract(config, source, tmp_path / "f")
    assert tree(tmp_path / "f") == tree(tmp_path / "plain")


@pytest.mark.slow
def test_a_ray_that_is_open_stays_open_and_errors_arrive_as_they_are(folder, config, tmp_path):
    ray = pytest.importorskip("ray")
    run = load(config, tmp_path / "f", executor="ray")
    works = [Work("a", str(folder / "train" / "fall" / "a.mp4"), (0,))]
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
    try:
        for clip, error, words in (
            (replace(config.clip, seed=9), ConfigError, "would make other features"),
            (replace(config.clip, model="no-such-model"), CliplineError, "no-such-model"),
        ):
            unlike = replace(run.settings, config=replace(config, clip=clip))
            with pytest.raises(error, match=words):
                list(ray_actors(Run(unlike, run.outputs), works))
        outcomes = ray_actors(run, works)
        assert next(outcomes).reason is None
        outcomes.close()
        assert ray.is_initialized()
        gpu = Run(replace(run.settings, runtime=RuntimeConfig(device="cuda")), run.outputs)
        with pytest.raises(ConfigError, match="no machine with a free GPU"):
            list(ray_actors(gpu, works))
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_actors_that_cannot_start_end_the_run(folder, config, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if any('default_worker.py' in word for word in sys.orig_argv):\n"
        "    import pipeline_lib.backbones.loading as loading\n"
        "    loading.load_section = lambda *_: os._exit(9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugin), str(ROOT)]))
    with pytest.raises(CliplineError, match="3 Ray actors died while they loaded") as caught:
        extract(config, folder, tmp_path / "f", executor="ray", ray_actors=1)
    assert "--executor process" in caught.value.hint


@pytest.mark.slow
def test_a_driver_that_is_interrupted_takes_everything_along(config, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    source = faulty_videos(tmp_path / "v", "hangs 1", "hangs 2")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAULTS), str(ROOT)]))
    log = tmp_path / "decoded"
    log.touch()
    process = start_cli(
        "extract", "clip", source, "--out", tmp_path / "f", *model_options(config),
        "--executor", "ray", cwd=tmp_path, DECODE_LOG=str(log),
    )  # fmt: skip
    wait_until(lambda: log.read_text())
    os.kill(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, "Traceback" in errors) == ("", False)
    wait_until(lambda: not in_session(process.pid), 10.0)


def test_ray_that_is_not_installed(folder, config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="needs the package ray") as caught:
        extract(config, folder, tmp_path, executor="ray")
    assert "pip install 'clipline[ray]'" in caught.value.hint
