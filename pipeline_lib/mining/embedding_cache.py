"""Embeddings of single frames, kept between runs."""

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.storage.atomic import write_bytes

log = logging.getLogger(__name__)

# Raised whenever this code changes which pixels are embedded.
_VERSION = 1

Rows = dict[int, NDArray[np.float32]]


class EmbeddingCache:
    """One file a video and backbone; named by content, so renamed and copied videos find theirs.

    What is read is, bit for bit, what would be computed: the name also holds whatever changes a
    bit of an embedding. A damaged file only costs its computation again.

    Args:
        folder: Where the files are; ``None`` remembers nothing.
        backbone: Whose embeddings they are.
    """

    def __init__(self, folder: Path | None, backbone: Backbone) -> None:
        self._folder = folder
        self._dim = backbone.dim
        self._fingerprint = fingerprint(
            {
                "version": _VERSION,
                "backbone": dict(backbone.identity),
                # Another batch shape or device may round differently in the last bit.
                "batch_size": backbone.batch_size,
                "device": backbone.device.type,
            }
        )

    def load(self, video_sha256: str, frames: int) -> Rows:
        """What is known of a video.

        Args:
            video_sha256: Of the file's bytes.
            frames: How many frames it has.

        Returns:
            Position of a frame to its embedding, float32 [D], as the backbone gave it.
        """
        path = self._path(video_sha256)
        if path is None or not path.exists():
            return {}
        try:
            rows = _read(path, frames, self._dim)
        except Exception as error:  # noqa: BLE001  # whatever a damaged archive makes readers raise
            log.warning("%s: damaged (%s); its frames are embedded again", path, error)
            return {}
        return rows

    def store(self, video_sha256: str, rows: Mapping[int, NDArray[np.float32]]) -> None:
        """Replace what is known of a video."""
        path = self._path(video_sha256)
        if path is None or not rows:
            return
        positions = sorted(rows)
        buffer = io.BytesIO()
        embeddings = np.stack([rows[position] for position in positions])
        np.savez(buffer, positions=np.array(positions, np.int64), embeddings=embeddings)
        write_bytes(path, buffer.getvalue())

    def _path(self, video_sha256: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{video_sha256}-{self._fingerprint}.npz"


def _read(path: Path, frames: int, dim: int) -> Rows:
    # The archive's own checksums tell a changed bit.
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        positions, embeddings = arrays["positions"], arrays["embeddings"]
    if positions.dtype != np.int64 or embeddings.dtype != np.float32:
        raise ValueError("other types than were written")
    if positions.ndim != 1 or embeddings.shape != (len(positions), dim):
        raise ValueError(f"shape {embeddings.shape} for {positions.shape} frames")
    if len(positions) and (positions.min() < 0 or positions.max() >= frames):
        raise ValueError(f"names a frame that is none of {frames}")
    return dict(zip(positions.tolist(), embeddings, strict=True))
