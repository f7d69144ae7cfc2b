"""Low-rank additions to a CLIP's weights (LoRA, https://arxiv.org/abs/2106.09685), by peft."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from pipeline_lib.backbones.transformers_folder import import_transformers
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.attention_layers import (
    LayeredAttention,
    LayeredAttentionPool,
    can_be_layered,
    joined,
)
from pipeline_lib.runtime.seeding import torch_stream
from pipeline_lib.runtime.torchvision_ops import import_open_clip

_ADAPTER = "default"
# Larger kernels cut the picture into patches or are depthwise; they are left as they are.
_LARGEST_KERNEL = 3


def add_lora(clip: Any, rank: int, alpha: float, seed: int) -> None:
    """Add trainable low-rank matrices to a frozen model, in place; its features stay the same.

    Adapted are the linear layers of both towers, attention and MLP alike, and dense convolutions
    of up to 3x3. One half of each addition is random and follows ``seed`` and the layer's name,
    the other is zero. peft's own wrapper of ``nn.MultiheadAttention`` is avoided: it adds to the
    weights and subtracts again in every forward pass, and what rounding leaves accumulates in
    the frozen weights.

    Args:
        clip: An open_clip model.
        rank: Rank of the additions.
        alpha: They are scaled by ``alpha / rank``.
        seed: Names the random half.

    Raises:
        ConfigError: The model has no layer that could be adapted.
    """
    _layer_attentions(clip)
    targets = [name for name, module in clip.named_modules() if _adaptable(clip, name, module)]
    if not targets:
        kinds = sorted({type(module).__name__ for module in clip.modules()})
        raise ConfigError(
            f"train.pos_neg.mode: lora finds no layer to adapt in this model ({', '.join(kinds)}).",
            hint="Use mode: full or mode: head.",
        )
    peft = _import_peft()
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):  # its own draws, replaced below
        peft.inject_adapter_in_model(config, clip, adapter_name=_ADAPTER)
    for name, layer in _lora_layers(clip):
        stream = torch_stream(seed, "pos_neg lora", name)
        weight = layer.lora_A[_ADAPTER].weight
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=stream)


def merged_tensors(clip: Any) -> dict[str, Tensor]:
    """The tensors of a model with :func:`add_lora`'s additions inside the weights.

    Returns:
        The names and shapes of the model as it was before.
    """
    tensors = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in clip.state_dict().items()
        if ".lora_A." not in name and ".lora_B." not in name
    }
    with torch.no_grad():
        for name, layer in _lora_layers(clip):
            key = f"{name}.weight"
            tensors[key] = tensors[key] + layer.get_delta_weight(_ADAPTER)
    for name, module in clip.named_modules():
        if isinstance(module, LayeredAttention):
            tensors = joined(tensors, name)
    return tensors


def _layer_attentions(clip: Any) -> None:
    pool = import_open_clip().modified_resnet.AttentionPool2d
    for name, module in list(clip.named_modules()):
        if can_be_layered(module):
            clip.set_submodule(name, LayeredAttention(module).requires_grad_(False).eval())
        elif isinstance(module, pool):
            clip.set_submodule(name, LayeredAttentionPool(module).eval())


def _adaptable(clip: Any, name: str, module: nn.Module) -> bool:
    parent = clip.get_submodule(name.rpartition(".")[0])
    if isinstance(parent, nn.MultiheadAttention) or name.startswith("text_decoder."):
        return False
    # Subclasses may compute with other weights than they hold.
    if type(module) is nn.Conv2d:
        return module.groups == 1 and max(module.kernel_size) <= _LARGEST_KERNEL
    return type(module) is nn.Linear


def _import_peft() -> ModuleType:
    import_transformers()  # which peft imports, and which may need torchvision's operators
    import peft

    return peft


def _lora_layers(clip: Any) -> Iterator[tuple[str, Any]]:
    for name, module in clip.named_modules():
        if hasattr(module, "lora_A"):
            yield name, module
