"""The parts of a TempMe-STOP network that are trained, and what stays as it is."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline_lib.config import TempMeStopConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.networks.tempme_stop import TempMeStop

TEMPME, STOP = "tempme", "stop"
PARTS = (TEMPME, STOP)
# What a phase of this name trains; `sequential` is two phases.
PARTS_OF = {"tempme_only": (TEMPME,), "stop_only": (STOP,), "joint": PARTS}
PHASES = {"sequential": ("tempme_only", "stop_only")}

# What gives a part its parameters, for messages.
_FIELDS = {
    TEMPME: "lora_dim above 0, or frame_pos with merging that joins clips",
    STOP: "spatial_prompt, global_prompts, temporal_prompts, or a sim_header other than meanP",
}


class Adapters:
    """The trained tensors of a network, of which a phase of the training changes some.

    Args:
        network: Whose tensors they are.
    """

    def __init__(self, network: TempMeStop) -> None:
        self._network = network
        self._of_part: dict[str, dict[str, nn.Parameter]] = {
            TEMPME: network.tempme_parameters(),
            STOP: network.stop_parameters(),
        }

    def require(self, config: TempMeStopConfig) -> None:
        """Refuse a mode that trains a part without parameters.

        Raises:
            ConfigError: It does.
        """
        for phase in phases_of(config.mode):
            for part in PARTS_OF[phase]:
                if not self._of_part[part]:
                    other = "stop_only" if part == TEMPME else "tempme_only"
                    raise ConfigError(
                        f"train.tempme_stop.mode = {config.mode!r} trains the {part} part, which "
                        "has no parameters.",
                        hint=f"It has some with {_FIELDS[part]}; or use mode: {other}.",
                    )

    def select(self, phase: str) -> list[nn.Parameter]:
        """Let gradients reach what a phase trains, and nothing else; returns that in order."""
        self._network.requires_grad_(False)
        chosen = [p for part in PARTS_OF[phase] for p in self._of_part[part].values()]
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen

    def groups(self, phase: str, config: TempMeStopConfig) -> list[dict[str, Any]]:
        """Groups for an optimizer, two a part: matrices decay; gates, norms and biases do not."""
        rates = {TEMPME: config.tempme_lr, STOP: config.stop_lr}
        made = []
        for part in PARTS_OF[phase]:
            for decays in (True, False):
                chosen = [p for n, p in self._of_part[part].items() if _decays(n, p) == decays]
                decay = config.weight_decay if decays else 0.0
                settings = {"lr": rates[part], "weight_decay": decay, "part": part}
                made += [{"params": chosen, **settings}] if chosen else []
        return made

    def of(self, part: str) -> list[nn.Parameter]:
        """The parameters of a part."""
        return list(self._of_part[part].values())

    def count(self, phase: str) -> int:
        """How many numbers a phase trains."""
        return sum(p.numel() for part in PARTS_OF[phase] for p in self.of(part))

    def state(self) -> dict[str, Tensor]:
        """Copies of both parts, on the CPU."""
        return {
            name: parameter.detach().cpu().clone()
            for part in PARTS
            for name, parameter in self._of_part[part].items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            WeightsError: Names or shapes differ from those of this network.
        """
        own = {name: p for part in PARTS for name, p in self._of_part[part].items()}
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in state.items()}:
            raise WeightsError(
                "The trained parameters to go on from are of another architecture.",
                hint="Start the training anew.",
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def frozen_sha256(self, phase: str) -> dict[str, str]:
        """Hashes of what a phase must not change: ``clip``, and the part it does not train."""
        trained = {name for part in PARTS for name in self._of_part[part]}
        tensors = self._network.state_dict()
        hashes = {"clip": sha256_of({n: t for n, t in tensors.items() if n not in trained})}
        for part in PARTS:
            if part not in PARTS_OF[phase]:
                hashes[part] = sha256_of(self._of_part[part])
        return hashes


def phases_of(mode: str) -> tuple[str, ...]:
    """What is trained one after another in a mode."""
    return PHASES.get(mode, (mode,))


def sha256_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bits of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_unchanged(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Check that what was frozen has kept its bits.

    Raises:
        WeightsError: It has not.
    """
    changed = [name for name, sha256 in before.items() if after[name] != sha256]
    if changed:
        raise WeightsError(
            f"Frozen weights changed during training: {', '.join(changed)}. Nothing is published.",
            hint="This is a fault of the program or of the machine's memory; please report it.",
        )


def _decays(name: str, parameter: Tensor) -> bool:
    return parameter.dim() > 1 and "gate" not in name
