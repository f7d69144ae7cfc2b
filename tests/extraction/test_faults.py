"""What goes wrong under a run: decoders, workers, disks, and the run itself being stopped."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline_lib.config import ExtractConfig
from pipeline_lib.extraction.engine import Work
from pipeline_lib.extraction.executors import EXECUTORS
from pipeline_lib.storage.features import read_meta
from tests.support.extraction_runs import (
    FAULTS,
    ROOT,
    cli,
    extract,
    faulty_videos,
    in_session,
    load,
    start_cli,
    tree,
    wait_until,
)
from tests.support.tiny_clip import untrained_clip

BATCH = 8
# 2 decoders have one video each; those behind them wait for a batch to be full or to be done:
# 4 samples a video, 8 a batch, at most 2 batches at work, 1 waiting and 1 filling.
MOST_IN_FLIGHT = 2 + 4 * BATCH // 4


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    clip = untrained_clip(tmp_path_factory.mktemp("clip"))
    return ExtractConfig(clip=clip, batch_size=BATCH, precision="fp32")


@pytest.fixture
def faulty(monkeypatch):
    """Decoding processes do what the names of the videos say."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAULTS), str(ROOT)]))
    return monkeypatch


def command(config: ExtractConfig, source: Path, out: Path, *more: object) -> list[object]:
    model = ["--model", config.clip.model, "--weights", "untrained", "--precision", "fp32"]
    return ["extract", "clip", source, "--out", out, *model, *more]


def decoders_of(leader: int) -> list[str]:
    """Decoding processes in the session of ``leader``."""
    return [line for line in in_session(leader) if "decode_child" in line]


def own_decoders() -> list[str]:
    """Those of this process: tests beside it have their own in the same session."""
    return [line for line in decoders_of(os.getsid(0)) if f" {os.getpid()} " in f"{line} "]


def params(folder: Path) -> Path:
    """Small batches, as in the library's tests."""
    path = folder / "params.yaml"
    path.write_text(f"data: {{root: data}}\nextract: {{batch_size: {BATCH}}}\n")
    return path


