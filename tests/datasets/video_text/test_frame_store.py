"""Frames on disk: what a decode gives, resumed, shared, never invented."""

import logging
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.datasets.video_text import VideoItem, frame_store
from pipeline_lib.datasets.video_text.frame_store import open_frames
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.video.sampling import sample_video
from pipeline_lib.video.scaling import Resize
from tests.support.video_files import constant_rate, garbage

RESIZE = Resize(32, crop=32)


def opened(items, folder, cache="disk", **options):
    settings = {"frames": 4, "draws": 1, "resize": RESIZE, **options}
    return open_frames(items, cache=cache, folder=folder, **settings)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.npy"))}


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[VideoItem]:
    """Three videos of 2 s, the first with three segments."""
    folder = tmp_path_factory.mktemp("videos")
    paths = [constant_rate(folder / f"{n}.mp4", 50, 25, gop=6 + n) for n in range(3)]
    segments = [(0.0, 1.0), (0.5, 2.0), (0.0, None)]
    first = [VideoItem(f"a{n}", paths[0], *bounds) for n, bounds in enumerate(segments)]
    return [*first, VideoItem("b", paths[1]), VideoItem("c", paths[2], at_most_s=1.0)]


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_what_is_read_is_what_a_decode_gives(items, tmp_path, cache):
    store = opened(items, tmp_path, cache)
    ends = [1.0, 2.0, None, None, 1.0]
    for row, (item, end_s) in enumerate(zip(items, ends, strict=True)):
        alone = sample_video(item.path, 4, RESIZE, start_s=item.start_s, end_s=end_s)
        np.testing.assert_array_equal(store.read(row), alone.frames)
    assert store.usable.tolist() == [True] * 5
    assert store.failures == ()
    assert len(store) == 5


def test_both_caches_and_any_workers_are_alike(items, tmp_path):
    one = opened(items, tmp_path / "1", workers=1)
    many = opened(items, tmp_path / "4", workers=4)
    none = opened(items, tmp_path / "0", "none")
    assert content(tmp_path / "1") == content(tmp_path / "4") != {}
    assert content(tmp_path / "0") == {}
    assert one.sha256 == many.sha256 == none.sha256
    for row in range(len(items)):
        np.testing.assert_array_equal(one.read(row), none.read(row))
    assert opened(items, tmp_path / "1", frames=5).sha256 != one.sha256
    assert opened(items[:4], tmp_path / "1").sha256 != one.sha256


def test_draws_are_kept_side_by_side(items, tmp_path):
    single = opened(items, tmp_path)
    triple = opened(items, tmp_path, draws=3)
    assert triple.read(0).shape == (12, 32, 32, 3)
    # The middle one of three is the frame without draws.
    np.testing.assert_array_equal(triple.read(3)[1::3], single.read(3))


def counted(monkeypatch) -> list[Path]:
    seen: list[Path] = []
    real = frame_store.sample_video_once

    def counting(path, *arguments):
        seen.append(path)
        return real(path, *arguments)

    monkeypatch.setattr(frame_store, "sample_video_once", counting)
    return seen


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_a_video_is_decoded_once_and_only_when_new(items, tmp_path, monkeypatch, cache):
    seen = counted(monkeypatch)
    opened(items, tmp_path, cache)
    assert sorted(path.name for path in seen) == ["0.mp4", "1.mp4", "2.mp4"]
    seen.clear()
    opened(items, tmp_path, cache)
    assert seen == []
    copied = tmp_path / "renamed.mp4"
    shutil.copy(items[3].path, copied)
    opened([VideoItem("other name", copied)], tmp_path, cache)
    assert seen == []
    shutil.copy(items[4].path, copied)
    opened([VideoItem("other name", copied)], tmp_path, cache)
    assert seen == [copied]


def test_cut_and_lost_files_are_made_again(items, tmp_path):
    opened(items, tmp_path)
    before = content(tmp_path)
    files = sorted(tmp_path.rglob("*.npy"))
    files[0].write_bytes(files[0].read_bytes()[:-1])
    files[1].unlink()
    opened(items, tmp_path)
    assert content(tmp_path) == before


