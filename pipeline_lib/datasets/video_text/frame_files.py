"""The files of a frame store: what each is called, and how it is made."""

import io
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_lists.frame_folder import frame_path
from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.storage.atomic import replacing
from pipeline_lib.video.sampling import (
    Segment,
    sample_segments,
    segment_bounds,
    video_length_s,
)
from pipeline_lib.video.scaling import Resize

# Raised whenever this code changes which pixels are kept.
_VERSION = 1


@dataclass(frozen=True)
class FrameSpec:
    """Which frames of a video are kept, and how they are scaled.

    Attributes:
        count: Frames of each video or segment.
        resize: With a crop or ``squash``, so that all come out alike.
        decoder: A name in :data:`~pipeline_lib.video.decoders.DECODERS`.
        tolerant: Take what a damaged video gives.
    """

    count: int
    resize: Resize
    decoder: str = "pyav"
    tolerant: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.count} frames of a video.")
        if self.resize.crop is None and self.resize.mode != "squash":
            raise ValueError("Videos of different shapes need a crop to come out alike.")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of one file: [count, S, S, 3]."""
        side = self.resize.crop or self.resize.size
        return self.count, side, side, 3

    def key(self, video_sha256: str, segment: Segment) -> str:
        """The name of all that decides which pixels a video or segment gives."""
        place = [segment.start_s, segment.end_s, segment.at_most_s]
        return f"{video_sha256}-{fingerprint([_VERSION, asdict(self), place])}"

    def file_bytes(self) -> int:
        """Size of one file, its header included."""
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        )
        return len(header.getvalue()) + int(np.prod(self.shape))


def is_whole(path: Path, spec: FrameSpec) -> bool:
    """Whether a file is there and as long as it has to be."""
    try:
        return path.stat().st_size == spec.file_bytes()
    except OSError:
        return False


def load_frames(path: Path, spec: FrameSpec) -> NDArray[np.uint8]:
    """The frames in a file: uint8 [count, S, S, 3], read from disk when they are used.

    Raises:
        DataError: The file has gone or is damaged.
    """
    try:
        frames: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}.", hint="Remove it and run again.") from (
            None
        )
    if frames.shape != spec.shape or frames.dtype != np.uint8:
        raise DataError(
            f"{path}: {frames.dtype} {list(frames.shape)} instead of uint8 {list(spec.shape)}.",
            hint="Remove it and run again.",
        )
    return frames


def sample_video_once(
    path: Path, segments: Mapping[str, Segment], spec: FrameSpec, folder: Path | None
) -> dict[str, str]:
    """Decode all wanted segments of a video in one pass, and write each to its file.

    Where that pass meets damage, each segment gets a pass of its own: whether it can be decoded
    must not depend on which others are asked for at the same time.

    Args:
        path: The video.
        segments: By key.
        spec: Which frames.
        folder: Of the files; ``None`` only looks whether all can be decoded.

    Returns:
        Key to reason, for those that cannot be decoded.

    Raises:
        OSError: The disk has no room for a file.
    """
    try:
        duration_s = video_length_s(path)
    except VideoError as error:
        return dict.fromkeys(segments, _about(path, error))
    failed, bounds = {}, {}
    for key, segment in segments.items():
        try:
            bounds[key] = segment_bounds(path, segment, duration_s)
        except DataError as error:
            failed[key] = error.message
    passes = [bounds] if bounds else []
    while passes:
        several = passes.pop()
        try:
            _sample(path, several, spec, duration_s, folder)
        except VideoError as error:
            if len(several) == 1:
                failed |= dict.fromkeys(several, _about(path, error))
            else:
                passes += [{key: bound} for key, bound in several.items()]
    return failed


def _about(path: Path, error: VideoError) -> str:
    return error.message if str(path) in error.message else f"{path}: {error.message}"


def _sample(
    path: Path,
    bounds: Mapping[str, tuple[float, float]],
    spec: FrameSpec,
    duration_s: float,
    folder: Path | None,
) -> None:
    keys = list(bounds)
    sampled = sample_segments(
        path,
        list(bounds.values()),
        spec.count,
        spec.resize,
        duration_s=duration_s,
        decoder=spec.decoder,
        tolerant=spec.tolerant,
    )
    # All files take their names at the end, when the whole pass has turned out to be sound.
    with ExitStack() as waiting:
        for number, segment in sampled:
            if folder is not None:
                target = frame_path(folder, keys[number])
                np.save(waiting.enter_context(replacing(target)), segment.frames)
