"""The keys of ``params.yaml`` that a data set decides, changed with every comment kept."""

import difflib
import importlib.util
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.params_edit import edited_text, params_of, write_params
from pipeline_lib.params_file import load_params
from pipeline_lib.storage.atomic import write_bytes
from pipeline_lib.weights.demo_values import FITTED

DEMO = "data/demo"
DEMO_WEIGHTS = "data/weights/demo_clip"
_SCHEMES = ("local-dir:", "hf-hub:", "transformers:")
_GIT_TIMEOUT_S = 20


@dataclass(frozen=True)
class Edit:
    """A changed parameter file.

    Attributes:
        path: The file.
        before: Its text.
        after: Its new text.
        changes: Dotted key to (old, new) value.
    """

    path: Path
    before: str
    after: str
    changes: Mapping[str, tuple[Any, Any]]

    def diff(self) -> list[str]:
        """The lines that change, as ``diff`` shows them."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(),
            str(self.path), f"{self.path} (new)", lineterm="", n=0,
        )  # fmt: skip
        return list(lines)

    def params(self) -> Params:
        """What the new text says.

        Raises:
            ConfigError: It is invalid.
        """
        return params_of(self.after, self.path)

    def write(self) -> Path | None:
        """Write the new text; the old one is kept beside it unless git has it.

        Returns:
            The copy of the old file; ``None`` where git has it.
        """
        copy = None if in_git(self.path) else _free_name(self.path)
        if copy is not None:
            write_bytes(copy, self.path.read_bytes())
        write_params(self.path, self.after)
        return copy


def parse_clip(text: str) -> tuple[str, str | None]:
    """Model and weights of ``--clip``: ``ViT-B-32-quickgelu:openai`` or ``hf-hub:org/name``.

    Raises:
        ConfigError: The weights are missing, or open_clip has no such model.
    """
    if text.startswith(_SCHEMES) and text not in _SCHEMES:
        return text, None
    model, colon, weights = text.partition(":")
    if not (model and colon and weights):
        raise ConfigError(
            f"--clip {text!r} is not MODEL:WEIGHTS.",
            hint="Such as ViT-B-32-quickgelu:openai; or a model that brings its own weights: "
            "hf-hub:org/name, transformers:org/name, local-dir:path.",
        )
    spec = importlib.util.find_spec("open_clip")
    if spec is not None and spec.origin:  # its list of models, without importing torch
        known = [path.stem for path in Path(spec.origin).parent.glob("model_configs/*.json")]
        if model.replace("/", "-") not in known:
            raise ConfigError(f"open_clip has no model {model!r}.", hint=did_you_mean(model, known))
    return model, weights


def data_changes(root: str, exclude: Sequence[str], normal: str | None) -> dict[str, Any]:
    """The keys that follow from where the data is."""
    changes: dict[str, Any] = {"data.root": root, "data.exclude": list(exclude)}
    if normal is not None:
        changes["train.normal_class"] = normal
    return changes


def clip_changes(clip: str, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that follow from another CLIP; values fitted to the demo's become the usual ones.

    Raises:
        ConfigError: ``clip`` names no model.
    """
    model, weights = parse_clip(clip)
    changes: dict[str, Any] = {"extract.clip.model": model, "extract.clip.weights": weights}
    if _at(tree, "extract.clip_untrained.model") is not None:
        changes["extract.clip_untrained.model"] = model
    for key, (fitted, usual) in FITTED.items():
        if _at(tree, key) == fitted:
            changes[key] = usual
    return changes


def demo_keys(tree: Mapping[str, Any], root: str) -> tuple[dict[str, Any], list[str]]:
    """Keys that would still train on the demo's data.

    Returns:
        Those with what they are to be, and those that nothing is known about.
    """
    changes: dict[str, Any] = {}
    left: list[str] = []
    for key, value in _leaves(tree):
        inside = isinstance(value, str) and f"{value}/".startswith(f"{DEMO}/")
        if not inside or key == "data.root" or root == DEMO:
            continue
        if key.endswith(".dataset.videos"):
            changes[key] = f"{root}/videos"
        elif key.endswith(".dataset.annotations"):
            changes[key] = f"{root}/captions.json"
        else:
            left.append(key)
    return changes, left


def class_words(classes: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """``train.class_names``: what is given for these classes, and words for run-together names.

    ``RoadAccident`` becomes ``Road Accident``; underscores are spaces to the pipeline anyway.
    """
    words = {name: given[name] for name in classes if name in given}
    for name in classes:
        apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("-", " ").replace("_", " ")
        if name not in words and apart != name.replace("_", " "):
            words[name] = " ".join(apart.split())
    return dict(sorted(words.items()))


def read_tree(path: Path) -> Any:
    """The file as plain mappings and values.

    Raises:
        ConfigError: It is missing or invalid.
    """
    load_params(path)
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def edit(path: Path, wanted: Mapping[str, Any]) -> Edit:
    """Change keys of a parameter file, those that differ only; nothing is written yet.

    Raises:
        ConfigError: The file is missing or invalid, or would be with these values.
    """
    before, tree = path.read_text(encoding="utf-8"), read_tree(path)
    old = {key: _at(tree, key) for key in wanted}
    changes = {key: (old[key], value) for key, value in wanted.items() if old[key] != value}
    new = {key: value for key, (_, value) in changes.items()}
    after, _ = edited_text(path, new, whole=("train.class_names",))
    return Edit(path, before, after, changes)


def in_git(path: Path) -> bool:
    """Whether git has exactly this content of a file."""
    try:
        shown = subprocess.run(
            ["git", "show", f"HEAD:./{path.name}"],
            cwd=path.absolute().parent, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return shown.returncode == 0 and shown.stdout == path.read_bytes()


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _at(tree: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; ``None`` where there is none."""
    value: Any = tree
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _free_name(path: Path) -> Path:
    """``params.yaml.old``, or the first numbered one that is free."""
    names = [f"{path.name}.old", *(f"{path.name}.old{number}" for number in range(2, 1000))]
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())