def test_a_file_that_goes_wrong_later_is_named(items, tmp_path):
    store = opened(items[:1], tmp_path)
    [file] = tmp_path.rglob("*.npy")
    np.save(file, np.zeros((4, 32, 32, 3), np.float32))
    with pytest.raises(DataError, match=r"\.npy: float32 \[4, 32, 32, 3\].*\n.*Remove it"):
        store.read(0)
    file.unlink()
    with pytest.raises(DataError, match=r"\.npy: cannot be read"):
        store.read(0)


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_broken_videos_are_listed_and_never_read(items, tmp_path, caplog, cache):
    videos = tmp_path / "videos"
    cut = constant_rate(videos / "cut.mkv", 100)
    cut.write_bytes(cut.read_bytes()[:-2000])
    (videos / "empty.mp4").write_bytes(b"")
    bad = [
        VideoItem("garbage", garbage(videos / "garbage.mp4")),
        VideoItem("empty", videos / "empty.mp4"),
        VideoItem("gone", videos / "gone.mp4"),
        VideoItem("cut", cut),
        VideoItem("beyond", items[0].path, 1.0, 9.0),
    ]
    store = opened([bad[0], items[0], *bad[1:]], tmp_path / "store", cache)
    assert store.usable.tolist() == [False, True, False, False, False, False]
    assert [failure.id for failure in store.failures] == [item.id for item in bad]
    reasons = [failure.reason for failure in store.failures]
    assert "garbage.mp4" in reasons[0]
    assert "empty.mp4: the file is empty" in reasons[1]
    assert "gone.mp4: no such file" in reasons[2]
    assert "cut.mkv" in reasons[3]
    assert "beyond: end_s = 9, but the video ends at 2 s" in reasons[4]
    assert "5 of 6 videos are left out" in caplog.text
    with pytest.raises(DataError, match=r"empty: .*the file is empty"):
        store.read(2)
    with pytest.raises(DataError, match="None of 1 videos or segments can be read"):
        opened(bad[:1], tmp_path / "store", cache)


def test_whether_a_segment_can_be_read_does_not_depend_on_others(items, tmp_path):
    path = tmp_path / "hurt.mkv"
    content_of = bytearray(constant_rate(path, 200, gop=5).read_bytes())
    middle = len(content_of) * 3 // 4
    content_of[middle : middle + 600] = bytes(600)
    path.write_bytes(content_of)
    early, late = VideoItem("early", path, 0.0, 1.0), VideoItem("late", path, 4.0, 7.5)
    both = opened([early, late], tmp_path / "both")
    alone = opened([early], tmp_path / "alone")
    assert both.usable.tolist() == [True, False]
    np.testing.assert_array_equal(both.read(0), alone.read(0))


def test_the_disk_is_not_filled(items, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    usage = shutil.disk_usage(tmp_path)._replace(free=(256 << 20) + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ConfigError, match=r"5 videos or segments take 0\.1 MB.*\n.*cache: none"):
        opened(items, tmp_path)
    assert f"frames of 5 videos or segments: 0.1 MB in {tmp_path}" in caplog.text
    assert content(tmp_path) == {}
    opened(items, tmp_path, "none")


def test_only_pictures_of_one_shape(items, tmp_path):
    with pytest.raises(ValueError, match="crop"):
        opened(items, tmp_path, resize=Resize(32))
    squashed = opened(items, tmp_path, resize=Resize(16, mode="squash"))
    assert squashed.read(0).shape == (4, 16, 16, 3)


def _open_and_pause(items, folder, started):
    """In another process: a decode that stops with a file half written."""
    real = np.save

    def slow(path, frames):
        started.set()
        time.sleep(30)
        real(path, frames)

    np.save = slow
    opened(items, folder, workers=1)


def test_a_killed_run_leaves_nothing_half(items, tmp_path):
    spawn = multiprocessing.get_context("fork")
    started = spawn.Event()
    run = spawn.Process(target=_open_and_pause, args=(items, tmp_path, started))
    run.start()
    assert started.wait(20)
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    assert list(tmp_path.rglob(".*.npy"))
    store = opened(items, tmp_path)
    assert not list(tmp_path.rglob(".*.npy"))
    assert store.usable.all()
    opened(items, tmp_path / "fresh")
    assert content(tmp_path / "fresh").items() <= content(tmp_path).items()


def test_processes_at_once_do_the_work_once(items, tmp_path):
    fork = multiprocessing.get_context("fork")
    runs = [fork.Process(target=opened, args=(items, tmp_path)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0] * 4
    opened(items, tmp_path / "fresh")
    assert content(tmp_path / "fresh").items() <= content(tmp_path).items()
    assert len(content(tmp_path)) == len(items)
