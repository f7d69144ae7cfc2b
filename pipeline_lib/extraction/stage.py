"""Extraction as its two callers want it: a pipeline stage, and any folder of videos."""

import logging
from pathlib import Path

from pipeline_lib.config import Params
from pipeline_lib.datasets.layout import layout_warnings
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.extraction.executors.base import Run, Settings
from pipeline_lib.extraction.options import ExtractOptions
from pipeline_lib.extraction.report import ExtractionReport
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.video.files import find_videos

log = logging.getLogger(__name__)


def extract_stage(
    params: Params,
    options: ExtractOptions,
    features_root: Path,
    hash_cache: Path | None = None,
    progress: Progress = SILENT,
) -> list[ExtractionReport]:
    """Extract the data set's videos into ``features_root / name``, which belongs to this stage.

    Args:
        params: All parameters.
        options: The backbones, each video is decoded once for all of them; and where to run.
        features_root: Where the directories stand.
        hash_cache: Where hashes of unchanged videos are remembered.
        progress: Told of every finished video.

    Raises:
        ConfigError: A name is not among ``extract.backbones``, or an option belongs into
            params.yaml.
        DataError: There are no videos, or a class of val or test is not in train.
    """
    params, shard = options.placed(options.for_stage(params))
    for name in options.names:
        if name not in params.extract.backbones:
            raise ConfigError(
                f"Backbone {name!r} is not listed in extract.backbones.",
                hint=did_you_mean(name, params.extract.backbones),
            )
    folder = Path(params.data.root) / "videos"
    found = find_videos(folder, params.data.exclude)
    for warning in layout_warnings(folder, found):
        log.warning(warning)
    settings = Settings(options.names, params.extract, params.runtime, features_root)
    run = Run(settings, settings.load_outputs())
    extraction = Extraction(run, own_directory=True, shard=shard, hash_cache=hash_cache)
    return extraction.extract(found, progress)


def extract_folder(
    source: Path,
    params: Params,
    options: ExtractOptions,
    out: Path,
    hash_cache: Path | None = None,
    progress: Progress = SILENT,
) -> list[ExtractionReport]:
    """Extract one video or any folder of videos into ``out / name`` for every backbone.

    Every video is decoded once. Features of other videos in those directories stay.

    Args:
        source: A video or a folder.
        params: Defaults for whatever ``options`` leaves open.
        options: The backbones and everything asked for.
        out: Where the directories go.
        hash_cache: Where hashes of unchanged videos are remembered.
        progress: Told of every finished video.

    Raises:
        ConfigError: An option does not exist or does not fit.
        DataError: ``source`` holds no videos, or ``out`` others' features made differently.
    """
    params, shard = options.placed(options.for_folder(params))
    found = find_videos(source)
    settings = Settings(options.names, params.extract, params.runtime, out)
    run = Run(settings, settings.load_outputs())
    extraction = Extraction(run, own_directory=False, shard=shard, hash_cache=hash_cache)
    return extraction.extract(found, progress)
