"""The windows of one split, with labels counted in the trained model's class list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.annotations.strict_normal import Event
from pipeline_lib.datasets.window_store import WindowFeatures, WindowStore
from pipeline_lib.errors import DataError, did_you_mean


@dataclass(frozen=True)
class LabelledWindows:
    """Windows of one split, n of them from v videos.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        class_names: The trained model's C classes.
        normal: Index of the class without events; ``None`` where no class is known to be.
        table: The n rows of the store's index.
        labels: Class index of each window, int64 [n].
        videos: Ids of the v videos that have a window, in the order of their windows.
        video_of_window: Index into ``videos``, int64 [n].
        video_labels: Class index of each video by its directory, int64 [v].
        video_rows: Feature rows of each video, int64 [v].
        without_windows: The other videos of the split, of which no window was kept; rows of the
            store's table of videos.
        events: Video id to its annotated events, (start, end) in seconds.
        every_s: Seconds from feature row to feature row.
        offset_s: Start of row 0 in its video.
    """

    split: str
    class_names: tuple[str, ...]
    normal: int | None
    table: pd.DataFrame
    labels: np.ndarray
    videos: tuple[str, ...]
    video_of_window: np.ndarray
    video_labels: np.ndarray
    video_rows: np.ndarray
    without_windows: pd.DataFrame
    events: Mapping[str, Sequence[Event]]
    every_s: float
    offset_s: float

    @property
    def overlaps_event(self) -> np.ndarray:
        """Whether each window overlaps an annotated event, boolean [n]."""
        return self.table["overlaps_event"].to_numpy(dtype=bool)


def labelled_windows(
    store: WindowStore, split: str, *, class_names: tuple[str, ...], normal_class: str | None
) -> LabelledWindows:
    """The windows of ``split`` with labels mapped by name.

    Args:
        store: The packed windows.
        split: ``train``, ``val`` or ``test``; it may have no window.
        class_names: The trained model's classes; indices count in this list.
        normal_class: Directory of the class without events, in any case; it need not exist.

    Raises:
        DataError: A label or a directory is no class of the model.
    """
    found = _windows_of(store, split, class_names)
    videos = store.videos[store.videos["split"] == split].set_index("video", drop=False)
    with_windows = videos.loc[list(found.video_ids)]
    return LabelledWindows(
        split=split,
        class_names=class_names,
        normal=_normal_index(class_names, normal_class),
        table=found.table,
        labels=found.labels,
        videos=found.video_ids,
        video_of_window=found.video_of_window,
        video_labels=_indices(with_windows["class_name"], class_names, split, store.path),
        video_rows=with_windows["rows"].to_numpy(dtype=np.int64),
        without_windows=videos[videos["windows"] == 0],
        events=_events_by_video(store),
        every_s=store.info.every_s,
        offset_s=store.info.offset_s,
    )


def _windows_of(store: WindowStore, split: str, class_names: tuple[str, ...]) -> WindowFeatures:
    """A split that may be empty, which training cannot use but a table of numbers can say."""
    if store.info.windows[split]:
        return store.split(split, class_names)
    none = np.zeros(0, dtype=np.int64)
    return WindowFeatures(store.matrix[:0], none, none, (), store.index.iloc[:0])


def _events_by_video(store: WindowStore) -> dict[str, tuple[Event, ...]]:
    table = store.events
    times = table[["start_s", "end_s"]].to_numpy(dtype=float)
    return {
        str(video): tuple((float(start), float(end)) for start, end in times[at])
        for video, at in table.groupby("video", sort=False, observed=True).indices.items()
    }


def _normal_index(class_names: tuple[str, ...], normal_class: str | None) -> int | None:
    folded = [name.casefold() for name in class_names]
    if normal_class is None or normal_class.casefold() not in folded or len(folded) < 2:
        return None
    return folded.index(normal_class.casefold())


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
