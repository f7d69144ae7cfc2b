"""What the command `top-frames` is asked for, and how it answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.top_frames.api import top_frames
from pipeline_lib.top_frames.batch import BatchReport, QueryRunner, refuse_foreign_results
from pipeline_lib.top_frames.folder import refuse_foreign_result
from pipeline_lib.top_frames.models import choose_clip, load_chosen
from pipeline_lib.top_frames.options import ChoiceOptions
from pipeline_lib.top_frames.queries import read_queries
from pipeline_lib.top_frames.ranking import check_caption
from pipeline_lib.video.decoders.base import check_file

_USAGE = 'Either `clipline top-frames VIDEO "caption"`, or `… --queries FILE --videos DIR`.'


@dataclass(frozen=True)
class OneVideo:
    """One caption to look for in one video."""

    video: Path
    caption: str


@dataclass(frozen=True)
class ManyQueries:
    """A file of queries, and the folder their videos are in."""

    queries: Path
    videos: Path


@dataclass(frozen=True)
class Setting:
    """With what and where to.

    Attributes:
        options: How frames are chosen.
        model: CLIP, or ``None`` for the project's own.
        weights: Of the CLIP, or ``None``.
        params: Of the project; ``None`` outside of one.
        out: Folder of the results.
        hash_cache: Remembers hashes of videos; ``None`` remembers nothing.
    """

    options: ChoiceOptions
    model: str | None
    weights: str | None
    params: Params | None
    out: Path
    hash_cache: Path | None = None


@dataclass(frozen=True)
class VideoReport:
    """What was chosen in one video: the content of ``frames.json``."""

    record: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self.record

    def lines(self, out: Path) -> list[str]:
        """For people, each frame one line."""
        return [
            f"{out / frame['file']}: {frame['time_s']:.2f} s, score {frame['score']:.3f}, "
            f"rank {frame['rank']}"
            for frame in self.record["frames"]
        ] + [f"{out / 'strip.png'}: all of them over the scores of the video"]

    def raise_failures(self, out: Path) -> None:
        """There are none: with a single video a failure is an error at once."""


def requested(
    video: Path | None, caption: str | None, queries: Path | None, videos: Path | None
) -> OneVideo | ManyQueries:
    """What the arguments ask for; ``None`` is one that was not given.

    Raises:
        ConfigError: They ask for nothing, for two things at once, or for half a thing.
    """
    match (video, caption, queries, videos):
        case (Path(), str(), None, None):
            return OneVideo(video, caption)
        case (None, None, Path(), Path()):
            return ManyQueries(queries, videos)
        case (None, None, None, None):
            fault = "Neither a video nor --queries is given."
        case (_, None, None, None):
            fault = "No caption is given."
        case (None, None, _, None):
            fault = "--queries needs --videos, the folder that its videos are in."
        case (None, None, None, _):
            fault = "--videos goes with --queries."
        case _:
            fault = "VIDEO and --queries do not go together."
    raise ConfigError(fault, hint=_USAGE)


def answer(
    request: OneVideo | ManyQueries, setting: Setting, progress: Progress = SILENT
) -> VideoReport | BatchReport:
    """Choose frames and write them below ``setting.out``.

    Raises:
        ConfigError: No CLIP is named, or none that exists.
        DataError: The caption is empty, the queries cannot be read, or the folder of results
            holds something else.
        VideoError: The one video cannot be read.
        WeightsError: The weights are missing or unfit.
    """
    if isinstance(request, OneVideo):
        return _answer_one(request, setting)
    return _answer_many(request, setting, progress)


def _answer_one(request: OneVideo, setting: Setting) -> VideoReport:
    check_caption(request.caption)
    check_file(request.video)
    refuse_foreign_result(setting.out)
    config = choose_clip(setting.model, setting.weights, setting.params)
    options = setting.options
    found = top_frames(
        request.video,
        request.caption,
        load_chosen(config, setting.params),
        k=options.k,
        segments=options.segments,
        fps=options.fps,
        size=options.size,
    )
    return VideoReport(found.save(setting.out))


def _answer_many(request: ManyQueries, setting: Setting, progress: Progress) -> BatchReport:
    file = read_queries(request.queries)
    if not request.videos.is_dir():
        raise DataError(f"{request.videos}: no such folder.", hint="Give --videos another one.")
    refuse_foreign_results(setting.out)
    config = choose_clip(setting.model, setting.weights, setting.params)
    model = load_chosen(config, setting.params)
    hashes = HashCache(setting.hash_cache)
    runner = QueryRunner(model, setting.options, request.videos, setting.out, hashes)
    return runner.run(file, progress)
