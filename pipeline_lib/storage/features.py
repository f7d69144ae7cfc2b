"""Features on disk: one directory a backbone, a file pair a video, a manifest that sums it up.

Layout below the directory, with a video id such as ``train/fall/clip_001``:

* ``<id>.npy``: float32 [T, D], row k is the frame at k * every_s seconds; memory-mappable. A clip
  network has none. Rows made elsewhere may start at another time, ``offset_s``.
* ``<id>.npz``: one row a clip: ``features`` float32 [n, D], ``start_s`` and ``end_s`` float64 [n],
  ``n_frames`` int64 [n], ``valid`` float32 [n] (covered share of the clip), ``meta`` (JSON).
* ``<id>.json``: the same meta, for people and for the incremental plan.
* ``manifest.json``: what the directory holds; sorted, without times of day, written last.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.storage.atomic import write_bytes, write_json

MANIFEST = "manifest.json"
# The files of one video, in the order they are written.
SUFFIXES = (".npy", ".npz", ".json")


@dataclass(frozen=True)
class VideoEntry:
    """One video in a manifest.

    Attributes:
        sha256: Hash of the video file's bytes.
        rows: T of the ``.npy``; 0 where there is none.
        clips: n of the ``.npz``.
        duration_s: From the first frame to the end of the last.
        decode_errors: Corrupt packets that were skipped.
        bytes: Sizes of its files by suffix; a file of another size is not whole.
    """

    sha256: str
    rows: int
    clips: int
    duration_s: float
    decode_errors: int
    bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a feature directory holds.

    Attributes:
        backbone: Its name in the registry.
        fingerprint: Changes with anything that changes a feature.
        weights_id: Model and weights as the user named them.
        weights_sha256: Hash of the weights file; ``untrained-…`` for random weights.
        trained: False for random weights.
        dim: D.
        every_s: Seconds from row to row; ``None`` where the backbone sees whole clips.
        videos: Video id to its entry, sorted.
        offset_s: Start of row 0 in its video: row k stands for the time from
            ``offset_s + k * every_s`` to ``offset_s + (k + 1) * every_s``. Below 0 where rows look
            back. The file names it only where it is not 0, so that the manifest of features that
            start with their video has the same bytes as before there were others, and nothing
            that depends on it looks changed.
    """

    backbone: str
    fingerprint: str
    weights_id: str
    weights_sha256: str
    trained: bool
    dim: int
    every_s: float | None
    videos: Mapping[str, VideoEntry]
    offset_s: float = 0.0


@dataclass(frozen=True)
class ClipRows:
    """Clip features of one video; see the module's description of ``<id>.npz``."""

    features: NDArray[np.float32]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    n_frames: NDArray[np.int64]
    valid: NDArray[np.float32]


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``; see :class:`Manifest` for ``offset_s``."""
    # Not asdict, which copies every value of it: seconds for 100,000 videos.
    videos = {key: vars(manifest.videos[key]) for key in sorted(manifest.videos)}
    absent = {"videos"} if manifest.offset_s else {"videos", "offset_s"}
    facts = {key: value for key, value in vars(manifest).items() if key not in absent}
    write_json(directory / MANIFEST, {**facts, "videos": videos})


def read_manifest(directory: Path) -> Manifest:
    """Read ``manifest.json``.

    Raises:
        DataError: The directory holds no readable manifest.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        videos = {key: VideoEntry(**entry) for key, entry in content.pop("videos").items()}
        return Manifest(**content, videos=videos)
    except FileNotFoundError:
        raise DataError(
            f"No features in {directory}: {MANIFEST} is missing.",
            hint="`dvc repro extract` makes them.",
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path}: not a feature manifest ({error}).", hint="Delete it and extract again."
        ) from None


def row_spacing(manifest: Manifest) -> float:
    """Seconds from row to row.

    Raises:
        DataError: The backbone sees whole clips, so there are no rows.
    """
    if manifest.every_s is None:
        raise DataError(
            f"Backbone {manifest.backbone!r} has features of clips, none per second.",
            hint="Choose a backbone that sees single frames, such as clip.",
        )
    return manifest.every_s


def feature_path(directory: Path, video_id: str, suffix: str) -> Path:
    """The file of a video: the id keeps its dots, ``suffix`` is added."""
    return directory / f"{video_id}{suffix}"


