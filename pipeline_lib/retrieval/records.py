"""What is kept of one embedded video: ``frames/<name>.npz``, written whole or not at all."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.storage.atomic import write_bytes

FRAMES = "frames"
_SUFFIX = ".npz"


@dataclass(frozen=True)
class VideoRecord:
    """One embedded video.

    Attributes:
        sha256: Of the file's bytes.
        fingerprint: Changes with anything that changes a vector.
        video: float32 [D], of length 1.
        frames: float32 [N, D], of length 1, in the order of time.
        pts_s: float64 [N], when each frame is first shown, seconds.
        source_index: int64 [N], its index among all frames of the video.
        duration_s: Length of the video.
        clips: Clips C that the N frames were joined to.
    """

    sha256: str
    fingerprint: str
    video: NDArray[np.float32]
    frames: NDArray[np.float32]
    pts_s: NDArray[np.float64]
    source_index: NDArray[np.int64]
    duration_s: float
    clips: int


def record_path(out: Path, name: str) -> Path:
    """The file of the video called ``name``."""
    return out / FRAMES / f"{name}{_SUFFIX}"


def record_names(out: Path) -> set[str]:
    """The names of all videos that have such a file."""
    root = out / FRAMES
    found = root.rglob(f"*{_SUFFIX}") if root.is_dir() else ()
    return {
        path.relative_to(root).as_posix().removesuffix(_SUFFIX)
        for path in found
        if not path.name.startswith(".")
    }


def write_record(out: Path, name: str, record: VideoRecord) -> None:
    """Write the file; equal records give equal bytes."""
    facts = {
        "sha256": record.sha256,
        "fingerprint": record.fingerprint,
        "duration_s": record.duration_s,
        "clips": record.clips,
    }
    buffer = io.BytesIO()
    np.savez(
        buffer,
        video=record.video,
        frames=record.frames,
        pts_s=record.pts_s,
        source_index=record.source_index,
        facts=np.array(json.dumps(facts, sort_keys=True)),
    )
    write_bytes(record_path(out, name), buffer.getvalue())


def read_record(out: Path, name: str) -> VideoRecord | None:
    """What :func:`write_record` wrote; ``None`` where it is missing or damaged."""
    try:
        content = record_path(out, name).read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            record = VideoRecord(
                str(facts["sha256"]),
                str(facts["fingerprint"]),
                arrays["video"],
                arrays["frames"],
                arrays["pts_s"],
                arrays["source_index"],
                float(facts["duration_s"]),
                int(facts["clips"]),
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return record if _fits_together(record) else None


def _fits_together(record: VideoRecord) -> bool:
    n = len(record.pts_s) if record.pts_s.ndim == 1 else 0
    return (
        n > 0
        and record.video.dtype == record.frames.dtype == np.float32
        and record.video.ndim == 1
        and record.frames.shape == (n, len(record.video))
        and record.source_index.shape == (n,)
        and record.clips > 0
        and n % record.clips == 0
    )
