"""Frames of clips: the numbers that were asked for, kept or decoded, and never made up."""

import dataclasses
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.video_clips import ClipItem, ClipList, video_files
from pipeline_lib.datasets.video_clips.store import open_clips
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.video.reader import read_frames
from tests.support.video_files import (
    constant_rate,
    garbage,
    numbered_frame,
    read_number,
    write_video,
)

CONFIG = VideoListConfig(format="videos", sampling="sparse")


def opened(items, folder, *, training=True, frames=4, **options):
    changes = {k: options.pop(k) for k in tuple(options) if hasattr(CONFIG, k)}
    config = dataclasses.replace(CONFIG, **changes)
    clips = ClipList(tuple(items), ("a",))
    return open_clips(clips, config, frames=frames, training=training, folder=folder, **options)


def numbers(frames: np.ndarray) -> list[int]:
    return [read_number(frame) for frame in frames]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def counted(monkeypatch) -> list[Path]:
    """Videos that are decoded from here on."""
    seen: list[Path] = []
    real = video_files.open_video

    def counting(path, **options):
        seen.append(path)
        return real(path, **options)

    monkeypatch.setattr(video_files, "open_video", counting)
    return seen


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[ClipItem]:
    """A whole video with frames between frames, two windows of it, and one of uneven times."""
    folder = tmp_path_factory.mktemp("videos")
    even = constant_rate(folder / "a.mp4", 75, 25, gop=30)
    steps = np.random.default_rng(0).integers(10, 90, 39)
    uneven = write_video(folder / "b.mp4", [0, *np.cumsum(steps).tolist()], gop=7)
    windows = [(0.0, None), (0.4, 1.4), (1.0, 99.0)]
    first = [ClipItem(f"a{n}", "a", even, n, *bounds) for n, bounds in enumerate(windows)]
    return [*first, ClipItem("b", "b", uneven, 3)]


@pytest.mark.parametrize("draws", [None, 3])
@pytest.mark.parametrize("sampling", ["sparse", "dense", "segments"])
def test_frames_are_those_of_the_numbers(items, tmp_path, draws, sampling):
    store = opened(items, tmp_path, frame_draws=draws, sampling=sampling, segments=2)
    assert store.counts.tolist() == [75, 26, 50, 40]
    for row, first in enumerate([0, 10, 25, 0]):
        clips = [store.train_indices(row, rng(seed)) for seed in range(5)]
        clips += [store.test_indices(row, k, 2) for k in range(2)]
        for clip in clips:
            assert numbers(store.read(row, clip)) == [first + n for n in clip.tolist()]


def test_kept_and_decoded_frames_are_alike(items, tmp_path):
    kept = opened(items, tmp_path / "k", frame_draws=2, short_side=48)
    decoded = opened(items, tmp_path / "d", short_side=48)
    for row in range(len(items)):
        clip = kept.train_indices(row, rng(row))
        frames = kept.read(row, clip)
        assert frames.shape == (4, 48, 128, 3)
        assert frames.flags.writeable
        np.testing.assert_array_equal(frames, decoded.read(row, clip))
    assert not list((tmp_path / "d").rglob("*.npy"))
    with pytest.raises(ValueError, match="not all kept"):
        kept.read(0, np.array([1, 2, 3, 4]))
    with pytest.raises(ValueError, match="of 75"):
        decoded.read(0, np.array([75]))


def test_repeated_numbers(tmp_path):
    short = ClipItem("s", "s", constant_rate(tmp_path / "s.mp4", 3, 25), 0)
    for draws in (None, 2):
        store = opened([short], tmp_path / "f", frame_draws=draws, frames=8)
        clip = store.test_indices(0)
        assert clip.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
        assert numbers(store.read(0, clip)) == clip.tolist()


def test_full_size_is_that_of_the_reader(items, tmp_path):
    store = opened(items, tmp_path)
    whole = read_frames(items[0].path, every_s=0.04).frames
    np.testing.assert_array_equal(store.read(0, np.arange(75)), whole)


