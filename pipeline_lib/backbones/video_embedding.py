"""One pass over a video that embeds its frames with one or several image networks."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.video.reader import TIME_TOLERANCE_S, Sample, VideoReader, open_video
from pipeline_lib.video.scaling import resize_image

log = logging.getLogger(__name__)

# Features are float32; digits beyond these are rounding noise, and equal frames have to tie.
_DECIMALS = 6


@dataclass(frozen=True)
class EmbeddedVideo:
    """Frames of one video as features.

    Attributes:
        pts_s: float64 [N], when each frame is first shown, seconds since the first frame.
        source_index: int64 [N], its index among all presented frames.
        features: For each backbone float32 [N, D_k], rows of length 1.
        duration_s: Seconds from the first frame to the end of the last one that was read; of the
            whole video where frames were asked for by ``every_s``.
    """

    pts_s: NDArray[np.float64]
    source_index: NDArray[np.int64]
    features: tuple[NDArray[np.float32], ...]
    duration_s: float

    def __len__(self) -> int:
        return len(self.pts_s)


def embed_video(
    path: Path,
    backbones: Sequence[Backbone],
    *,
    every_s: float | None = None,
    times_s: Sequence[float] | NDArray[np.float64] | None = None,
    squash: tuple[int, int] | None = None,
) -> EmbeddedVideo:
    """Decode a video once and embed its frames with every backbone.

    Memory holds a batch of scaled frames a backbone, whatever the length of the video.

    Args:
        path: The video.
        backbones: Image networks; each gets frames scaled as it wants them.
        every_s: Spacing in seconds: the frames shown at 0, every_s, 2 * every_s, … before the end.
            One that is shown at several of these times, since the video has fewer frames than
            that, gives one row.
        times_s: Seconds since the first frame, in any order; one row a time, in this order, equal
            ones where they show one frame. A time past the end gives the last frame. Exactly one
            of ``every_s`` and ``times_s`` is given.
        squash: Width and height that every frame is scaled to first, whatever its shape.

    Raises:
        ConfigError: A backbone takes clips instead of frames.
        DataError: A time is negative or not a number.
        ValueError: Both or neither of ``every_s`` and ``times_s`` are given, or ``every_s <= 0``.
        VideoError: The video cannot be read.
        WeightsError: A backbone gives features without direction.
    """
    _refuse_clip_networks(backbones)
    if (times_s is None) == (every_s is None):
        raise ValueError("Give exactly one of every_s and times_s.")
    if every_s is not None:
        if not every_s > 0:
            raise ValueError(f"every_s must be positive, not {every_s}.")
        with _watching(path) as video:
            samples = video.until_end(k * every_s for k in count())
            return _embed(samples, video, backbones, squash)[0]
    times = np.asarray(times_s, dtype=np.float64)
    _refuse_times_without_frame(path, times)
    order = np.argsort(times, kind="stable")
    with _watching(path) as video:
        distinct, row_of = _embed(video.at(times[order].tolist()), video, backbones, squash)
    rows = np.empty(len(times), dtype=np.int64)
    rows[order] = row_of
    return EmbeddedVideo(
        distinct.pts_s[rows],
        distinct.source_index[rows],
        tuple(features[rows] for features in distinct.features),
        distinct.duration_s,
    )


def unit_rows(rows: NDArray[np.floating], what: str = "a frame") -> NDArray[np.float64]:
    """``rows`` [N, D] scaled to length 1.

    Args:
        rows: Features.
        what: What one row is of, for the message.

    Raises:
        WeightsError: A row has no direction.
    """
    wide = rows.astype(np.float64)
    lengths = np.sqrt((wide * wide).sum(axis=1))
    bad = lengths[~(np.isfinite(lengths) & (lengths > 0))]
    if len(bad):
        raise WeightsError(
            f"The backbone gives {what} an embedding of length {bad[0]}.",
            hint="Its weights are damaged; `clipline extract` would give the same.",
        )
    return wide / lengths[:, None]


def rounded_cosines(
    rows: NDArray[np.floating], direction: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The cosine of every row with one direction, rounded to six decimals.

    Args:
        rows: [n, D], of length 1.
        direction: [D], of length 1: another frame, or a caption in the same space.

    Returns:
        float64 [n].
    """
    # Elementwise sums, not a matrix product: its bits would depend on how many rows it has.
    products = rows.astype(np.float64) * direction.astype(np.float64)
    return products.sum(axis=1).round(_DECIMALS)


