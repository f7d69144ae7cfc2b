"""A unified configuration written into ``params.yaml``, which keeps its comments and its order."""

import io
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pipeline_lib.config import ClipConfig, Params, TempMeStopConfig, TempMeStopModelConfig, as_dict
from pipeline_lib.params_file import load_params
from pipeline_lib.retrieval.unified_config import parse_config, read_config
from pipeline_lib.retrieval.unified_mapping import SECTION, to_params
from pipeline_lib.storage.atomic import replacing

_LONGEST_LINE = 4096  # ruamel would fold lines of the user's that are longer


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
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = _LONGEST_LINE
    # As this project writes its own; an empty value is null.
    yaml.representer.add_representer(type(None), _empty)
    tree = yaml.load(params.read_text(encoding="utf-8"))
    changed = _merge(_inner(tree, "train", "tempme_stop"), wanted, "train.tempme_stop")
    changed += _merge(_inner(tree, "extract", SECTION), _clip(clip, before), f"extract.{SECTION}")
    if changed:
        text = io.StringIO()
        yaml.dump(tree, text)
        with replacing(params) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8", newline="\n")
            load_params(temporary)
    return changed


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


def _inner(tree: Any, *keys: str) -> CommentedMap:
    for key in keys:
        if tree.get(key) is None:
            tree[key] = CommentedMap()
        tree = tree[key]
    return tree


def _merge(tree: CommentedMap, values: Mapping[str, Any], place: str) -> list[str]:
    changed = []
    for key, value in values.items():
        if isinstance(value, dict):
            changed += _merge(_inner(tree, key), value, f"{place}.{key}")
        elif key not in tree or tree[key] != value:
            tree[key] = _in_one_line(value) if isinstance(value, list) else value
            changed.append(f"{place}.{key}: {'' if value is None else value}".rstrip())
    return changed


def _in_one_line(values: list[Any]) -> CommentedSeq:
    line = CommentedSeq(values)
    line.fa.set_flow_style()
    return line


def _empty(representer: Any, value: None) -> Any:
    del value
    return representer.represent_scalar("tag:yaml.org,2002:null", "")
