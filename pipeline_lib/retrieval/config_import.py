"""A unified configuration written into ``params.yaml``, which keeps its comments and its order."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from pipeline_lib.config import ClipConfig, Params, TempMeStopConfig, TempMeStopModelConfig, as_dict
from pipeline_lib.params_edit import edit_params
from pipeline_lib.params_file import load_params
from pipeline_lib.retrieval.unified_config import parse_config, read_config
from pipeline_lib.retrieval.unified_mapping import SECTION, to_params


def import_config(source: Path, params: Path) -> list[str]:
    """Write what a configuration says into a parameter file.

    The CLIP goes to a section of its own, so that no other stage sees another one. Where the
    configuration has no section ``training``, the parameters of training stay.

    Args:
        source: JSON of a unified configuration.
        params: The parameter file.

    Returns:
        A line ``key: value`` for each parameter that is another one now.

    Raises:
        ConfigError: One of the two cannot be used; every refused field is named.
        DataError: ``source`` is missing or not JSON.
        WeightsError: The CLIP's architecture is not at hand.
    """
    before = load_params(params)
    content = read_config(source)
    config = parse_config(content, str(source))
    config.check()
    section, clip = to_params(config)
    wanted = _wanted(section, with_training="training" in content)
    changes = {"train.tempme_stop": wanted, f"extract.{SECTION}": _clip(clip, before)}
    return edit_params(params, changes)


def _wanted(section: TempMeStopConfig, *, with_training: bool) -> dict[str, Any]:
    model = {field.name for field in fields(TempMeStopModelConfig)}
    # What no configuration of this kind speaks of stays as it is.
    model -= {"merging", "spatial_width", "spatial_share", "global_prompts", "max_words"}
    content = as_dict(section)
    if not with_training:
        return {name: value for name, value in content.items() if name in model}
    left = {"precision", "grad_checkpointing", "frame_draws", "cache", "select", "patience", "seed"}
    left |= {field.name for field in fields(TempMeStopModelConfig)} - model
    dataset = {key: content["dataset"][key] for key in ("kind", "annotations")}
    rest = {name: value for name, value in content.items() if name not in left}
    return {**rest, "dataset": dataset}


def _clip(clip: ClipConfig, before: Params) -> dict[str, Any]:
    content = {"model": clip.model, "weights": clip.weights}
    return content if before.extract.clip_vit else {**content, "seed": clip.seed}
