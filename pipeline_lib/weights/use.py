"""The switch from the demo's weights to published ones, in ``params.yaml``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError
from pipeline_lib.params_edit import edit_params
from pipeline_lib.params_file import load_params
from pipeline_lib.weights.catalogue import Item
from pipeline_lib.weights.demo_values import FITTED

# The same network with random weights, a control of CoOp: it has to have the same shape.
_CONTROL = "clip_untrained"


@dataclass(frozen=True)
class Switched:
    """What using published weights did to a parameter file.

    Attributes:
        changed: A line ``key: value`` for each parameter that is another one now.
        advice: A line for each parameter that was chosen for the demo and stays as it is.
    """

    changed: list[str]
    advice: list[str]


def use(items: Sequence[Item], folder: Path, params: Path) -> Switched:
    """Write the paths of fetched weights into a parameter file, which keeps its comments.

    Args:
        items: That are there, at most one of each network.
        folder: Of all published weights.
        params: The parameter file.

    Raises:
        ConfigError: Two items are of one network, or the file cannot be used.
    """
    networks = [item.network for item in items]
    twice = next((name for name in networks if networks.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"Several weights of {twice}, and params.yaml has one section for it.",
            hint="Name one with --use; the others can be fetched without it.",
        )
    before = load_params(params)
    changes: dict[str, Any] = {}
    for item in items:
        section = f"extract.{item.network}"
        changes |= {f"{section}.{key}": value for key, value in item.settings.items()}
        changes[f"{section}.weights"] = (folder / item.weights).as_posix()
        if item.network == "clip" and before.extract.clip_untrained is not None:
            changes[f"extract.{_CONTROL}.model"] = item.settings["model"]
    listed = before.extract.backbones
    added = [name for name in networks if name not in listed]
    if added:
        changes["extract.backbones"] = [*listed, *added]
    return Switched(edit_params(params, changes), list(_advice(items, before)))


def _advice(items: Sequence[Item], params: Params) -> Iterator[str]:
    networks = {item.network: item for item in items}
    if "clip" in networks:
        model = networks["clip"].settings["model"]
        for key, (fitted, usual) in FITTED.items():
            if attrgetter(key)(params) == fitted:
                yield (
                    f"{key} is {fitted:g}, for the demo's CLIP; usual for CLIP ViT-L/14 is "
                    f"{usual:g}"
                )
        yield (
            "extract.clip_vit, train.tempme_stop and train.videomamba stay on the demo's small "
            "transformer: docs/retrieval.md and docs/videomamba.md have their usual values"
        )
        if params.mine.backbone == "clip" or params.train.backbone == "clip":
            yield f"extract.clip is {model}: features, mined frames and prompts are made anew"
    if "dinov2" in networks and params.evaluate.sim_m.backbone != "dinov2":
        now = params.evaluate.sim_m.backbone
        yield f"evaluate.sim_m.backbone is {now}; usual for Sim-m is dinov2"
    if "videomamba" in networks:
        yield (
            "extract.videomamba takes the published weights now; train-videomamba still trains "
            "its own: train.videomamba.start may name the same file"
        )
