"""What the learned prompts say over the time of single videos, below frames of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline_lib.datasets.layout import spread_over_classes
from pipeline_lib.errors import DataError
from pipeline_lib.pictures.time_axis import TimeAxis, read_time_axis
from pipeline_lib.pictures.timeline import picture_name
from pipeline_lib.reporting.film import Film, make_film
from pipeline_lib.reporting.pictures import Picture, encode
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Part
from pipeline_lib.storage.tables import read_parquet
from pipeline_lib.video.files import find_videos

_PREDICTIONS = "data/evaluation/coop/video_predictions.parquet"
_FOLDER = "metrics/plots/coop/timelines"
_COLUMNS = ("video", "label", "predicted")


@dataclass(frozen=True)
class Shown:
    """One video.

    Attributes:
        video: Its id.
        label: Annotated class.
        predicted: Predicted class.
        picture: Its timeline.
        axis: Where the time axis of the picture lies, ``None`` where it does not say.
        film: Its frames, ``None`` where they could not be read.
    """

    video: str
    label: str
    predicted: str
    picture: Picture
    axis: TimeAxis | None
    film: Film | None

    @property
    def right(self) -> bool:
        """Whether the prediction is."""
        return self.label == self.predicted


def build(project: Project, parts: Sequence[Part]) -> Section:
    """Timelines of some videos, those that were classified wrongly first."""
    del parts
    drawn: pd.DataFrame | None = None
    if project.exists(_PREDICTIONS) and project.exists(_FOLDER):
        drawn = project.attempt("Timelines", lambda: _drawn(project))
    if drawn is None:
        return Section("timelines", "Timelines", {"shown": [], "wrong": 0, "drawn": 0})
    wrong = drawn[drawn["label"] != drawn["predicted"]]
    chosen = _chosen(drawn, wrong, project.config.timelines)
    files = project.attempt("Frames above the timelines", lambda: _files(project.videos))
    rows = {video: (label, predicted) for video, label, predicted in drawn.to_numpy().tolist()}
    shown = [_attempt(project, video, *rows[video], files) for video in chosen]
    return Section(
        "timelines",
        "Timelines",
        {"shown": [one for one in shown if one], "wrong": len(wrong), "drawn": len(drawn)},
    )


def _drawn(project: Project) -> pd.DataFrame:
    """Predictions of the videos that have a picture, in the order of their ids."""
    table = read_parquet(project.path(_PREDICTIONS), _COLUMNS)
    there = {path.name for path in project.path(_FOLDER).glob("*.png")}
    has_picture = [picture_name(video) in there for video in table["video"]]
    return table.loc[has_picture, list(_COLUMNS)].sort_values("video", kind="stable")


def _chosen(drawn: pd.DataFrame, wrong: pd.DataFrame, most: int) -> list[str]:
    first = spread_over_classes(wrong["video"], most)
    others = drawn["video"][~drawn["video"].isin(wrong["video"])]
    return first + (spread_over_classes(others, most - len(first)) if most > len(first) else [])


def _files(videos: Path) -> dict[str, Path]:
    return {video.id: video.path for video in find_videos(videos).videos}


def _attempt(
    project: Project, video: str, label: str, predicted: str, files: dict[str, Path] | None
) -> Shown | None:
    """One video; a fault of its frames costs these alone."""
    path = project.path(f"{_FOLDER}/{picture_name(video)}")
    what = f"Timeline of {video}"
    picture = project.attempt(what, lambda: encode(path, project.config.picture_width, drawn=True))
    if picture is None:
        return None
    axis = project.attempt(f"{what}: frames", lambda: read_time_axis(path))
    film = None
    if axis is not None and files is not None:
        film = project.attempt(f"{what}: frames", lambda: _film(project, video, axis, files))
    return Shown(video, label, predicted, picture, axis, film)


def _film(project: Project, video: str, axis: TimeAxis, files: dict[str, Path]) -> Film:
    if video not in files:
        raise DataError(f"{video}: there is no such video any more.")
    config = project.config
    return make_film(files[video], axis.seconds, config.frame_every_s, config.picture_width)
