"""Reading ``params.yaml``: YAML 1.2, unknown keys and wrong types refused by name and line."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError, did_you_mean

T = TypeVar("T")
_LONGEST_SHOWN = 200  # characters of a value in a message


def load_params(path: Path) -> Params:
    """Read and check a parameter file.

    YAML is read as version 1.2, the version DVC writes: ``1e-5`` is a number and ``on`` a string.

    Args:
        path: Usually ``params.yaml``.

    Raises:
        ConfigError: The file is missing, not YAML, or holds an unknown key, a wrong type or a
            value out of range; the message names line, key and value, the hint the nearest
            valid one.
    """
    tree = _read_yaml(path)
    try:
        # JSON mode is strict about types and still takes a list where a tuple is declared.
        return TypeAdapter(Params).validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise _explain(error.errors()[0], str(path), tree, Params) from None


def override(config: T, changes: Mapping[str, Any]) -> T:
    """A copy of a config section with some values replaced, checked like the file's own.

    Args:
        config: A section of :class:`~pipeline_lib.config.Params`.
        changes: Field name to value; ``None`` leaves a field as it is.

    Raises:
        ConfigError: A value is of the wrong type or out of range.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return dataclasses.replace(cast(Any, config), **given)
    except ValidationError as error:
        raise _explain(error.errors()[0], "", {}, type(config)) from None


def _read_yaml(path: Path) -> Any:
    yaml = YAML(typ="rt", pure=True)
    try:
        with path.open(encoding="utf-8") as file:
            tree = yaml.load(file)
    except FileNotFoundError:
        raise ConfigError(
            f"No parameter file {path}.",
            hint="Run from the project's folder, the one that holds dvc.yaml and params.yaml.",
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f" line {mark.line + 1}" if mark else ""
        detail = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}{where}: not valid YAML: {detail}") from None
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{path}: expected sections such as 'data:' and 'train:'.")
    return tree


def _explain(problem: ErrorDetails, path: str, tree: Any, root: Any) -> ConfigError:
    loc = tuple(problem["loc"])
    key = ".".join(str(part) for part in loc)
    where = f"{path}{_line(tree, loc)}: {key}" if path else key
    if problem["type"] == "unexpected_keyword_argument":
        known = _known_keys(root, loc[:-1])
        return ConfigError(f"{where} is not a parameter.", hint=did_you_mean(str(loc[-1]), known))
    if problem["type"] == "missing":
        return ConfigError(f"{where} is required.", hint="Add it; params.yaml has an example.")
    message = re.sub(r"^(Input|String|Tuple) should", "should", problem["msg"])
    message = message.replace("a valid array", "a list such as [1, 2]")
    message = message.replace("an object", "pairs of key: value")
    message = message.removesuffix(" after validation, not 0")
    value = problem["input"]
    hint = None
    if problem["type"] == "literal_error" and isinstance(value, str):
        hint = did_you_mean(value, _literal_values(root, loc))
    elif problem["type"] == "dataclass_type":
        message, hint = "should be a section", f"Its keys: {', '.join(_known_keys(root, loc))}."
    shown = json.dumps(value, ensure_ascii=False)
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]}…"
    return ConfigError(f"{where} = {shown}: {message}.", hint=hint)


def _line(tree: Any, loc: tuple[int | str, ...]) -> str:
    """`` line N`` of the deepest part of ``loc`` that the file holds."""
    line = None
    for part in loc:
        position = getattr(tree, "lc", None)
        # A list that is too short is told by the place that it lacks.
        if position is None or part not in (
            tree if isinstance(tree, Mapping) else range(len(tree))
        ):
            break
        known = position.data.get(part) if position.data else None
        line = known[0] + 1 if known else line
        tree = tree[part]
    return f" line {line}" if line else ""


def _declared_type(root: Any, loc: tuple[int | str, ...]) -> Any:
    """The annotation at ``loc``, walking dataclasses and the dataclass arm of ``X | None``."""
    current: Any = root
    for part in loc:
        section = _section(current)
        current = get_type_hints(section).get(str(part)) if section else None
    return current


def _section(annotation: Any) -> Any:
    arms = (annotation, *get_args(annotation))
    return next((arm for arm in arms if dataclasses.is_dataclass(arm)), None)


def _known_keys(root: Any, loc: tuple[int | str, ...]) -> list[str]:
    section = _section(_declared_type(root, loc))
    return [f.name for f in dataclasses.fields(section)] if section else []


def _literal_values(root: Any, loc: tuple[int | str, ...]) -> list[str]:
    """The words that are allowed at ``loc``, those of ``Literal[…] | None`` too."""
    annotation = _declared_type(root, loc)
    arms = [arm for arm in (annotation, *get_args(annotation)) if get_origin(arm) is Literal]
    return [str(value) for arm in arms for value in get_args(arm)]
