"""Trained prompts: what a CoOp checkpoint holds, and how it becomes a classifier again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.backbones.loading import load_section
from pipeline_lib.config import ExtractConfig, Params
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.networks.text_prompt import PromptLearner
from pipeline_lib.networks.text_towers import TextTower, text_tower
from pipeline_lib.runtime.device import (
    choose_device,
    choose_precision,
    fix_product_order,
    set_threads,
)
from pipeline_lib.trainers.checkpoints import read_checkpoint, require_tensors

# The products of so narrow a tower are done before a second thread has woken up; on a busy machine
# waiting for it at each of them makes training ten times slower. Results do not depend on it.
_ONE_THREAD = 128


@dataclass(frozen=True)
class LoadedPrompts:
    """A trained classifier over C classes.

    Attributes:
        class_names: Their directories, in index order.
        text_features: Normalised, fp32 [C, D], on the tower's device.
        metadata: The checkpoint's description: ``class_names``, ``prompt_names``, ``n_ctx``,
            ``config`` (the whole ``train`` section), ``recipe`` (what the preset made of it),
            ``seed``, ``backbone`` and ``weights_sha256`` (of the text tower), ``features`` (of
            the image features: ``directory``, ``fingerprint``, ``weights_sha256``, ``trained``),
            ``temporal_agg``, ``unit_duration`` and ``normal_class`` (of the windows),
            ``train_windows_per_class``, ``epoch`` and ``val`` (``loss``, ``accuracy``,
            ``balanced_accuracy``, ``video_accuracy`` of that epoch).
    """

    class_names: tuple[str, ...]
    text_features: Tensor
    metadata: dict[str, Any]


def prepared_tower(params: Params, backbone: str, precision: str) -> TextTower:
    """The text tower of ``backbone``, with this process set up as ``runtime`` says.

    Args:
        params: ``extract`` and ``runtime`` are used.
        backbone: As for :func:`load_text_tower`, which also says what is raised.
        precision: Likewise.
    """
    fix_product_order()
    set_threads(params.runtime.threads)
    device = choose_device(params.runtime.device)
    tower = load_text_tower(params.extract, backbone, device, precision)
    if not params.runtime.threads and tower.width <= _ONE_THREAD:
        set_threads(1)
    return tower


def load_text_tower(
    config: ExtractConfig, backbone: str, device: torch.device, precision: str = "fp32"
) -> TextTower:
    """The text half of the backbone called ``backbone``; its image half is freed.

    Args:
        config: The ``extract`` section.
        backbone: A backbone with a section there.
        device: Where the tower runs.
        precision: Of its matrix products; see :func:`pipeline_lib.runtime.device.choose_precision`.

    Raises:
        ConfigError: No such backbone, no section for it, or it has no text tower to use.
        WeightsError: Its weights are missing or do not fit.
    """
    loaded: Any = load_section(backbone, config, device, "fp32")
    if not hasattr(loaded, "tokenizer"):
        raise ConfigError(
            f"train.backbone = {backbone!r} has no text tower; CoOp compares features with texts.",
            hint="Use clip or mobileclip.",
        )
    return text_tower(
        loaded.model,
        loaded.tokenizer,
        weights_sha256=loaded.weights_sha256,
        precision=choose_precision(precision, device),
    )


def load_prompts(checkpoint: Path, tower: TextTower) -> LoadedPrompts:
    """Rebuild the classifier of a CoOp checkpoint; all options come from the checkpoint.

    Args:
        checkpoint: ``coop_best.safetensors`` or another one.
        tower: The text tower it was trained with.

    Raises:
        WeightsError: The file is no CoOp checkpoint, is damaged, or was trained with other
            weights.
    """
    tensors, metadata = read_checkpoint(checkpoint)
    if "ctx" not in tensors or metadata.get("trainer") != "coop":
        raise WeightsError(
            f"{checkpoint}: not a CoOp checkpoint; it holds {', '.join(sorted(tensors))}.",
            hint="Use data/models/coop/coop_best.safetensors.",
        )
    if metadata["weights_sha256"] != tower.weights_sha256:
        raise WeightsError(
            f"{checkpoint} was trained with text tower {metadata['weights_sha256'][:16]}, but the "
            f"one at hand is {tower.weights_sha256[:16]}.",
            hint=f"Set extract.{metadata['backbone']} to the weights it was trained with, or train "
            "again: `dvc repro`.",
        )
    shared = (None, tower.width)
    own = tensors["ctx"].dim() == len(shared) + 1
    shape = (len(metadata["prompt_names"]), *shared) if own else shared
    require_tensors(checkpoint, tensors, {"ctx": shape})
    learner = PromptLearner(
        tower,
        metadata["prompt_names"],
        tensors["ctx"],
        metadata["config"]["class_token_position"],
    )
    with torch.no_grad():
        features = F.normalize(learner(), dim=-1)
    return LoadedPrompts(tuple(metadata["class_names"]), features, metadata)