def squash_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An RGB image [H, W, 3] scaled to ``size`` (width, height) whatever its shape."""
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _refuse_clip_networks(backbones: Sequence[Backbone]) -> None:
    for backbone in backbones:
        if backbone.frames_per_sample != 1:
            raise ConfigError(
                f"{backbone.identity['network']} takes clips of {backbone.frames_per_sample} "
                "frames, so it has no feature of a single one.",
                hint="Use an image network: clip, mobileclip or dinov2.",
            )


def _refuse_times_without_frame(path: Path, times: NDArray[np.float64]) -> None:
    bad = times[~(np.isfinite(times) & (times >= -TIME_TOLERANCE_S))]
    if len(bad):
        raise DataError(
            f"{path}: no frame is shown at {bad[0]} s.", hint="Times count from 0, the first frame."
        )


@contextmanager
def _watching(path: Path) -> Iterator[VideoReader]:
    """An open video; what is found wrong with it on the way is said at the end."""
    with open_video(path) as video:
        yield video
        if video.damage:
            log.warning("%s: %s; the rest is used", path, video.damage.message)


class _Rows:
    """The features of one backbone, computed a batch at a time."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._waiting: list[NDArray[np.uint8]] = []
        self._done = [np.zeros((0, backbone.dim), dtype=np.float32)]

    def add(self, image: NDArray[np.uint8]) -> None:
        self._waiting.append(image)
        if len(self._waiting) == self._backbone.batch_size:
            self._flush()

    def finished(self) -> NDArray[np.float32]:
        self._flush()
        return np.concatenate(self._done)

    def _flush(self) -> None:
        if self._waiting:
            encoded = self._backbone.encode(self._waiting)
            self._done.append(unit_rows(encoded).astype(np.float32))
            self._waiting = []


def _embed(
    samples: Iterable[Sample],
    video: VideoReader,
    backbones: Sequence[Backbone],
    squash: tuple[int, int] | None,
) -> tuple[EmbeddedVideo, list[int]]:
    """The distinct frames among ``samples``, and for each sample the row that it is."""
    pts_s: list[float] = []
    source_index: list[int] = []
    row_of: list[int] = []
    rows = [_Rows(backbone) for backbone in backbones]
    for sample in samples:
        if not source_index or source_index[-1] != sample.source_index:
            pts_s.append(sample.pts_s)
            source_index.append(sample.source_index)
            images = _scaled(sample, backbones, squash)
            for queue, image in zip(rows, images, strict=True):
                queue.add(image)
        row_of.append(len(pts_s) - 1)
    embedded = EmbeddedVideo(
        np.array(pts_s, dtype=np.float64),
        np.array(source_index, dtype=np.int64),
        tuple(queue.finished() for queue in rows),
        video.duration_s,
    )
    return embedded, row_of


def _scaled(
    sample: Sample, backbones: Sequence[Backbone], squash: tuple[int, int] | None
) -> list[NDArray[np.uint8]]:
    """The frame as each backbone wants it; those that want the same share it."""
    wanted = dict.fromkeys(backbone.resize for backbone in backbones)
    if squash is None:
        images = {resize: sample.rgb(resize) for resize in wanted}
    else:
        whole = squash_image(sample.rgb(), squash)
        images = {resize: resize_image(whole, resize) for resize in wanted}
    return [images[backbone.resize] for backbone in backbones]
