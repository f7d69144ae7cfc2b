"""Random weights of a VideoMamba."""

import math

import torch
from torch import nn

from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.networks.videomamba_block import Mixer

INITS = ("mamba-dt", "reference")
_STD = 0.02
# Step sizes of a channel at the start, as Mamba draws them.
_SHORTEST, _LONGEST = 1e-3, 1e-1


def initialise(network: nn.Module, init: str, position_std: float | None = None) -> None:
    """Draw all weights of a network with VideoMamba's blocks from torch's global stream.

    ``reference`` is what the published code does: its pass over all linear layers also clears the
    biases of the step sizes, so that every step is softplus(0) = 0.69. States then halve at least
    once a token, and at first no token sees further than some fifty others. ``mamba-dt`` draws
    step sizes between 0.001 and 0.1, as Mamba intends (Gu and Dao, https://arxiv.org/abs/2312.00752).

    Args:
        network: A trunk, with whatever else it has.
        init: ``mamba-dt`` or ``reference``.
        position_std: Deviation of positions in space and time; ``None`` is as published, 0.02 in
            space and 0 in time.

    Raises:
        ConfigError: There is no such initialisation.
    """
    if init not in INITS:
        raise ConfigError(f"init = {init!r} is unknown.", hint=did_you_mean(init, INITS))
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    _draw_positions(network, position_std)
    mixers = [module for module in network.modules() if isinstance(module, Mixer)]
    for mixer in mixers:
        _initialise_mixer(mixer, len(mixers))
        if init == "mamba-dt":
            _draw_steps(mixer.dt_proj)
            _draw_steps(mixer.dt_proj_b)


def _draw_positions(network: nn.Module, std: float | None) -> None:
    for name, usual in (("pos_embed", _STD), ("temporal_pos_embedding", 0.0)):
        positions = dict(network.named_parameters()).get(name)
        if positions is not None and (chosen := usual if std is None else std):
            nn.init.trunc_normal_(positions, std=chosen)


@torch.no_grad()
def _initialise_mixer(mixer: Mixer, depth: int) -> None:
    states = torch.arange(1, mixer.A_log.shape[1] + 1, dtype=torch.float32)
    for log_decay in (mixer.A_log, mixer.A_b_log):
        log_decay.copy_(states.log().expand_as(log_decay))
    for skip in (mixer.D, mixer.D_b):
        skip.fill_(1.0)
    # As GPT-2 has it: what all blocks add up to does not grow with their number.
    nn.init.kaiming_uniform_(mixer.out_proj.weight, a=math.sqrt(5))
    mixer.out_proj.weight.div_(math.sqrt(depth))


@torch.no_grad()
def _draw_steps(layer: nn.Linear) -> None:
    bound = layer.in_features**-0.5
    layer.weight.uniform_(-bound, bound)
    low, high = math.log(_SHORTEST), math.log(_LONGEST)
    steps = torch.empty_like(layer.bias).uniform_(low, high).exp_()
    # The inverse of softplus, without overflow.
    layer.bias.copy_(steps + torch.log(-torch.expm1(-steps)))
