"""Checkpoints of trained models: safetensors with one JSON description inside.

A checkpoint describes itself: whatever is needed to use it beside the data stands in its
metadata, so evaluation never takes an option from anywhere else.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline_lib.errors import WeightsError
from pipeline_lib.storage.atomic import replacing

# safetensors writes several metadata keys in random order; one key keeps the bytes the same.
_KEY = "clipline"


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write ``tensors`` and their description atomically; the same content gives the same bytes.

    Args:
        path: A ``.safetensors`` file.
        tensors: Name to tensor, on any device.
        metadata: JSON-able description; NaN is refused.
    """
    description = json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False)
    content = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    with replacing(path) as temporary:
        save_file(content, temporary, metadata={_KEY: description})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and description of a checkpoint.

    Raises:
        WeightsError: The file is missing, damaged, or was not written by this library.
    """
    if not path.is_file():
        raise WeightsError(f"No checkpoint {path}.", hint="`dvc repro` trains it.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            description = (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: not a readable safetensors file ({error}).", hint="Train it again."
        ) from None
    if description is None:
        raise WeightsError(
            f"{path}: its metadata does not say how it was trained; it is no checkpoint of this "
            "pipeline.",
            hint="Use a checkpoint below data/models/.",
        )
    try:
        metadata = json.loads(description)
    except json.JSONDecodeError as error:
        raise WeightsError(
            f"{path}: its metadata is damaged ({error}).", hint="Train it again."
        ) from None
    if not isinstance(metadata, dict):
        raise WeightsError(f"{path}: its metadata is no description.", hint="Train it again.")
    return tensors, metadata


def require_tensors(
    path: Path, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int | None, ...]]
) -> None:
    """Check that a checkpoint's tensors are there, finite, and of the size they must have.

    Args:
        path: The checkpoint.
        tensors: What it holds.
        shapes: Name to shape; ``None`` stands for any length.

    Raises:
        WeightsError: They are not.
    """
    for name, wanted in shapes.items():
        tensor = tensors.get(name)
        found = None if tensor is None else tuple(tensor.shape)
        if (
            found is None
            or len(found) != len(wanted)
            or not all(length in (None, size) for size, length in zip(found, wanted, strict=True))
        ):
            raise WeightsError(
                f"{path}: its tensor {name!r} should be {_size(wanted)}, not "
                f"{'missing' if found is None else _size(found)}.",
                hint="Train it again.",
            )
        if not bool(tensors[name].isfinite().all()):
            raise WeightsError(
                f"{path}: tensor {name!r} holds NaN or infinite values.", hint="Train it again."
            )


def _size(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if length is None else str(length) for length in shape)