@pytest.mark.parametrize("draws", [None, 2])
def test_a_video_is_decoded_once_and_only_when_new(items, tmp_path, monkeypatch, draws):
    seen = counted(monkeypatch)
    first = opened(items, tmp_path, frame_draws=draws)
    assert sorted(seen) == sorted({item.path for item in items})
    seen.clear()
    moved = shutil.copy(items[0].path, tmp_path / "renamed.mp4")
    again = opened(
        [dataclasses.replace(items[0], path=Path(moved)), *items[1:]], tmp_path, frame_draws=draws
    )
    assert seen == []
    assert again.sha256 == first.sha256
    assert opened(items[1:], tmp_path, frame_draws=draws).sha256 != first.sha256
    relabelled = [dataclasses.replace(items[0], label=7), *items[1:]]
    assert opened(relabelled, tmp_path, frame_draws=draws).sha256 != first.sha256


def test_workers_do_not_matter(items, tmp_path):
    for workers in (1, 4):
        opened(items, tmp_path / str(workers), frame_draws=2, workers=workers)
    one, four = (
        {path.name: path.read_bytes() for path in (tmp_path / n).rglob("*.npy")} for n in "14"
    )
    assert one == four
    assert len(one) == len(items)


@pytest.mark.parametrize("draws", [None, 2])
def test_broken_videos_are_failures(items, tmp_path, draws, caplog):
    cut = tmp_path / "cut.mp4"
    sound = constant_rate(tmp_path / "whole.mp4", 200, 25, gop=10)
    content = bytearray(sound.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = b"\xa5" * 600
    cut.write_bytes(content)
    bad = [
        ClipItem("gone", "gone", tmp_path / "gone.mp4", 0),
        ClipItem("garbage", "garbage", garbage(tmp_path / "garbage.mp4"), 0),
        ClipItem("early", "cut", cut, 0, 0.0, 1.0),
        ClipItem("late", "cut", cut, 0, 6.0, 7.5),
        ClipItem("behind", "a", items[0].path, 0, 5.0, 6.0),
    ]
    store = opened([*bad, items[0]], tmp_path / "f", frame_draws=draws)
    assert [item.id for item in store.items] == ["early", "a0"]
    assert [failure.id for failure in store.failures] == ["gone", "garbage", "late", "behind"]
    assert "begins behind the end of the video at 3 s" in store.failures[3].reason
    assert "4 of 6 videos are left out" in caplog.text
    assert numbers(store.read(1, store.test_indices(1))) == store.test_indices(1).tolist()
    tolerant = opened(bad[2:4], tmp_path / "f", frame_draws=draws, tolerant=True)
    assert [item.id for item in tolerant.items] == ["early", "late"]
    with pytest.raises(DataError, match="None of 2 videos"):
        opened(bad[:2], tmp_path / "f", frame_draws=draws)


def test_damaged_files_are_made_again(items, tmp_path):
    store = opened(items, tmp_path, frame_draws=2)
    clip = store.test_indices(0)
    before = store.read(0, clip)
    for path in tmp_path.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="Remove it and run again"):
        store.read(0, clip)
    (tmp_path / "clip_windows.json").write_text('{"x": [1, 2]')
    np.testing.assert_array_equal(opened(items, tmp_path, frame_draws=2).read(0, clip), before)


def test_the_disk_is_not_filled(items, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=(256 << 20) + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ConfigError, match=r"of 4 videos or windows take .* has 268.4 MB left"):
        opened(items, tmp_path, frame_draws=2)
    assert len(opened(items, tmp_path)) == 4


def test_many_threads_read_at_once(items, tmp_path):
    store = opened(items, tmp_path)
    jobs = [(row, store.train_indices(row, rng(k))) for k in range(4) for row in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: store.read(*job), jobs))
    for (row, clip), frames in zip(jobs, found, strict=True):
        np.testing.assert_array_equal(frames, store.read(row, clip))


