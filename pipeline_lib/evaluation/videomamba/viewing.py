"""Views of videos, clips of them in several crops, put before several networks at once."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.backbones.videomamba_folder import LoadedVideoMamba
from pipeline_lib.datasets.video_clips.augment import test_crop
from pipeline_lib.datasets.video_clips.loading import prefetched
from pipeline_lib.datasets.video_clips.store import ClipStore
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.errors import VideoError, WeightsError
from pipeline_lib.evaluation.videomamba.answers import Answers
from pipeline_lib.metrics.predictions import softmax
from pipeline_lib.runtime.lanes import Lanes, cores
from pipeline_lib.runtime.progress import SILENT, Progress

# From the name of a clip and its number of frames to the order in which they are shown.
FrameOrder = Callable[[str, int], NDArray[np.int64]]
_WAITING = 2  # batches in each lane


@dataclass(frozen=True)
class Contender:
    """A network, and how it is shown the frames.

    Attributes:
        model: The network.
        order: Of the frames; ``None`` shows them as they come.
    """

    model: LoadedVideoMamba
    order: FrameOrder | None = None


@dataclass(frozen=True)
class Views:
    """What is seen of a video.

    Attributes:
        segments: Clips of each window.
        crops: Squares of each clip, along the longer side.
        batch_size: Views in one forward pass.
    """

    segments: int
    crops: int
    batch_size: int


@dataclass(frozen=True)
class _View:
    row: int
    clip: str
    crop: int
    pixels: Tensor


def read_segments(store: ClipStore, row: int, segments: int) -> list[NDArray[np.uint8]]:
    """The clips of one window, decoded together.

    Args:
        store: The frames.
        row: Of the window.
        segments: How many clips.

    Returns:
        Of each clip uint8 [T, H, W, 3].

    Raises:
        VideoError: The video cannot be read.
    """
    wanted = [store.test_indices(row, segment, segments) for segment in range(segments)]
    every = np.unique(np.concatenate(wanted))
    frames = store.read(row, every)
    return [frames[np.searchsorted(every, indices)] for indices in wanted]


def answer(
    store: ClipStore,
    contenders: Mapping[str, Contender],
    views: Views,
    lanes: Lanes,
    *,
    classify: bool,
    progress: Progress = SILENT,
    title: str = "watch videos",
) -> tuple[dict[str, Answers], tuple[MissingVideo, ...]]:
    """Show every view to every contender; each video is decoded once.

    Args:
        store: The windows of a split.
        contenders: The networks, for clips of one size.
        views: What is seen of a window.
        lanes: Run one batch each.
        classify: Whether outputs are logits of classes; otherwise the first one is a value.
        progress: Told of each window.
        title: Of its task.

    Returns:
        Everybody's answers, and the windows whose frames turned out to be unreadable: nobody
        answered them.

    Raises:
        WeightsError: A network gives NaN or infinity.
    """
    size = next(iter(contenders.values())).model.shape.image_size
    failed: dict[str, MissingVideo] = {}

    def seen(row: int) -> list[_View] | VideoError:
        try:
            clips = read_segments(store, row, views.segments)
        except VideoError as error:
            return error
        name = store.items[row].id
        return [
            _View(row, f"{name} {segment}", crop, test_crop(clip, size, crop, views.crops))
            for segment, clip in enumerate(clips)
            for crop in range(views.crops)
        ]

    def all_views() -> Iterator[_View]:
        with progress.task(title, len(store.items)) as advance:
            made = prefetched(range(len(store.items)), seen, cores())
            for item, found in zip(store.items, made, strict=True):
                if isinstance(found, VideoError):
                    failed[item.id] = MissingVideo(item.id, item.path.as_posix(), found.message)
                else:
                    yield from found
                advance(note=item.video)

    places: list[tuple[str, str]] = []
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in contenders}
    for batch, rows in _shown(all_views(), contenders, views.batch_size, lanes):
        places += [(store.items[view.row].video, f"{view.clip} {view.crop}") for view in batch]
        for name, outputs in rows.items():
            parts[name].append(_rows(outputs, name, classify=classify))
    videos, keys = (tuple(column) for column in zip(*places, strict=True)) if places else ((), ())
    found = {
        name: Answers(videos, keys, np.concatenate(rows) if rows else np.zeros((0, 1)))
        for name, rows in parts.items()
    }
    return found, tuple(failed.values())


def _shown(
    views: Iterator[_View], contenders: Mapping[str, Contender], batch_size: int, lanes: Lanes
) -> Iterator[tuple[list[_View], dict[str, NDArray[np.float32]]]]:
    """Batches with everybody's outputs, in order; a few are under way at a time."""
    waiting: deque[tuple[list[_View], Future[dict[str, NDArray[np.float32]]]]] = deque()
    for batch in _batches(views, batch_size):
        waiting.append((batch, lanes.submit(_outputs, batch, contenders)))
        if len(waiting) > _WAITING * lanes.count:
            first, running = waiting.popleft()
            yield first, running.result()
    for first, running in waiting:
        yield first, running.result()


def _batches(views: Iterator[_View], batch_size: int) -> Iterator[list[_View]]:
    batch: list[_View] = []
    for view in views:
        batch.append(view)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _outputs(
    batch: Sequence[_View], contenders: Mapping[str, Contender]
) -> dict[str, NDArray[np.float32]]:
    """Everybody's outputs, float32 [B, classes]."""
    pixels = torch.stack([view.pixels for view in batch])
    found = {}
    for name, contender in contenders.items():
        shown = pixels
        if contender.order is not None:
            orders = [contender.order(view.clip, pixels.shape[2]) for view in batch]
            shown = torch.stack(
                [view.pixels[:, torch.from_numpy(o)] for view, o in zip(batch, orders, strict=True)]
            )
        found[name] = contender.model.logits(shown).cpu().numpy()
    return found


def _rows(outputs: NDArray[np.float32], name: str, *, classify: bool) -> NDArray[np.float64]:
    if not np.isfinite(outputs).all():
        raise WeightsError(
            f"The network {name} gives NaN or infinity.",
            hint="Its weights are damaged, or evaluate with extract.precision: fp32.",
        )
    return softmax(outputs) if classify else outputs[:, :1].astype(np.float64)
