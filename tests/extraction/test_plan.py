"""What a run finds to do: new, changed and damaged videos, and files nobody wants any more."""

import json
import os
import time

import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.extraction.plan import make_plan, others, prune, remove_leftovers, scan
from pipeline_lib.extraction.shards import FOLDER
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.atomic import replacing, temporary_prefix
from pipeline_lib.storage.features import (
    ClipRows,
    Manifest,
    VideoEntry,
    write_features,
    write_manifest,
)
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.files import find_videos

FINGERPRINT = "0123456789abcdef"
LONG_AGO = 1_500_000_000


class Folder:
    """Videos that are no videos, since planning opens none, and their features."""

    def __init__(self, root):
        self.videos, self.features = root / "videos", root / "features"
        self.cache = root / "hashes.json"

    def add(self, video_id: str, content: bytes = b"x") -> None:
        path = self.videos / f"{video_id}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + video_id.encode())
        os.utime(path, (LONG_AGO, LONG_AGO))

    def extract(self, video_id: str, fingerprint: str = FINGERPRINT) -> VideoEntry:
        digest = sha256_file(self.videos / f"{video_id}.mp4")
        clips = ClipRows(np.ones((2, 4), np.float32), *(np.zeros(2) for _ in range(4)))
        meta = {"fingerprint": fingerprint, "source_sha256": digest, "rows": 3, "clips": 2,
                "dim": 4, "duration_s": 3.0, "decode_errors": 0}  # fmt: skip
        return write_features(self.features, video_id, np.ones((3, 4), np.float32), clips, meta)

    def sum_up(self, entries, fingerprint=FINGERPRINT) -> None:
        identity = ("clip", fingerprint, "weights", "0" * 64, True, 4, 1.0)
        write_manifest(self.features, Manifest(*identity, videos=entries))

    def plan(self, hashes=None, fingerprint=FINGERPRINT):
        found = find_videos(self.videos).videos
        cache = hashes or HashCache(None)
        return make_plan(self.features, scan(self.features), found, fingerprint, cache)


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    for name in ("train/a", "train/b.1", "val/c"):
        made.add(name)
    return made


@pytest.fixture
def extracted(folder):
    folder.sum_up({name: folder.extract(name) for name in ("train/a", "train/b.1", "val/c")})
    return folder


def test_a_new_folder_is_all_to_do(folder):
    plan = folder.plan()
    assert (plan.todo, plan.done) == ({"train/a", "train/b.1", "val/c"}, {})


def test_nothing_to_do(extracted):
    plan = extracted.plan()
    assert plan.todo == frozenset()
    assert plan.done["train/b.1"].rows == 3


def test_without_a_manifest_the_files_themselves_are_asked(extracted):
    (extracted.features / "manifest.json").unlink()
    assert extracted.plan() == extracted.plan()
    assert extracted.plan().todo == frozenset()
    (extracted.features / "manifest.json").write_text("{}")
    assert extracted.plan().todo == frozenset()


def test_a_changed_video_is_to_do_even_at_the_same_size_and_time(extracted):
    extracted.add("train/a", b"y")
    extracted.add("val/c", b"longer")
    assert extracted.plan().todo == {"train/a", "val/c"}


def test_a_touched_video_is_not(extracted):
    (extracted.videos / "train" / "a.mp4").touch()
    assert extracted.plan().todo == frozenset()


def test_other_settings_are_all_to_do(extracted):
    assert len(extracted.plan(fingerprint="f" * 16).todo) == 3


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json"])
@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_damaged_features_are_to_do(extracted, suffix, with_manifest, damage):
    path = extracted.features / "train" / f"b.1{suffix}"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: -5 if damage == "cut" else 0])
    if not with_manifest:
        (extracted.features / "manifest.json").unlink()
    assert extracted.plan().todo == {"train/b.1"}


def test_a_video_that_cannot_be_read_is_left_to_its_decoder(extracted):
    path = extracted.videos / "train" / "a.mp4"
    path.unlink()
    path.symlink_to("nowhere")
    assert extracted.plan().todo == {"train/a"}


def test_only_videos_with_features_are_hashed(extracted, monkeypatch):
    read = []

    def counted(path):
        read.append(path.stem)
        return sha256_file(path)

    monkeypatch.setattr("pipeline_lib.storage.hash_cache.sha256_file", counted)
    extracted.add("val/new")
    cache = HashCache(extracted.cache)
    extracted.plan(cache)
    assert sorted(read) == ["a", "b.1", "c"]
    cache.save()
    extracted.plan(HashCache(extracted.cache))
    assert len(read) == 3


def test_pruning_keeps_the_wanted_and_nothing_else(extracted):
    features = extracted.features
    (features / "failures.csv").write_text("x")
    (features / FOLDER).mkdir()
    (features / FOLDER / "0-of-2.json").write_text("{}")
    (features / "train" / ".123-x.partial.npy").touch()
    (features / "notes.txt").touch()
    gone = prune(features, scan(features), ["train/b.1"])
    assert gone == ["train/a", "val/c"]
    assert sorted(scan(features)) == [
        ".shards/0-of-2.json", "failures.csv", "manifest.json",
        "train/b.1.json", "train/b.1.npy", "train/b.1.npz",
    ]  # fmt: skip
    assert not (features / "val").exists()


