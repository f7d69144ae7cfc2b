"""What a run costs before and after the work itself: a folder of videos that are all extracted."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.common import RESULTS, Cost, measure, report, rounded
from pipeline_lib.extraction.plan import make_plan, others, prune, remove_leftovers, scan
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.features import (
    MANIFEST,
    SUFFIXES,
    ClipRows,
    Manifest,
    VideoEntry,
    write_features,
    write_manifest,
)
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.files import FoundVideos, find_videos

_A_FOLDER = 1000
_ROWS, _CLIPS, _DIM = 20, 10, 512
_FINGERPRINT = "0123456789abcdef"
_LONG_AGO = 1_500_000_000
T = TypeVar("T")


class Clock:
    """Keeps what every named piece of work cost."""

    def __init__(self) -> None:
        self.costs: dict[str, Cost] = {}

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        """Do and measure ``work``."""
        results: list[T] = []
        self.costs[name] = measure(lambda: results.append(work()))
        return results[0]


def build(folder: Path, videos: int) -> VideoEntry:
    """``videos`` files and their features, all hard links to the same few contents."""
    source = folder / "source.mp4"
    source.write_bytes(os.urandom(4096))
    os.utime(source, (_LONG_AGO, _LONG_AGO))
    rng = np.random.default_rng(0)
    clips = ClipRows(
        rng.standard_normal((_CLIPS, _DIM), dtype=np.float32),
        np.arange(_CLIPS) * 2.0,
        np.arange(1, _CLIPS + 1) * 2.0,
        np.full(_CLIPS, 4),
        np.ones(_CLIPS, np.float32),
    )
    meta = {
        "fingerprint": _FINGERPRINT,
        "source_sha256": sha256_file(source),
        "rows": _ROWS,
        "clips": _CLIPS,
        "dim": _DIM,
        "duration_s": 20.0,
        "decode_errors": 0,
    }
    rows = rng.standard_normal((_ROWS, _DIM), dtype=np.float32)
    entry = write_features(folder, "source", rows, clips, meta)
    for number in range(videos):
        name = f"train/class_{number // _A_FOLDER:04}/video_{number % _A_FOLDER:04}"
        for root, suffixes in (("videos", (".mp4",)), ("features", SUFFIXES)):
            for suffix in suffixes:
                path = folder / root / f"{name}{suffix}"
                first = path.with_name(f"video_0000{suffix}")
                if path == first:  # file systems limit how many links a file may have
                    path.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(folder / f"source{suffix}", path)
                else:
                    os.link(first, path)
    return entry


def sum_up(features: Path, found: FoundVideos, entry: VideoEntry) -> None:
    """The manifest of everything."""
    entries = {video.id: entry for video in found.videos}
    identity = ("clip", _FINGERPRINT, "x", "0" * 64, True, _DIM, 1.0)
    write_manifest(features, Manifest(*identity, videos=entries))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.name}")
    given = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        features = folder / "features"
        entry = clock("(building)", lambda: build(folder, given.videos))
        found = clock("find videos", lambda: find_videos(folder / "videos"))
        hashes = HashCache(folder / "hashes.json")

        def plan(cache: HashCache) -> int:
            return len(make_plan(features, scan(features), found.videos, _FINGERPRINT, cache).done)

        planned = [clock("plan, no manifest, no hashes", lambda: plan(hashes))]
        clock("save hashes", hashes.save)
        clock("write manifest", lambda: sum_up(features, found, entry))
        hashes = clock("load hashes", lambda: HashCache(folder / "hashes.json"))
        planned += [clock("plan, all known", lambda: plan(hashes))]
        (features / MANIFEST).rename(folder / MANIFEST)
        planned += [clock("plan, no manifest", lambda: plan(hashes))]
        (folder / MANIFEST).rename(features / MANIFEST)
        ids = [video.id for video in found.videos]
        sizes = clock("scan", lambda: scan(features))
        clock("prune nothing", lambda: prune(features, sizes, ids))
        clock("look for leftovers", lambda: remove_leftovers(features, sizes, ids))
        clock("keep others' entries", lambda: others(features, sizes, (), _FINGERPRINT))
        written = (features / MANIFEST, folder / "hashes.json")
        written_bytes = {path.name: path.stat().st_size for path in written}
    if planned != [given.videos] * len(planned):
        raise RuntimeError(f"planned {planned} of {given.videos} videos as done")
    unchanged = ("find videos", "load hashes", "plan, all known")
    figures = {
        "videos": given.videos,
        "costs": rounded(clock.costs),
        "unchanged_run_wall_s": round(sum(clock.costs[part].wall_s for part in unchanged), 2),
        "bytes_an_entry": {key: round(size / given.videos) for key, size in written_bytes.items()},
        "feature_bytes_a_video": dict(entry.bytes),
    }
    report("planning", figures, save=given.save)


if __name__ == "__main__":
    main()