def write_features(
    directory: Path,
    video_id: str,
    rows: NDArray[np.float32] | None,
    clips: ClipRows,
    meta: Mapping[str, Any],
) -> VideoEntry:
    """Write the files of one video, the meta last: where it stands, the others are whole.

    Args:
        directory: The features directory.
        video_id: Names the files.
        rows: float32 [T, D], or ``None`` for a clip network.
        clips: The clip features.
        meta: JSON-able facts; ``source_sha256``, ``rows``, ``clips``, ``dim``, ``duration_s`` and
            ``decode_errors`` among them.

    Returns:
        The manifest entry.
    """
    if rows is not None:
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(rows, dtype=np.float32), allow_pickle=False)
        write_bytes(feature_path(directory, video_id, ".npy"), buffer.getvalue())
    else:
        feature_path(directory, video_id, ".npy").unlink(missing_ok=True)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        features=clips.features,
        start_s=clips.start_s,
        end_s=clips.end_s,
        n_frames=clips.n_frames,
        valid=clips.valid,
        meta=np.array(json.dumps(meta, sort_keys=True)),
    )
    write_bytes(feature_path(directory, video_id, ".npz"), buffer.getvalue())
    write_json(feature_path(directory, video_id, ".json"), dict(meta))
    return entry_of(directory, video_id, meta)


def entry_of(directory: Path, video_id: str, meta: Mapping[str, Any]) -> VideoEntry:
    """The manifest entry of a video whose files stand."""
    paths = {suffix: feature_path(directory, video_id, suffix) for suffix in SUFFIXES}
    return VideoEntry(
        sha256=meta["source_sha256"],
        rows=meta["rows"] or 0,
        clips=meta["clips"],
        duration_s=meta["duration_s"],
        decode_errors=meta["decode_errors"],
        bytes={suffix: path.stat().st_size for suffix, path in paths.items() if path.exists()},
    )


def remove_features(directory: Path, video_id: str) -> None:
    """Remove the files of one video and the folders that become empty."""
    for suffix in reversed(SUFFIXES):
        feature_path(directory, video_id, suffix).unlink(missing_ok=True)
    folder = feature_path(directory, video_id, ".json").parent
    while folder != directory and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def read_meta(directory: Path, video_id: str) -> dict[str, Any] | None:
    """The meta of one video, or ``None`` where its files are not whole.

    A file that exists is opened before it is trusted: a killed copy or a full disk leaves files
    that only look finished.
    """
    try:
        meta = json.loads(feature_path(directory, video_id, ".json").read_text(encoding="utf-8"))
        rows = None
        if meta["rows"] is not None:
            path = feature_path(directory, video_id, ".npy")
            rows = np.load(path, mmap_mode="r", allow_pickle=False).shape
        # numpy leaves the file open when a damaged archive makes it raise; this closes it.
        with (
            feature_path(directory, video_id, ".npz").open("rb") as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            whole = json.loads(str(archive["meta"])) == meta
            clips = len(archive["features"])
        whole = whole and rows in (None, (meta["rows"], meta["dim"])) and clips == meta["clips"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return dict(meta) if whole else None


def load_rows(directory: Path, video_id: str) -> NDArray[np.float32]:
    """The per-second features of one video: float32 [T, D], memory-mapped, checked.

    Raises:
        DataError: The file is missing or damaged, not two-dimensional, holds NaN or infinity, or
            a row of zeros, which has no direction and so no cosine to anything.
    """
    path = feature_path(directory, video_id, ".npy")
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"No features {path}.", hint="`dvc repro extract` makes them.") from None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(
            f"{path}: not a readable .npy file ({error}).", hint="Delete it and extract again."
        ) from None
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.dtype.kind != "f":
        raise DataError(
            f"{path}: expected float features [T, D] with T > 0, found {rows.dtype} {rows.shape}."
        )
    rows = rows.astype(np.float32, copy=False)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise DataError(
            f"{path}: row {bad[0]} holds NaN or infinite values.", hint="Extract it again."
        )
    zero = np.flatnonzero(~rows.any(axis=1))
    if zero.size:
        raise DataError(f"{path}: row {zero[0]} is all zeros.", hint="Extract it again.")
    return rows
