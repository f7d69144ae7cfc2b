"""The videos of an evaluation, with labels as the network counts them."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline_lib.backbones.videomamba_folder import CLASSIFICATION, LoadedVideoMamba
from pipeline_lib.config import Params, VideoListConfig
from pipeline_lib.datasets.video_clips.items import ClipList
from pipeline_lib.datasets.video_clips.reading import NoClipsError, Task, read_clip_list
from pipeline_lib.datasets.video_clips.store import open_clips
from pipeline_lib.errors import ConfigError, DataError, WeightsError, did_you_mean
from pipeline_lib.evaluation import Request
from pipeline_lib.evaluation.videomamba.answers import Labels, video_labels
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.trainers.videomamba.splits import Clips

FRAMES = Path("data") / ".scratch" / "frames"
_LOG = logging.getLogger(__name__)


class Videos:
    """The splits of a data set as one network sees them.

    Args:
        params: The sections ``data``, ``extract`` and ``train.videomamba``.
        dataset: ``train.videomamba.dataset`` with its sampling.
        model: The network.
        segments: Clips of a window.

    Raises:
        ConfigError: The network was trained for another task than the parameters name.
        WeightsError: The network has several outputs where values are learned.
    """

    def __init__(
        self, params: Params, dataset: VideoListConfig, model: LoadedVideoMamba, segments: int
    ) -> None:
        self._params, self._dataset, self._segments = params, dataset, segments
        self._model = model
        self._outputs = model.network.head.out_features
        self.task: Task = params.train.videomamba.task
        if model.facts and model.task != self.task:
            raise ConfigError(
                f"{model.source.id}: was trained for {model.task}, but train.videomamba.task is "
                f"{self.task}.",
                hint=f"Set train.videomamba.task: {model.task}, or choose another model.",
            )
        if not self.classify and self._outputs != 1:
            raise WeightsError(
                f"{model.source.id}: has {self._outputs} outputs, and a value needs one.",
                hint="Set train.videomamba.task: classification, or choose another model.",
            )

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._model.device

    @property
    def classify(self) -> bool:
        """Whether videos have classes, and not values."""
        return self.task == CLASSIFICATION

    def listed(self, split: str) -> ClipList:
        """The list of a split; labels and classes are the network's.

        Raises:
            DataError: It cannot be used, or names a class that the network does not have.
            WeightsError: The network does not say its classes and has another number of them.
        """
        data = self._params.data
        clips = read_clip_list(self._dataset, Path(data.root), split, self.task, data.exclude)
        return self._as_counted(clips) if self.classify else clips

    def opened(self, split: str, progress: Progress = SILENT) -> Clips:
        """A split with its frames.

        Raises:
            DataError: As for :meth:`listed`, or none of its videos can be used.
        """
        listed = self.listed(split)
        extract = self._params.extract
        store = open_clips(
            listed,
            self._dataset,
            frames=self._model.shape.frames,
            segments=self._segments,
            training=False,
            folder=FRAMES,
            decoder=extract.decoder,
            tolerant=extract.tolerant,
            progress=progress,
        )
        return Clips(split, listed.without(store.failures), store)

    def _as_counted(self, clips: ClipList) -> ClipList:
        names = clips.classes or ()
        known = self._model.classes
        if known is None:
            if len(names) != self._outputs:
                raise WeightsError(
                    f"{self._model.source.id}: has {self._outputs} outputs without names, and the "
                    f"videos have {len(names)} classes.",
                    hint="Name all classes that it was trained on, in its order, in the file "
                    "train.videomamba.dataset.class_names.",
                )
            return clips
        for name in names:
            if name not in known:
                raise DataError(
                    f"Class {name!r} of the videos is no class of {self._model.source.id}.",
                    hint=did_you_mean(name, known),
                )
        index = [known.index(name) for name in names]
        items = tuple(replace(item, label=index[int(item.label)]) for item in clips.items)
        return replace(clips, items=items, classes=known)


def open_requested(videos: Videos, request: Request, progress: Progress = SILENT) -> list[Clips]:
    """The splits with their frames; one that the data set lacks is left out unless asked for.

    Raises:
        DataError: A split that was asked for, or all of them, cannot be used.
    """
    found: list[Clips] = []
    missing: NoClipsError | None = None
    for split in request.splits:
        try:
            found.append(videos.opened(split, progress))
        except NoClipsError as error:
            if request.splits != Request.splits:
                raise
            _LOG.warning("%s", error.message)
            missing = error
    if missing and not found:
        raise missing
    return found


def training_list(videos: Videos) -> ClipList | None:
    """The training videos, for answers that only count them; whoever evaluates may have none."""
    try:
        return videos.listed("train")
    except DataError as error:
        _LOG.warning("no control that counts training videos: %s", error.message)
        return None


def training_labels(train: ClipList | None) -> Labels | None:
    """The label of each training video; ``None`` where there are none."""
    labels = video_labels(train) if train else {}
    return np.array(list(labels.values())) if labels else None


def fitting_splits(
    videos: Videos, opened: Sequence[Clips], progress: Progress = SILENT
) -> tuple[Clips, Clips] | None:
    """Training and validation videos, to fit a control on; ``None`` where that cannot be.

    Args:
        videos: The data set.
        opened: Splits that are open already.
        progress: Told of each video.
    """
    if not videos.classify:
        _LOG.info("the control frame_model is one of classes; values have none")
        return None
    known = {split.name: split for split in opened}
    try:
        train, val = (known.get(name) or videos.opened(name, progress) for name in ("train", "val"))
    except DataError as error:
        _LOG.warning("no control frame_model: %s", error.message)
        return None
    return train, val


def warn_of_leaks(splits: Sequence[Clips], train: ClipList | None) -> None:
    """Log how many videos of each split are training videos too."""
    known = {item.path for item in train.items} if train else set()
    for split in splits:
        paths = {item.path for item in split.items}
        if paths & known:
            _LOG.warning(
                "%s: %d of %d videos are training videos too: its metrics say little.",
                split.name,
                len(paths & known),
                len(paths),
            )
