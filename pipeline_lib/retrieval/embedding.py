"""From video files to vectors: decoded ahead of the network, several videos in a forward pass."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.errors import VideoError
from pipeline_lib.fingerprint import fingerprint, sha256_file
from pipeline_lib.retrieval.records import VideoRecord
from pipeline_lib.runtime.lanes import Lanes, cores
from pipeline_lib.video.decoders.base import check_file
from pipeline_lib.video.sampling import SampledVideo, sample_video

# Raised whenever this code changes a vector of the same video and model.
VERSION = 1


@dataclass(frozen=True)
class Embedded:
    """A video that is done.

    Attributes:
        path: The file.
        record: Its vectors.
        seconds: Decoding and its share of the forward pass.
    """

    path: Path
    record: VideoRecord
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A video that cannot be used; the fields are those of a ``VideoError``."""

    path: Path
    reason: str
    message: str


@dataclass(frozen=True)
class _Decoded:
    path: Path
    sha256: str
    sampled: SampledVideo
    seconds: float


@dataclass(frozen=True)
class _Vectors:
    video: NDArray[np.float32]
    frames: NDArray[np.float32]
    seconds: float


def model_fingerprint(model: RetrievalModel) -> str:
    """Changes with anything that changes a vector of the same video."""
    return fingerprint({"version": VERSION, "model": model.identity})


def embed_files(
    paths: Iterable[Path], model: RetrievalModel, *, threads: int = 0, decoders: int = 0
) -> Iterator[Embedded | Failed]:
    """Embed videos; failures are told as soon as they are met.

    Memory holds the sampled frames of a few videos, whatever their number.

    Args:
        paths: The files.
        model: The network.
        threads: CPU threads of forward passes; 0 takes all cores.
        decoders: Videos that are decoded at a time; 0 takes one a core.
    """
    at_once = max(1, model.batch_size // model.frames)  # what fills one forward pass
    marked = model_fingerprint(model)
    running: deque[tuple[list[_Decoded], Future[list[_Vectors]]]] = deque()
    with Lanes(model.device, threads) as lanes:
        batch: list[_Decoded] = []
        for item in _decoded(paths, model, decoders or cores(), ahead=at_once):
            if isinstance(item, Failed):
                yield item
                continue
            batch.append(item)
            if len(batch) == at_once:
                running.append((batch, lanes.submit(_forward, model, batch)))
                batch = []
            yield from _collected(running, lanes.count, marked, model.clips)
        if batch:
            running.append((batch, lanes.submit(_forward, model, batch)))
        yield from _collected(running, 0, marked, model.clips)


def _decoded(
    paths: Iterable[Path], model: RetrievalModel, workers: int, ahead: int
) -> Iterator[_Decoded | Failed]:
    """Decode in other threads (the decoder does not hold the interpreter), a few videos ahead."""
    waiting: deque[Future[_Decoded | Failed]] = deque()
    pool = ThreadPoolExecutor(workers, "decoder")
    try:
        for path in paths:
            waiting.append(pool.submit(_decode, path, model))
            if len(waiting) > workers + ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(path: Path, model: RetrievalModel) -> _Decoded | Failed:
    start = time.perf_counter()
    try:
        check_file(path)
        digest = sha256_file(path)
        sampled = sample_video(path, model.frames, model.preprocess.resize)
    except VideoError as error:
        return Failed(path, error.reason, error.message)
    except OSError as error:
        return Failed(path, "unreadable", f"{path}: {error.strerror}.")
    return _Decoded(path, digest, sampled, time.perf_counter() - start)


def _forward(model: RetrievalModel, batch: Sequence[_Decoded]) -> list[_Vectors]:
    start = time.perf_counter()
    vectors = model.encode_videos(np.stack([item.sampled.frames for item in batch]))
    each_s = (time.perf_counter() - start) / len(batch)
    # Copies: a row of the batch would keep all of it in memory.
    return [
        _Vectors(video.numpy().copy(), frames.numpy().copy(), each_s)
        for video, frames in zip(vectors.video, vectors.frames, strict=True)
    ]


def _collected(
    running: "deque[tuple[list[_Decoded], Future[list[_Vectors]]]]",
    allowed: int,
    marked: str,
    clips: int,
) -> Iterator[Embedded | Failed]:
    """Hand results back in the order of submission; wait while too many batches run."""
    while running and (len(running) > allowed or running[0][1].done()):
        batch, future = running.popleft()
        for item, vectors in zip(batch, future.result(), strict=True):
            yield _finished(item, vectors, marked, clips)


def _finished(item: _Decoded, vectors: _Vectors, marked: str, clips: int) -> Embedded | Failed:
    if not (np.isfinite(vectors.video).all() and np.isfinite(vectors.frames).all()):
        message = f"{item.path}: the network gives it no finite embedding; its weights are damaged."
        return Failed(item.path, "no_embedding", message)
    sampled = item.sampled
    record = VideoRecord(
        item.sha256,
        marked,
        vectors.video,
        vectors.frames,
        sampled.pts_s,
        sampled.source_index,
        sampled.duration_s,
        clips,
    )
    return Embedded(item.path, record, item.seconds + vectors.seconds)
