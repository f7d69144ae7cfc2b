"""Extraction as its two callers want it: a pipeline stage, and any folder of videos."""

import logging
from pathlib import Path

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.config import ClipConfig, ExtractConfig, Params, RuntimeConfig
from pipeline_lib.datasets.layout import layout_warnings
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.extraction.run import Extraction, ExtractionReport
from pipeline_lib.params_file import override
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.video.files import find_videos

log = logging.getLogger(__name__)
# What a folder is extracted with where no params.yaml says otherwise.
DEFAULT_CLIP = ClipConfig(model="ViT-B-32-quickgelu", weights="openai")


def extract_stage(
    params: Params, name: str, features_root: Path, progress: Progress = SILENT
) -> ExtractionReport:
    """Extract the data set's videos into ``features_root / name``, which belongs to this stage.

    Raises:
        ConfigError: ``name`` is not among ``extract.backbones``.
        DataError: There are no videos, or a class of val or test is not in train.
    """
    if name not in params.extract.backbones:
        raise ConfigError(
            f"Backbone {name!r} is not listed in extract.backbones.",
            hint=did_you_mean(name, params.extract.backbones),
        )
    folder = Path(params.data.root) / "videos"
    found = find_videos(folder, params.data.exclude)
    for warning in layout_warnings(folder, found):
        log.warning(warning)
    backbone = load_backbone(name, params.extract, params.runtime)
    extraction = Extraction(name, backbone, params.extract, features_root / name)
    return extraction.run(found, own_directory=True, progress=progress)


def choose_weights(
    config: ExtractConfig, name: str, model: str | None, weights: str | None
) -> ExtractConfig:
    """``config`` with the section of backbone ``name`` set to what the caller asked for.

    Args:
        config: The settings so far, usually of params.yaml.
        name: A backbone.
        model: Architecture; with ``None`` the section's own, or OpenAI's ViT-B/32 without one.
        weights: Pretrained tag or checkpoint; belongs to ``model``.

    Raises:
        ConfigError: ``weights`` is given without ``model``, or there is no such backbone.
    """
    BACKBONES.get(name)
    if model is not None:
        section = ClipConfig(model=model, weights=weights)
    elif weights is not None:
        raise ConfigError(
            f"weights {weights!r} given without a model.",
            hint="Name its architecture too: --model ViT-B-32-quickgelu --weights openai",
        )
    else:
        section = getattr(config, name) or DEFAULT_CLIP
    return override(config, {name: section})


def extract_folder(
    source: Path,
    name: str,
    out: Path,
    config: ExtractConfig,
    runtime: RuntimeConfig,
    progress: Progress = SILENT,
) -> ExtractionReport:
    """Extract one video or any folder of videos into ``out / name``.

    Features of other videos in that directory stay.
    """
    found = find_videos(source)
    backbone = load_backbone(name, config, runtime)
    extraction = Extraction(name, backbone, config, out / name)
    return extraction.run(found, own_directory=False, progress=progress)
