"""Changing values in ``params.yaml``, which keeps its comments, its order and its quotes."""

import io
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError
from pipeline_lib.params_file import load_params
from pipeline_lib.storage.atomic import write_text

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
    text, changed = edited_text(path, changes)
    if changed:
        write_params(path, text)
    return changed


def write_params(path: Path, text: str) -> None:
    """Write a parameter file with the line ends that it has; of a link, the file it leads to.

    Args:
        path: The parameter file, which is there.
        text: Its new text, with ``\\n`` line ends.
    """
    if b"\r\n" in path.read_bytes():
        text = text.replace("\n", "\r\n")
    write_text(path.resolve(), text)


def edited_text(
    path: Path, changes: Mapping[str, Any], whole: Collection[str] = ()
) -> tuple[str, list[str]]:
    """What :func:`edit_params` would write; nothing is.

    Args:
        path: The parameter file.
        changes: As there.
        whole: Keys of mappings that are replaced as a whole, on one line.

    Returns:
        The new text, and a line for each parameter that is another one in it.

    Raises:
        ConfigError: The file cannot be used, before or after.
    """
    load_params(path)
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = _LONGEST_LINE
    # As this project writes its own; an empty value is null.
    yaml.representer.add_representer(type(None), _empty)
    before = path.read_text(encoding="utf-8")
    tree = yaml.load(before)
    changed = []
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = _inner(tree, *sections)
        if key in whole and section.get(last) != value:
            section[last] = _mapping_in_one_line(value)
            changed.append(f"{key}: {value}")
        elif key not in whole:
            changed += _merge(section, {last: value}, ".".join(sections))
    if not changed:
        return before, []
    text = io.StringIO()
    yaml.dump(tree, text)
    params_of(text.getvalue(), path)
    return text.getvalue(), changed


def params_of(text: str, path: Path) -> Params:
    """What a parameter file would say if it held a text.

    Args:
        text: The text.
        path: The parameter file, which is not touched.

    Raises:
        ConfigError: The text is invalid; the message names ``path``.
    """
    with TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        trial.write_text(text, encoding="utf-8")
        try:
            return load_params(trial)
        except ConfigError as error:
            message = error.message.replace(str(trial), str(path))
            raise ConfigError(message, hint=error.hint) from None


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


def _mapping_in_one_line(values: Mapping[str, Any]) -> CommentedMap:
    line = CommentedMap(values)
    line.fa.set_flow_style()
    return line


def _empty(representer: Any, value: None) -> Any:
    del value
    return representer.represent_scalar("tag:yaml.org,2002:null", "")
