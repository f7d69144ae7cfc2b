"""Extraction over real files: exact rows, incremental runs, failures that are told."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ExtractConfig, RuntimeConfig
from pipeline_lib.errors import BatchError, DataError
from pipeline_lib.extraction.executors import Run
from pipeline_lib.extraction.executors.base import Settings
from pipeline_lib.extraction.output import Output
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.storage.features import load_rows, read_manifest, read_meta
from pipeline_lib.video.files import find_videos
from pipeline_lib.video.reader import open_video, read_frames
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate, garbage, write_video

CONFIG = ExtractConfig(every_s=1.0, clip_len_s=2.0, fps=2.0, batch_size=8, precision="fp32")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    config = untrained_clip(tmp_path_factory.mktemp("clip"))
    return load_clip(config, Placement(batch_size=8))


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "videos"
    constant_rate(root / "train" / "fall" / "a.mp4", 70, 24)
    constant_rate(root / "train" / "fall" / "b.1.mkv", 30, 25)
    write_video(root / "val" / "쓰러짐" / "c.mp4", [0, 40, 400, 1900, 2400, 3100])
    return root


def extract(clip, root, out, config=CONFIG, own=True, name="clip", executor="process", **more):
    settings = Settings((name,), config, RuntimeConfig(executor=executor, **more), out.parent)
    run = Run(settings, [Output(name, clip, config, out)])
    [report] = Extraction(run, own_directory=own).extract(find_videos(root))
    return report


def digest(directory: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            total.update(path.relative_to(directory).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def test_rows_and_clips_are_the_frames_at_their_times(clip, videos, tmp_path):
    extract(clip, videos, tmp_path / "f")
    path = videos / "train" / "fall" / "a.mp4"  # 70 frames at 24 fps = 2.917 s
    rows = load_rows(tmp_path / "f", "train/fall/a")
    with open_video(path) as video:
        samples = video.until_end(k * 0.5 for k in range(99))
        frames = {s.requested_s: s.rgb(clip.resize) for s in samples}
    assert list(frames) == [0, 0.5, 1, 1.5, 2, 2.5]
    embedded = dict(zip(frames, clip.encode(list(frames.values())), strict=True))
    np.testing.assert_array_equal(rows, [embedded[0], embedded[1.0], embedded[2.0]])
    archive = np.load(tmp_path / "f" / "train" / "fall" / "a.npz", allow_pickle=False)
    first = np.mean([embedded[t] for t in (0, 0.5, 1.0, 1.5)], axis=0, dtype=np.float64)
    np.testing.assert_allclose(archive["features"][0], first, rtol=1e-6)
    assert archive["n_frames"].tolist() == [4, 2]
    assert archive["start_s"].tolist() == [0.0, 2.0]
    np.testing.assert_allclose(archive["end_s"], [2.0, 70 / 24])
    np.testing.assert_allclose(archive["valid"], [1.0, (70 / 24 - 2) / 2], rtol=1e-6)
    dtypes = {key: archive[key].dtype.str for key in archive.files if key != "meta"}
    assert dtypes == {
        "features": "<f4", "start_s": "<f8", "end_s": "<f8", "n_frames": "<i8", "valid": "<f4"
    }  # fmt: skip


def test_every_second_of_every_video_has_its_row(clip, videos, tmp_path):
    report = extract(clip, videos, tmp_path / "f")
    assert sorted(report.extracted) == ["train/fall/a", "train/fall/b.1", "val/쓰러짐/c"]
    manifest = read_manifest(tmp_path / "f")
    assert {k: (v.rows, v.clips) for k, v in manifest.videos.items()} == {
        "train/fall/a": (3, 2),
        "train/fall/b.1": (2, 1),
        "val/쓰러짐/c": (4, 2),
    }
    assert manifest.trained is False
    assert manifest.dim == 16
    vfr = read_frames(videos / "val" / "쓰러짐" / "c.mp4", every_s=1.0)
    assert vfr.source_index.tolist() == [0, 2, 3, 4]


def test_features_do_not_depend_on_what_is_extracted_beside_them(clip, videos, tmp_path):
    extract(clip, videos, tmp_path / "all")
    extract(clip, videos / "val", tmp_path / "one", own=False)
    alone = (tmp_path / "one" / "쓰러짐" / "c.npz").read_bytes()
    assert alone == (tmp_path / "all" / "val" / "쓰러짐" / "c.npz").read_bytes()


def test_incremental_equals_from_scratch(clip, videos, tmp_path):
    late = videos / "train" / "fall" / "d.mp4"
    extract(clip, videos, tmp_path / "f")
    before = digest(tmp_path / "f")
    constant_rate(late, 40, 20)
    report = extract(clip, videos, tmp_path / "f")
    assert report.extracted == ["train/fall/d"]
    assert len(report.kept) == 3
    extract(clip, videos, tmp_path / "scratch")
    assert digest(tmp_path / "f") == digest(tmp_path / "scratch")
    late.unlink()
    report = extract(clip, videos, tmp_path / "f")
    assert (report.extracted, report.pruned) == ([], ["train/fall/d"])
    assert digest(tmp_path / "f") == before


def test_a_changed_video_is_redone_and_the_others_kept(clip, videos, tmp_path):
    extract(clip, videos, tmp_path / "f")
    constant_rate(videos / "train" / "fall" / "a.mp4", 90, 24)
    report = extract(clip, videos, tmp_path / "f")
    assert report.extracted == ["train/fall/a"]


@pytest.mark.parametrize(
    "change", [{"clip_len_s": 1.0}, {"every_s": 0.5}, {"fps": 1.0}, {"partial_clip": "drop"}]
)
def test_changed_settings_redo_all(clip, videos, tmp_path, change):
    extract(clip, videos, tmp_path / "f")
    report = extract(clip, videos, tmp_path / "f", replace(CONFIG, **change))
    assert len(report.extracted) == 3


def test_changed_weights_or_precision_redo_all(clip, videos, tmp_path):
    extract(clip, videos, tmp_path / "f")
    section = replace(untrained_clip(tmp_path / "clip"), seed=1)
    other = load_clip(section, Placement(batch_size=8))
    assert len(extract(other, videos, tmp_path / "f").extracted) == 3
    bf16 = load_clip(section, Placement(precision="bf16", batch_size=8))
    assert len(extract(bf16, videos, tmp_path / "f").extracted) == 3
    larger = load_clip(section, Placement(precision="bf16", batch_size=16))
    assert len(extract(larger, videos, tmp_path / "f").extracted) == 3


def test_partial_clips_can_be_dropped(clip, videos, tmp_path):
    extract(clip, videos, tmp_path / "f", replace(CONFIG, partial_clip="drop"))
    assert np.load(tmp_path / "f" / "train" / "fall" / "a.npz")["valid"].tolist() == [1.0]
    assert np.load(tmp_path / "f" / "train" / "fall" / "b.1.npz")["features"].shape == (0, 16)


def test_unreadable_videos_are_listed_and_leave_no_features(clip, videos, tmp_path):
    extract(clip, videos, tmp_path / "f")
    garbage(videos / "train" / "fall" / "a.mp4")
    (videos / "val" / "쓰러짐" / "empty.mp4").touch()
    constant_rate(videos / "train" / "fall" / "twice.mp4", 10)
    shutil.copy(videos / "train" / "fall" / "twice.mp4", videos / "train" / "fall" / "twice.avi")
    report = extract(clip, videos, tmp_path / "f")
    with pytest.raises(BatchError, match="4 of 6 videos could not be extracted") as caught:
        report.raise_failures()
    assert "data.exclude" in caught.value.hint
    table = pd.read_csv(tmp_path / "f" / "failures.csv")
    assert dict(zip(table["file"], table["reason"], strict=True)) == {
        "a.mp4": "unreadable",
        "twice.avi": "ambiguous_name",
        "twice.mp4": "ambiguous_name",
        "empty.mp4": "empty",
    }
    assert sorted(read_manifest(tmp_path / "f").videos) == ["train/fall/b.1", "val/쓰러짐/c"]
    assert not (tmp_path / "f" / "train" / "fall" / "a.npy").exists()


def test_failures_go_away_with_their_cause(clip, videos, tmp_path):
    bad = garbage(videos / "train" / "fall" / "x.mp4")
    extract(clip, videos, tmp_path / "f")
    bad.unlink()
    extract(clip, videos, tmp_path / "f")
    extract(clip, videos, tmp_path / "scratch")
    assert digest(tmp_path / "f") == digest(tmp_path / "scratch")


def test_damaged_features_are_redone(clip, videos, tmp_path):
    extract(clip, videos, tmp_path / "f")
    expected = digest(tmp_path / "f")
    npy = tmp_path / "f" / "train" / "fall" / "a.npy"
    npy.write_bytes(npy.read_bytes()[:100])
    npz = tmp_path / "f" / "val" / "쓰러짐" / "c.npz"
    npz.write_bytes(npz.read_bytes()[:-30])
    (tmp_path / "f" / "train" / ".x.partial.npy").write_bytes(b"")
    report = extract(clip, videos, tmp_path / "f")
    assert sorted(report.extracted) == ["train/fall/a", "val/쓰러짐/c"]
    assert digest(tmp_path / "f") == expected


def test_a_killed_run_resumes_without_redoing_finished_videos(clip, videos, tmp_path, monkeypatch):
    extract(clip, videos, tmp_path / "straight")
    written = []

    def die_after_one(*args, **kwargs):
        if written:
            raise KeyboardInterrupt
        written.append(args[1])
        return original(*args, **kwargs)

    import pipeline_lib.extraction.output as module

    original = module.write_features
    monkeypatch.setattr(module, "write_features", die_after_one)
    with pytest.raises(KeyboardInterrupt):
        extract(clip, videos, tmp_path / "f")
    monkeypatch.undo()
    report = extract(clip, videos, tmp_path / "f")
    assert report.kept == written
    assert digest(tmp_path / "f") == digest(tmp_path / "straight")


def test_a_shared_output_keeps_other_folders_features(clip, videos, tmp_path):
    extract(clip, videos / "train", tmp_path / "f", own=False)
    extract(clip, videos / "val", tmp_path / "f", own=False)
    assert len(read_manifest(tmp_path / "f").videos) == 3
    with pytest.raises(DataError, match="holds features of 2 other videos"):
        extract(clip, videos / "val", tmp_path / "f", replace(CONFIG, every_s=0.5), own=False)


def test_a_damaged_video_fails_unless_it_is_tolerated(clip, tmp_path):
    path = constant_rate(tmp_path / "v" / "a.mkv", 100, 25, gop=10)
    content = bytearray(path.read_bytes())
    for position in range(len(content) // 2, len(content) - 100, 97):
        content[position] ^= 0xFF
    path.write_bytes(content)
    report = extract(clip, tmp_path / "v", tmp_path / "f")
    assert [row["reason"] for row in report.failures] == ["corrupt"]
    report = extract(clip, tmp_path / "v", tmp_path / "f", replace(CONFIG, tolerant=True))
    assert not report.failures
    assert read_meta(tmp_path / "f", "a")["decode_errors"] > 0


def test_finding_videos(tmp_path, videos):
    (videos / ".hidden").mkdir()
    shutil.copy(videos / "train" / "fall" / "a.mp4", videos / ".hidden" / "a.mp4")
    (videos / "notes.txt").write_text("x")
    assert len(find_videos(videos).videos) == 3
    assert find_videos(videos / "train" / "fall" / "a.mp4").videos[0].id == "a"
    assert len(find_videos(videos, ["train/fall/a.mp4"]).videos) == 2
    with pytest.raises(DataError, match=r"data\.exclude names 'train/fall/aa\.mp4'") as caught:
        find_videos(videos, ["train/fall/aa.mp4"])
    assert "train/fall/a.mp4" in caught.value.hint
    with pytest.raises(DataError, match="no such folder"):
        find_videos(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no videos"):
        find_videos(tmp_path / "empty")
