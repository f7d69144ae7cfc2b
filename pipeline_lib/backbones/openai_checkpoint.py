"""OpenAI's own CLIP checkpoints (``ViT-B-32.pt``), read without running what is inside.

They are TorchScript archives: programs, which ``torch.jit.load`` may run while it loads. Beside the
code an archive holds a pickle of the tensors, and that alone is read here, by an unpickler that
knows tensors and nothing else: every other name in it becomes an empty object or an error.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from pipeline_lib.backbones.weight_files import read_tensors
from pipeline_lib.errors import WeightsError

# What OpenAI stores beside the weights, also in state dicts made from its archives.
_FACTS = ("input_resolution", "context_length", "vocab_size")
_STORAGES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
}


def read_openai(path: Path) -> dict[str, Tensor] | None:
    """The weights of a checkpoint that OpenAI wrote, by the names open_clip gives them too.

    Args:
        path: Any checkpoint.

    Returns:
        ``None`` where the file is a checkpoint of anyone else.

    Raises:
        WeightsError: The file is damaged, or a TorchScript archive of anyone else.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            index = next((name for name in names if name.endswith("/data.pkl")), None)
            if index is None:
                return None
            if any(name.endswith("/constants.pkl") for name in names):
                tensors = dict(_tensors(_Reader(archive, index).load()))
            elif _FACTS[0].encode() in archive.read(index):
                tensors = read_tensors(path)
            else:
                return None
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001  # pickles and archives fail in as many ways as bytes
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(
            f"{path}: not a readable TorchScript archive ({cause}).",
            hint="Copy or download it again.",
        ) from None
    if _FACTS[0] not in tensors:
        raise WeightsError(
            f"{path}: a TorchScript archive, but none of OpenAI's.",
            hint="Save the network's state dict instead: torch.save(model.state_dict(), path).",
        )
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name not in _FACTS and not name.endswith("attn_mask")  # which open_clip makes itself
    }


class _Module:
    """Stands for a scripted module, of which only the attributes are wanted."""

    attributes: Mapping[str, Any] = MappingProxyType({})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = state


class _Reader(pickle.Unpickler):
    """Reads the pickled modules of an archive.

    Args:
        archive: The open archive.
        index: The pickle inside it; the tensors' bytes lie in the folder ``data`` beside it.
    """

    def __init__(self, archive: zipfile.ZipFile, index: str) -> None:
        super().__init__(archive.open(index))
        self._archive = archive
        self._folder = index.removesuffix(".pkl")

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for; the base class would import and call anything."""
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return list
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: tuple[str, torch.dtype, str, str, int]) -> Tensor:
        """The numbers of one storage, flat."""
        _, dtype, key, _, _ = pid
        content = self._archive.read(f"{self._folder}/{key}")
        return torch.frombuffer(bytearray(content), dtype=dtype)


def _view(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset).clone()


def _tensors(module: _Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
