"""Changing values in ``params.yaml``, which keeps its comments, its order and its quotes."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pipeline_lib.params_file import load_params
from pipeline_lib.storage.atomic import replacing

_LONGEST_LINE = 4096  # ruamel would fold lines of the user's that are longer


def edit_params(path: Path, changes: Mapping[str, Any]) -> list[str]:
    """Set values in a parameter file, which stays as it is where the result is no valid one.

    Args:
        path: The parameter file.
        changes: Key to value: ``extract.clip.weights``. A mapping is set key by key; sections
            that are not there are made.

    Returns:
        A line ``key: value`` for each parameter that is another one now.

    Raises:
        ConfigError: The file cannot be used, before or after.
    """
    load_params(path)
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = _LONGEST_LINE
    # As this project writes its own; an empty value is null.
    yaml.representer.add_representer(type(None), _empty)
    tree = yaml.load(path.read_text(encoding="utf-8"))
    changed = []
    for key, value in changes.items():
        *sections, last = key.split(".")
        changed += _merge(_inner(tree, *sections), {last: value}, ".".join(sections))
    if changed:
        text = io.StringIO()
        yaml.dump(tree, text)
        with replacing(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8", newline="\n")
            load_params(temporary)
    return changed


def _inner(tree: Any, *keys: str) -> CommentedMap:
    for key in keys:
        if tree.get(key) is None:
            tree[key] = CommentedMap()
        tree = tree[key]
    return tree


def _merge(tree: CommentedMap, values: Mapping[str, Any], place: str) -> list[str]:
    changed = []
    for key, value in values.items():
        name = f"{place}.{key}" if place else key
        if isinstance(value, dict):
            changed += _merge(_inner(tree, key), value, name)
        elif key not in tree or tree[key] != value:
            tree[key] = _in_one_line(value) if isinstance(value, (list, tuple)) else value
            changed.append(f"{name}: {'' if value is None else value}".rstrip())
    return changed


def _in_one_line(values: Any) -> CommentedSeq:
    line = CommentedSeq(values)
    line.fa.set_flow_style()
    return line


def _empty(representer: Any, value: None) -> Any:
    del value
    return representer.represent_scalar("tag:yaml.org,2002:null", "")
