"""Each parameter's share of the learning rate, and whether it decays."""

import re
from collections.abc import Iterable
from typing import Any, Literal

from torch import nn

Rule = Literal["depth", "reference"]

_EMBEDDINGS = ("cls_token", "pos_embed", "temporal_pos_embedding", "patch_embed.")
# What the published code takes for an embedding, and for a token that does not decay.
_REFERENCE_EMBEDDINGS = ("cls_token", "pos_embed", "patch_embed.")
_UNDECAYED = ("cls_token", "pos_embed", "temporal_pos_embedding")
# The logarithm of the recurrence's rates: decay would draw all of them towards one.
_RECURRENCE = ("A_log", "A_b_log")
_BLOCK = re.compile(r"layers\.(\d+)\.")


def layer_of(name: str, depth: int, rule: Rule) -> int:
    """How many steps a parameter stands behind the input: 0 to ``depth + 1``.

    Args:
        name: Of the parameter, as published.
        depth: Blocks of the network.
        rule: ``depth``: embeddings 0, block i (from 0) i + 1, final norm and head ``depth + 1``;
            ``reference``: only class token, spatial positions and patch embedding are 0, and all
            else is ``depth + 1``, as in the published runs.
    """
    if rule == "reference":
        return 0 if name.startswith(_REFERENCE_EMBEDDINGS) else depth + 1
    if name.startswith(_EMBEDDINGS):
        return 0
    block = _BLOCK.match(name)
    return int(block.group(1)) + 1 if block else depth + 1


def decays(name: str, parameter: nn.Parameter, rule: Rule) -> bool:
    """Whether weight decay applies: not to vectors, tokens and positions.

    Nor to the recurrence's rates, which Mamba's authors exempt; the published runs let them
    decay, and so does the rule ``reference``.
    """
    if parameter.ndim <= 1 or name.startswith(_UNDECAYED):
        return False
    return rule == "reference" or not name.endswith(_RECURRENCE)


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    depth: int,
    *,
    layer_decay: float,
    rule: Rule,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Groups for ``torch.optim``: from the input to the head, decaying parameters first.

    Args:
        named: All parameters with their published names.
        depth: Blocks of the network.
        layer_decay: Each layer's rate is that of the next one times this.
        rule: See :func:`layer_of`.
        weight_decay: Of the parameters that :func:`decays` names.

    Returns:
        One dictionary a group with ``params``, ``lr_scale`` and ``weight_decay``; the
        rate is ``lr_scale`` times that of the head.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in named:
        layer, decay = layer_of(name, depth, rule), decays(name, parameter, rule)
        group = groups.setdefault(
            (layer, not decay),
            {
                "params": [],
                "lr_scale": layer_decay ** (depth + 1 - layer),
                "weight_decay": weight_decay if decay else 0.0,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]
