"""Frame vectors all along a video: the network slides over it, window by window.

The network sees N frames. Over the whole of a long video they lie so far apart that they miss
whatever is short, so the video is cut into equal windows of N frames each. Its one embedding stays
that of N frames of the whole, as ``embed`` makes it.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.errors import VideoError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.retrieval.embedding import model_fingerprint
from pipeline_lib.retrieval.records import VideoRecord
from pipeline_lib.video.announcement import announcement
from pipeline_lib.video.decoders.base import check_file
from pipeline_lib.video.sampling import SampledVideo, sample_segments


def windows(duration_s: float, shown: int, frames: int, every_s: float) -> int:
    """Into how many equal windows a video is cut.

    Args:
        duration_s: Its length.
        shown: Its frames; there are no more windows than they fill.
        frames: Of a window.
        every_s: Seconds between two of its frames, at most.
    """
    wanted = math.ceil(duration_s / (frames * every_s) - 1e-9)
    return max(1, min(wanted, math.ceil(shown / frames)))


def dense_record(path: Path, model: RetrievalModel, every_s: float) -> VideoRecord:
    """The vectors of a video with frames all along it.

    It is decoded once, and memory holds the frames of a few windows, whatever its length.

    Args:
        path: The file.
        model: The network.
        every_s: Seconds between two frames, at most.

    Raises:
        VideoError: The video cannot be read, or the network gives it no finite vectors.
    """
    check_file(path)
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}.", reason="unreadable") from None
    announced = announcement(path)
    duration_s = announced.end_s(len(announced.times))
    count = windows(duration_s, len(announced.times), model.frames, every_s)
    edges = np.linspace(0.0, duration_s, count + 1).tolist()
    # The whole video is the last one; where it is the only window, it is not embedded twice.
    bounds = [*pairwise(edges)] if count > 1 else []
    bounds.append((0.0, duration_s))
    sampled = sample_segments(
        path, bounds, model.frames, model.preprocess.resize, duration_s=duration_s
    )
    seen, video = _embedded(sampled, model, len(bounds))
    record = VideoRecord(
        digest,
        model_fingerprint(model),
        video,
        np.concatenate([frames for _, _, frames in seen]),
        np.concatenate([pts_s for pts_s, _, _ in seen]),
        np.concatenate([index for _, index, _ in seen]),
        duration_s,
        model.clips * count,
    )
    if not (np.isfinite(record.video).all() and np.isfinite(record.frames).all()):
        raise VideoError(
            f"{path}: the network gives it no finite embedding; its weights are damaged.",
            reason="no_embedding",
        )
    return record


_Seen = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]


def _embedded(
    sampled: Iterator[tuple[int, SampledVideo]], model: RetrievalModel, count: int
) -> tuple[Sequence[_Seen], NDArray[np.float32]]:
    """Times, indices and vectors of each window in the order of time, and the whole's vector."""
    done: dict[int, _Seen] = {}
    video = np.zeros(0, np.float32)
    at_once = max(1, model.batch_size // model.frames)  # what fills one forward pass
    while some := list(islice(sampled, at_once)):
        vectors = model.encode_videos(np.stack([one.frames for _, one in some]))
        for row, (number, one) in enumerate(some):
            done[number] = (one.pts_s, one.source_index, vectors.frames[row].numpy().copy())
            if number == count - 1:
                video = vectors.video[row].numpy().copy()
    return [done[number] for number in range(max(1, count - 1))], video
