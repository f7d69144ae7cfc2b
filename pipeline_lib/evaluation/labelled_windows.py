"""The windows of one split, with labels counted in the trained model's class list."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.errors import DataError, did_you_mean


@dataclass(frozen=True)
class LabelledWindows:
    """Kept windows of one split, n of them from v videos.

    Attributes:
        table: The n rows of the windows table.
        class_names: The trained model's C classes.
        normal: Index of the class without events; ``None`` where no class is known to be.
        labels: Class index of each window, int64 [n].
        videos: Ids of the v videos that have a window, sorted.
        video_of_window: Index into ``videos``, int64 [n].
        video_labels: Class index of each video by its directory, int64 [v].
        videos_without_windows: Videos of the split of which no window was kept.
    """

    table: pd.DataFrame
    class_names: tuple[str, ...]
    normal: int | None
    labels: np.ndarray
    videos: tuple[str, ...]
    video_of_window: np.ndarray
    video_labels: np.ndarray
    videos_without_windows: tuple[str, ...]

    @property
    def overlaps_event(self) -> np.ndarray:
        """Whether each window overlaps an annotated event, boolean [n]."""
        return self.table["overlaps_event"].to_numpy(dtype=bool)

    @property
    def searchable(self) -> np.ndarray:
        """Windows in which the presence of an event is known, boolean [n].

        Those are the windows of normal videos and of videos with an annotated event; in any
        other video nobody said where its event is.
        """
        annotated = np.zeros(len(self.videos), dtype=bool)
        annotated[self.video_of_window[self.overlaps_event]] = True
        known = annotated | (self.video_labels == self.normal)
        return np.asarray(known[self.video_of_window])


def labelled_windows(
    table: pd.DataFrame,
    split: str,
    *,
    class_names: tuple[str, ...],
    normal_class: str,
    known_videos: Iterable[str],
    source: Path,
) -> LabelledWindows:
    """Choose the kept windows of ``split`` and map their labels by name.

    Args:
        table: The windows table.
        split: ``train``, ``val`` or ``test``.
        class_names: The trained model's classes; indices count in this list.
        normal_class: Directory of the class without events, in any case; it need not exist.
        known_videos: All videos that have features, of any split.
        source: Where ``table`` was read from, for messages.

    Raises:
        DataError: A label or a directory is no class of the model, or a window's video has no
            features.
    """
    of_split = table[table["split"] == split]
    kept = of_split[of_split["kept"]].reset_index(drop=True)
    videos, first, video_of_window = np.unique(
        kept["video"].to_numpy(dtype=str), return_index=True, return_inverse=True
    )
    with_features = {video for video in known_videos if video.startswith(f"{split}/")}
    lacking = sorted(set(videos) - with_features)
    if lacking:
        raise DataError(
            f"{source}: {lacking[0]} has windows but no features ({len(lacking)} such videos).",
            hint="The table and the features are of different runs; make both: `dvc repro`.",
        )
    directories = kept["class_name"].iloc[first]
    return LabelledWindows(
        table=kept,
        class_names=class_names,
        normal=_normal_index(class_names, normal_class),
        labels=_indices(kept["label"], class_names, split, source),
        videos=tuple(videos.tolist()),
        video_of_window=video_of_window.astype(np.int64),
        video_labels=_indices(directories, class_names, split, source),
        videos_without_windows=tuple(
            sorted((with_features | set(of_split["video"])) - set(videos))
        ),
    )


def _normal_index(class_names: tuple[str, ...], normal_class: str) -> int | None:
    folded = [name.casefold() for name in class_names]
    found = normal_class.casefold() in folded and len(folded) > 1
    return folded.index(normal_class.casefold()) if found else None


def _indices(
    names: "pd.Series[str]", class_names: tuple[str, ...], split: str, source: Path
) -> np.ndarray:
    index_of = {name: index for index, name in enumerate(class_names)}
    unknown = sorted(set(names) - set(index_of))
    if unknown:
        raise DataError(
            f"{source}: class {unknown[0]!r} of the {split} split is not one the model was "
            "trained on.",
            hint=f"{did_you_mean(unknown[0], class_names)} Rename its directory, or train again "
            "with it.",
        )
    return np.array([index_of[name] for name in names], dtype=np.int64)