def test_draws_need_training(items, tmp_path):
    store = opened(items, tmp_path, training=False)
    with pytest.raises(ValueError, match="not opened for training"):
        store.train_indices(0, rng())
    with pytest.raises(ValueError, match="decided by the preset"):
        opened(items, tmp_path, sampling=None)


def test_turned_videos_stand_upright(tmp_path):
    path = write_video(tmp_path / "t.mp4", range(0, 400, 40), rotation=90)
    for draws in (None, 1):
        store = opened([ClipItem("t", "t", path, 0)], tmp_path, frame_draws=draws, short_side=32)
        assert store.read(0, store.test_indices(0)).shape[1:3] == (85, 32)


def test_film_rate_windows(tmp_path):
    path = constant_rate(tmp_path / "film.mp4", 60, Fraction(24000, 1001))
    [count] = opened([ClipItem("f", "f", path, 0, 1.0, 2.0)], tmp_path).counts
    # Frames int(23.976) to int(47.95).
    assert count == 47 - 23 + 1


def pictures(folder: Path, count: int, size: tuple[int, int] = (256, 96)) -> Path:
    folder.mkdir()
    for number in range(count):
        frame = Image.fromarray(numbered_frame(number, *size))
        frame.save(folder / f"img_{number + 1:05}.png")
    return folder


@pytest.mark.parametrize("draws", [None, 2])
def test_folders_of_pictures(tmp_path, draws):
    options = {"format": "frames", "frame_name": "img_{:05}.png", "frame_draws": draws}
    good = pictures(tmp_path / "p", 12)
    broken = pictures(tmp_path / "q", 3)
    (broken / "img_00003.png").write_bytes(b"no picture")
    items = [
        ClipItem("p", "p", good, 0, listed_frames=10),
        ClipItem("more", "more", pictures(tmp_path / "r", 3), 0, listed_frames=4),
        ClipItem("broken", "broken", broken, 0, listed_frames=3),
    ]
    store = opened(items, tmp_path / "f", **options)
    assert [item.id for item in store.items] == ["p"]
    assert store.counts.tolist() == [10]
    assert "img_00004.png: No such file" in store.failures[0].reason
    assert "not a readable picture" in store.failures[1].reason
    clip = store.train_indices(0, rng())
    assert numbers(store.read(0, clip)) == clip.tolist()
    for number in range(10):
        Image.fromarray(numbered_frame(40 + number)).save(good / f"img_{number + 1:05}.png")
    changed = opened(items[:1], tmp_path / "f", **options)
    assert changed.sha256 != store.sha256
    assert numbers(changed.read(0, clip)) == [40 + n for n in clip.tolist()]


@pytest.mark.parametrize("draws", [None, 1])
def test_pictures_of_several_sizes(tmp_path, draws):
    folder = pictures(tmp_path / "p", 3)
    Image.new("RGB", (32, 32)).save(folder / "img_00002.png")
    item = ClipItem("p", "p", folder, 0, listed_frames=3)
    with pytest.raises(DataError, match="not all of one size"):
        opened([item], tmp_path, format="frames", frame_name="img_{:05}.png", frame_draws=draws)


def test_a_picture_that_changes_within_one_tick_of_the_clock_is_noticed(tmp_path):
    folder = pictures(tmp_path / "p", 2)
    item = ClipItem("p", "p", folder, 0, listed_frames=2)
    settings = {"format": "frames", "frame_name": "img_{:05}.png", "frames": 2}
    changing = folder / "img_00002.png"
    found = []
    for grey in (10, 200):
        written = changing.stat()
        with changing.open("r+b") as file:  # as large as before: of this format all are
            Image.new("RGB", (256, 96), (grey, grey, grey)).save(file, "BMP")
            file.truncate()
        if found:
            os.utime(changing, ns=(written.st_atime_ns, written.st_mtime_ns))
        found.append(opened([item], tmp_path / "kept", **settings).sha256)
    assert found[0] != found[1]
