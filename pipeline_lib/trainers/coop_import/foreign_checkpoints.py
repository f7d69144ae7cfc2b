"""CoOp checkpoints of other programs, read without running what is in them.

Known are those of KaiyangZhou/CoOp (``model.pth.tar-50``) and of scripts that keep the same three
tensors under ``prompt_learner_state_dict``.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline_lib.errors import WeightsError
from pipeline_lib.fingerprint import sha256_file

_SCRIPT_KEY = "prompt_learner_state_dict"
_WRAPPERS = (_SCRIPT_KEY, "state_dict")
_LEARNER = "prompt_learner."
_CONTEXT, _PREFIX, _SUFFIX = "ctx", "token_prefix", "token_suffix"
_SHOWN = 3


@dataclass(frozen=True)
class ForeignPrompts:
    """What a foreign checkpoint holds.

    Attributes:
        path: The file.
        sha256: Hash of its bytes.
        context: The learned vectors, fp32 [n, d] shared or [C, n, d] class-specific.
        prefix: Embedding of the start of text, [C, 1, d] as stored, or ``None``.
        suffix: Embeddings of name, period, end of text and padding, [C, m, d] as stored, or
            ``None``.
        epoch: When it was saved, as far as the file says.
        val_loss: As found.
        val_accuracy: As found: a share or percents.
        mixes_classes: It is of the script for video features, whose text encoder attended across
            classes in place of tokens: the vectors were learned for another function.
    """

    path: Path
    sha256: str
    context: Tensor
    prefix: Tensor | None
    suffix: Tensor | None
    epoch: int | None
    val_loss: float | None
    val_accuracy: float | None
    mixes_classes: bool


def read_foreign(path: Path) -> ForeignPrompts:
    """Read a checkpoint of another program.

    Raises:
        WeightsError: The file is missing or damaged, holds objects that are no data, or no
            context vectors of CoOp's form.
    """
    if not path.is_file():
        raise WeightsError(f"No checkpoint {path}.")
    if path.suffix == ".safetensors":
        raise WeightsError(
            f"{path}: a safetensors file; checkpoints of other CoOp programs are torch's own.",
            hint="One of this pipeline is used as it is: `clipline evaluate coop --checkpoint`.",
        )
    content = _load(path)
    wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
    tensors = _learner_tensors(path, content if wrapper is None else content[wrapper])
    epoch = _number(content.get("epoch"))
    return ForeignPrompts(
        path=path,
        sha256=sha256_file(path),
        context=tensors[_CONTEXT].float(),
        prefix=tensors.get(_PREFIX),
        suffix=tensors.get(_SUFFIX),
        epoch=None if epoch is None else int(epoch),
        val_loss=_number(content.get("val_loss")),
        val_accuracy=_number(content.get("val_acc", content.get("val_result"))),
        mixes_classes=wrapper == _SCRIPT_KEY,
    )


class _Ignored:
    """Stands for an optimizer or a schedule: takes its state and does nothing with it."""


def _plain_dict(*_: object) -> dict[Any, Any]:
    return {}


# Classes that Dassl pickles inside the state of its schedule.
_IGNORED = (
    "lr_scheduler.CosineAnnealingLR", "lr_scheduler.MultiStepLR", "lr_scheduler.StepLR",
    "adam.Adam", "adamw.AdamW", "rmsprop.RMSprop", "sgd.SGD",
)  # fmt: skip


def _allowed() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What a checkpoint may hold beside tensors.

    Validation numbers are numpy scalars, which numpy 1 pickled under another path. Dassl saves its
    schedule with the schedule and optimizer inside it; their names lead to ``_Ignored`` here, so
    that such a file loads and still no code of it or for it runs.
    """
    scalar: Any = np.float64(0).__reduce__()[0]
    return [
        (scalar, "numpy._core.multiarray.scalar"),
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8")),
        dict,
        (_plain_dict, "collections.defaultdict"),
        *((_Ignored, f"torch.optim.{name}") for name in _IGNORED),
    ]


def _load(path: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_allowed()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  # pickle fails in as many ways as bytes can be wrong
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds no dictionary but {type(content).__name__}.")
    return content


def _unreadable(path: Path, error: Exception) -> WeightsError:
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        return WeightsError(
            f"{path}: holds {refused[1]}, which is code and no data; it was not loaded.",
            hint="If you trust the file, load it where it was made and save "
            f"{{'state_dict': {{'{_CONTEXT}', '{_PREFIX}', '{_SUFFIX}'}}, 'epoch': …}} anew.",
        )
    return WeightsError(
        f"{path}: not a readable PyTorch checkpoint ({type(error).__name__}).",
        hint="Copy it again; expected is a file that torch.save wrote.",
    )


def _learner_tensors(path: Path, state: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The prompt learner's tensors by their bare names."""
    names = {str(name): value for name, value in state.items()}
    if any(_LEARNER in name for name in names):
        names = {
            name.split(_LEARNER, 1)[1]: value for name, value in names.items() if _LEARNER in name
        }
    tensors = {name.removeprefix("module."): value for name, value in names.items()}
    if not isinstance(tensors.get(_CONTEXT), Tensor):
        raise WeightsError(
            f"{path}: no context vectors {_CONTEXT!r}; it holds {_listed(tensors)}.",
            hint="Expected is a checkpoint of CoOp: model.pth.tar-50, video_feature_coop_best.pth.",
        )
    more = sorted(set(tensors) - {_CONTEXT, _PREFIX, _SUFFIX})
    if more:
        raise WeightsError(
            f"{path}: holds {_listed(more)} beside its context; prompts of a method that learns "
            "more than a context mean nothing without it."
        )
    for name, tensor in tensors.items():
        _require_numbers(path, name, tensor)
    return tensors


def _require_numbers(path: Path, name: str, tensor: object) -> None:
    dimensions = (2, 3) if name == _CONTEXT else (3,)
    if (
        not isinstance(tensor, Tensor)
        or not tensor.is_floating_point()
        or not tensor.numel()
        or tensor.dim() not in dimensions
    ):
        found = type(tensor).__name__
        if isinstance(tensor, Tensor):
            found = f"{tensor.dtype} {list(tensor.shape)}"
        raise WeightsError(
            f"{path}: {name!r} should be floating-point vectors in {dimensions[0]} dimensions"
            f"{' or 3' if name == _CONTEXT else ''}, found {found}."
        )
    if not tensor.isfinite().all():
        raise WeightsError(f"{path}: {name!r} holds NaN or infinity; its training diverged.")


def _listed(names: Mapping[str, Any] | list[str]) -> str:
    shown = [repr(name) for name in sorted(names)[:_SHOWN]]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*shown, *more]) or "nothing"


def _number(value: object) -> float | None:
    """A finite number, numpy's included; ``None`` for all else."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, int | float | np.floating | np.integer):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