def failures(out: Path) -> dict[str, str]:
    with (out / "clip" / "failures.csv").open(newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def test_decoders_that_hang_or_crash_or_hog_are_rows(config, faulty, tmp_path):
    names = ("good 1", "hangs", "good 2", "spins", "crashes", "good 3", "hogs", "good 4")
    source = faulty_videos(tmp_path / "v", *names)
    [report] = extract(config, source, tmp_path / "f", decode_workers=3, decode_stall_s=3.0)
    assert report.extracted == ["good 1", "good 2", "good 3", "good 4"]
    assert failures(tmp_path / "f") == {
        "crashes.mp4": "decoder_crashed",
        "hangs.mp4": "timeout",
        "hogs.mp4": "out_of_memory",
        "spins.mp4": "timeout",
    }
    texts = {row["file"]: row["message"] for row in report.failures}
    assert "died (SIGSEGV)" in texts["crashes.mp4"]
    assert "did nothing for 3 s" in texts["spins.mp4"]
    assert len(tree(tmp_path / "f")) == 3 * 4 + 2


@pytest.mark.slow
def test_a_slow_video_that_moves_on_is_not_stopped(config, faulty, tmp_path):
    faulty.setenv("SLOW_S", "0.25")
    source = faulty_videos(tmp_path / "v", "good", frames=26)
    begin = time.monotonic()
    every_frame = replace(config, every_s=0.04)
    [report] = extract(every_frame, source, tmp_path / "f", decode_stall_s=3.0)
    assert time.monotonic() - begin > 2 * 3.0
    assert report.extracted == ["good"]


def test_a_run_stopped_from_outside_leaves_no_decoder(config, faulty, tmp_path):
    source = faulty_videos(tmp_path / "v", *(f"good {n}" for n in range(8)), "hangs 1", "hangs 2")
    run = load(config, tmp_path / "f", decode_workers=3)
    work = [Work(path.stem, str(path), (0,)) for path in sorted(source.iterdir(), reverse=True)]
    outcomes = EXECUTORS.get("process")(run, work)
    assert next(outcomes).work.video_id.startswith("good")
    assert len(own_decoders()) >= 2  # those that hang; the third may be through already
    begin = time.monotonic()
    outcomes.close()
    assert time.monotonic() - begin < 2.0
    assert own_decoders() == []


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(config, faulty, tmp_path):
    source = faulty_videos(tmp_path / "v", *(f"video {n}" for n in range(6)))
    done = cli(*command(config, source, tmp_path / "f"), cwd=tmp_path, FULL_AFTER="7")
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Free some disk space and run again" in done.stderr
    assert "Traceback" not in done.stderr
    names = sorted(tree(tmp_path / "f"))
    # Three files a video, the seventh belongs to a third one that is not complete.
    assert len(names) == 7
    assert not any("partial" in name for name in names)
    again = cli(*command(config, source, tmp_path / "f"), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "4 extracted" in again.stdout


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB that can be mounted again with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True
        )
        if made.returncode:
            pytest.skip("may not mount")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_disk_that_is_really_full(config, small_disk, tmp_path):
    source = faulty_videos(tmp_path / "v", *(f"video {n}" for n in range(12)))
    out = small_disk("size=64k")
    done = cli(*command(config, source, out), cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "No space left on device" in done.stderr
    names = list(tree(out))
    assert names
    assert not any("partial" in name for name in names)
    whole = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    assert all(read_meta(out, video_id) for video_id in whole)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_an_output_that_cannot_be_written(config, small_disk, tmp_path):
    source = faulty_videos(tmp_path / "v", "good")
    done = cli(*command(config, source, small_disk("size=64k,ro")), cwd=tmp_path)
    assert done.returncode == 2
    assert "Read-only file system" in done.stderr
    assert "Choose an output folder that can be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_output_below_a_file(config, tmp_path):
    source = faulty_videos(tmp_path / "v", "good")
    (tmp_path / "f").write_text("in the way")
    done = cli(*command(config, source, tmp_path / "f"), cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "A file stands where a folder is needed" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_a_signal_ends_everything_soon(config, faulty, tmp_path, which, code):
    source = faulty_videos(tmp_path / "v", "hangs 1", "good", "hangs 2", frames=100)
    log = tmp_path / "decoded"
    log.touch()
    process = start_cli(*command(config, source, tmp_path / "f"), cwd=tmp_path, DECODE_LOG=str(log))
    wait_until(lambda: "hangs 2.mp4" in log.read_text())
    assert len(decoders_of(process.pid)) == 2
    # Ctrl-C reaches the whole group; a scheduler that stops a job tells its first process.
    stop = os.killpg if which == signal.SIGINT else os.kill
    stop(process.pid, which)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begin < 2.0
    wait_until(lambda: not in_session(process.pid), 2.0)
    assert process.returncode == code
    assert "Traceback" not in errors


@pytest.mark.slow
def test_twenty_kills_cost_little_and_change_nothing(config, faulty, tmp_path):
    source = faulty_videos(tmp_path / "v", *(f"video {n:02}" for n in range(60)))
    extract(config, source, tmp_path / "straight")
    log = tmp_path / "decoded"
    environment = {"DECODE_LOG": str(log), "SLOW_S": "0.05"}
    arguments = command(config, source, tmp_path / "f", "--params", params(tmp_path))
    delays = random.Random(7)
    for _ in range(20):
        log.touch()
        begun = len(log.read_text().splitlines())
        process = start_cli(*arguments, cwd=tmp_path, **environment)
        wait_until(lambda: len(log.read_text().splitlines()) > begun or process.poll() is not None)  # noqa: B023
        time.sleep(delays.uniform(0.0, 0.9))
        process.kill()
        process.communicate()
        wait_until(lambda: not in_session(process.pid), 2.0)  # noqa: B023
        # A kill may leave a hidden unfinished file, which no reader sees: `[!.]` passes it over.
        metas = (tmp_path / "f" / "clip").glob("[!.]*.json")
        stand = [p.stem for p in metas if p.stem != "manifest"]
        broken = [name for name in stand if not read_meta(tmp_path / "f" / "clip", name)]
        assert broken == [], sorted(p.name for p in (tmp_path / "f" / "clip").iterdir())
    done = cli(*arguments, cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    redone = len(log.read_text().splitlines()) - 60
    print("videos decoded again after 20 kills:", redone)
    assert redone <= 20 * MOST_IN_FLIGHT
    assert tree(tmp_path / "f") == tree(tmp_path / "straight")