def test_leftovers_of_a_killed_run_are_told_by_their_name(extracted):
    features = extracted.features
    kept = []
    with replacing(features / "train" / "a.npz") as temporary:
        assert temporary.name.startswith(temporary_prefix("a.npz"))
        for name in ("train/a.npy", "val/c.json", "manifest.json"):
            folder, _, file = name.rpartition("/")
            kept.append(f"{folder}/{temporary_prefix(file)}abc.partial.npy".lstrip("/"))
            (features / kept[-1]).touch()
        files = ["train/a.npy", "train/a.npz", "train/a.json"]
        remove_leftovers(features, scan(features), files)
        assert not temporary.exists()
        assert not (features / kept[0]).exists()
        assert (features / kept[1]).exists()
        assert (features / kept[2]).exists()
        temporary.write_bytes(b"still being written")
    assert (features / "train" / "a.npz").read_bytes() == b"still being written"


def test_a_long_name_leaves_room_for_its_temporary_file(tmp_path):
    path = tmp_path / ("é" * 125 + ".npy")
    with replacing(path) as temporary:
        temporary.write_bytes(b"x")
    assert path.exists()


def test_entries_of_others_stay_while_they_are_whole(extracted):
    found = find_videos(extracted.videos / "val").videos
    (extracted.features / "train" / "a.npz").write_bytes(b"x")
    sizes = scan(extracted.features)
    assert list(others(extracted.features, sizes, found, FINGERPRINT)) == ["train/b.1", "val/c"]
    with pytest.raises(DataError, match="holds features of 3 other videos") as caught:
        others(extracted.features, sizes, found, "f" * 16)
    assert "Choose another --out" in caught.value.hint
    assert others(extracted.features.parent / "none", {}, found, FINGERPRINT) == {}


def test_hashes_are_known_while_size_time_and_inode_stay(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    os.utime(path, (LONG_AGO, LONG_AGO))
    cache = HashCache(tmp_path / "hashes.json")
    assert cache.get(str(path), path.stat()) is None
    cache.put(str(path), path.stat(), "digest")
    cache.save()
    again = HashCache(tmp_path / "hashes.json")
    assert again.get(str(path), path.stat()) == "digest"
    assert again.get(str(tmp_path / "b.mp4"), path.stat()) is None
    os.utime(path, ns=(LONG_AGO, LONG_AGO * 10**9 + 1))
    assert again.get(str(path), path.stat()) is None
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert again.get(str(path), path.stat()) == "digest"
    copy = tmp_path / "copy"
    copy.write_bytes(b"abd")
    os.utime(copy, (LONG_AGO, LONG_AGO))
    copy.replace(path)
    assert again.get(str(path), path.stat()) is None


def test_a_file_that_was_just_changed_may_change_again_unseen(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    cache = HashCache(tmp_path / "hashes.json")
    cache.put(str(path), path.stat(), "digest")
    assert cache.get(str(path), path.stat()) is None
    ago = time.time_ns() - 3_000_000_000
    os.utime(path, ns=(ago, ago))
    cache.put(str(path), path.stat(), "digest")
    assert cache.get(str(path), path.stat()) == "digest"


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 1', "\udcff", "null", '"text"'])
def test_a_damaged_cache_is_started_anew(tmp_path, content):
    path = tmp_path / "hashes.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    video = tmp_path / "a.mp4"
    video.touch()
    os.utime(video, (LONG_AGO, LONG_AGO))
    cache = HashCache(path)
    assert cache.get(str(video), video.stat()) is None
    cache.put(str(video), video.stat(), "digest")
    cache.save()
    assert len(json.loads(path.read_text())) == 1


@pytest.mark.parametrize("entry", [None, 3, [], [1, 2], "text", {"a": 1}])
def test_a_damaged_entry_is_not_known(tmp_path, entry):
    video = tmp_path / "a.mp4"
    video.touch()
    (tmp_path / "hashes.json").write_text(json.dumps({str(video): entry}))
    assert HashCache(tmp_path / "hashes.json").get(str(video), video.stat()) is None


def test_caches_of_two_runs_at_once_are_put_together(tmp_path):
    paths = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    caches = [HashCache(tmp_path / "hashes.json") for _ in paths]
    for path, cache in zip(paths, caches, strict=True):
        path.touch()
        os.utime(path, (LONG_AGO, LONG_AGO))
        cache.put(str(path), path.stat(), path.stem)
        cache.save()
    both = HashCache(tmp_path / "hashes.json")
    assert [both.get(str(path), path.stat()) for path in paths] == ["a", "b"]


def test_a_cache_without_a_file_forgets(tmp_path):
    video = tmp_path / "a.mp4"
    video.touch()
    cache = HashCache(None)
    cache.put(str(video), video.stat(), "digest")
    cache.save()
    assert sorted(tmp_path.iterdir()) == [video]
