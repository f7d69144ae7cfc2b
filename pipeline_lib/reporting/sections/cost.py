"""What models cost: only what files say."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipeline_lib.errors import DataError
from pipeline_lib.reporting.numbers import byte_words, number_words, readable
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Part
from pipeline_lib.reporting.tables import read_tree

# Names that mean a cost wherever they stand; below a `cost` every number does.
_COSTS = {
    "parameters": "parameters",
    "trained_parameters": "trained parameters",
    "gmac": "multiply-adds of a video, 10⁹",
    "gmac_unmerged": "multiply-adds without merging, 10⁹",
    "tokens": "tokens at the input",
    "tokens_left": "tokens after the last merging",
    "frames": "frames of a video",
    "steps": "training steps",
    "epochs_trained": "trained epochs",
}
_TREE = "cost"
# Settings repeat the recipe, data what was read; neither says what it took.
_NOT_COSTS = ("config", "settings", "data", "dataset", "recipe", "val", "test", "checkpoints")


@dataclass(frozen=True)
class Fact:
    """One cost.

    Attributes:
        words: What it is.
        value: As it is written.
        file: Where it stands.
    """

    words: str
    value: str
    file: str


def build(project: Project, parts: Sequence[Part]) -> Section:
    """The costs of every part that has some."""
    groups = []
    for part in parts:
        facts = [*_told(project, part), *_checkpoint(project, part)]
        if facts:
            # Metrics repeat some facts of the model.
            facts = list({(fact.words, fact.value): fact for fact in reversed(facts)}.values())[
                ::-1
            ]
            groups.append({"title": part.title, "facts": facts})
    return Section("cost", "Cost", {"groups": groups})


def _told(project: Project, part: Part) -> list[Fact]:
    facts = []
    for file in (f"metrics/{part.name}.json", f"data/models/{part.name}/config.json"):
        if project.exists(file):
            what = f"Cost of {part.title}"
            tree = project.attempt(what, partial(read_tree, project.path(file)))
            facts += [Fact(words, number_words(value), file) for words, value in _costs(tree or {})]
    return facts


def _costs(tree: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, branch in tree.items():
        if name == _TREE and isinstance(branch, dict):
            yield from _every(branch)
        elif isinstance(branch, dict):
            if name not in _NOT_COSTS:
                yield from _costs(branch)
        elif isinstance(branch, list):
            for item in branch:
                yield from _costs(item) if isinstance(item, dict) else ()
        elif name in _COSTS and isinstance(branch, (int, float)) and not isinstance(branch, bool):
            yield _COSTS[name], branch


def _every(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    for name, branch in tree.items():
        words = f"{above}{_COSTS.get(name, readable(name))}"
        if isinstance(branch, dict):
            yield from _every(branch, f"{words}: ")
        elif isinstance(branch, (int, float)) and not isinstance(branch, bool):
            yield words, branch


def _checkpoint(project: Project, part: Part) -> list[Fact]:
    """Numbers and bytes of the best epoch's weights."""
    if not part.checkpoint or not project.exists(part.checkpoint):
        return []
    path = project.path(part.checkpoint)
    numbers = project.attempt(f"Cost of {part.title}", lambda: _stored_numbers(path))
    if numbers is None:
        return []
    return [
        Fact("numbers in the checkpoint", number_words(numbers), part.checkpoint),
        Fact("size of the checkpoint", byte_words(path.stat().st_size), part.checkpoint),
    ]


def _stored_numbers(path: Path) -> int:
    try:
        with safe_open(path, framework="numpy") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in list(tensors.keys())]
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable checkpoint: {error}") from None
    return sum(map(math.prod, shapes))
