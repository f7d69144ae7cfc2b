"""A VideoMamba that starts from the weights of another, which may read other clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pipeline_lib.backbones.videomamba_checkpoint import HEAD, VideoMambaCheckpoint
from pipeline_lib.backbones.weight_files import require_fit
from pipeline_lib.errors import WeightsError
from pipeline_lib.networks.videomamba import VideoMambaShape, VideoMambaTrunk
from pipeline_lib.networks.videomamba_positions import (
    PATCHES,
    POSITIONS,
    TEMPORAL,
    Inflation,
    inflate,
    interpolate_positions,
)

_SIZES = ("embed_dim", "depth", "patch_size", "tubelet")


@dataclass(frozen=True)
class Start:
    """What a network took over.

    Attributes:
        taken: Tensors as they were.
        adapted: Tensors of another clip, made to fit, and how.
        fresh: The network's tensors that stay random.
        left: The checkpoint's tensors that have no place.
    """

    taken: tuple[str, ...]
    adapted: Mapping[str, str]
    fresh: tuple[str, ...]
    left: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """JSON-able, for a model's ``config.json``."""
        return {
            "taken": len(self.taken),
            "adapted": dict(self.adapted),
            "fresh": list(self.fresh),
            "left": list(self.left),
        }


def start_from(
    network: VideoMambaTrunk,
    checkpoint: VideoMambaCheckpoint,
    *,
    classes: Sequence[str] | None = None,
    inflation: Inflation = "center",
) -> Start:
    """Give a network all of a checkpoint that fits it, in place.

    Positions are interpolated to the network's clips, patches of pictures become patches of
    clips. The classifier is taken over only where it has as many outputs and, where both names
    are known, the same ones.

    Args:
        network: Of the same width, depth, patches and tubelets.
        checkpoint: Where to start.
        classes: Names of the network's outputs.
        inflation: How patches of pictures are inflated.

    Returns:
        What became of every tensor.

    Raises:
        WeightsError: The checkpoint is of another size, or a tensor has another shape.
    """
    own = network.state_dict()
    require_size(network.shape, checkpoint)
    given = interpolate_positions(checkpoint.tensors, network.shape)
    notes = _notes(checkpoint.shape, network.shape)
    if checkpoint.kind == "image" and network.shape.tubelet > 1:
        given[PATCHES] = inflate(given[PATCHES][:, :, 0], network.shape.tubelet, inflation)
        notes[PATCHES] = f"{network.shape.tubelet} frames a patch, {inflation}"
    if not _same_classes(own, checkpoint, classes):
        given = {name: value for name, value in given.items() if not name.startswith(HEAD)}
    kept = {name: value for name, value in given.items() if name in own}
    require_fit({name: own[name] for name in kept}, kept, checkpoint.path)
    network.load_state_dict(kept, strict=False)
    return Start(
        taken=tuple(name for name in kept if name not in notes),
        adapted={name: note for name, note in notes.items() if name in kept},
        fresh=tuple(name for name in own if name not in kept),
        left=tuple(name for name in checkpoint.tensors if name not in kept),
    )


def require_size(shape: VideoMambaShape, checkpoint: VideoMambaCheckpoint) -> None:
    """Refuse a checkpoint that no network of ``shape`` can start from.

    Raises:
        WeightsError: Width, depth, patches or tubelets differ.
    """
    # Pictures' patches are inflated to any tubelet.
    sizes = _SIZES[:-1] if checkpoint.kind == "image" else _SIZES
    found = {name: getattr(checkpoint.shape, name) for name in sizes}
    wrong = {name: size for name, size in found.items() if size != getattr(shape, name)}
    if wrong:
        told = ", ".join(
            f"{name} {size} instead of {getattr(shape, name)}" for name, size in wrong.items()
        )
        settings = ", ".join(f"train.videomamba.model.{name}: {wrong[name]}" for name in wrong)
        raise WeightsError(
            f"{checkpoint.path}: is of another network: {told}.", hint=f"Set {settings}."
        )


def _notes(old: VideoMambaShape, new: VideoMambaShape) -> dict[str, str]:
    notes = {}
    if old.grid != new.grid:
        notes[POSITIONS] = f"{old.grid}x{old.grid} to {new.grid}x{new.grid} patches"
    if old.temporal and old.steps != new.steps:
        notes[TEMPORAL] = f"{old.steps} to {new.steps} steps"
    return notes


def _same_classes(
    own: Mapping[str, Tensor], checkpoint: VideoMambaCheckpoint, names: Sequence[str] | None
) -> bool:
    bias = own.get(f"{HEAD}bias")
    if bias is None or checkpoint.classes != len(bias):
        return False
    known = checkpoint.class_names
    return names is None or known is None or tuple(names) == known
