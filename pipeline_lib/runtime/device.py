"""Choosing the device, the precision and the number of threads."""

import os
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_NATIVE_BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: ``name`` is no device, or asks for an accelerator that this machine does not
            offer.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        available = {
            "cuda": torch.cuda.is_available,
            "mps": torch.mps.is_available,
            "cpu": lambda: True,
        }[device.type]()
    except (RuntimeError, KeyError):
        raise ConfigError(
            f"runtime.device = {name!r}: there is no such device.",
            hint="Known: auto, cpu, cuda, cuda:1 and further ones, mps.",
        ) from None
    if not available or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise ConfigError(
            f"runtime.device = {name!r}: this machine has no such device.",
            hint="Use runtime.device: auto (or --device auto).",
        )
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype a frozen network runs in: ``fp32``, ``bf16``, ``fp16``, or ``auto``.

    ``auto`` is bf16 where the hardware multiplies it natively (it is several times faster there)
    and fp32 elsewhere, where bf16 would be emulated and slower.

    Raises:
        ConfigError: fp16 away from CUDA, where many operators have no such kernel.
    """
    if name == "auto":
        name = "bf16" if _multiplies_bf16(device) else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise ConfigError(
            f"precision fp16 needs a CUDA device, not {device.type}.", hint="Use auto or bf16."
        )
    return _DTYPES[name]


def precision_name(dtype: torch.dtype) -> str:
    """The name of a dtype in :func:`choose_precision`."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context for forward passes in ``dtype``, as :func:`choose_precision` gives it."""
    half = dtype != torch.float32
    return torch.autocast(device.type, dtype if half else None, enabled=half)


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A tensor of ``array``: the same memory on the CPU, an asynchronous copy elsewhere."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return any(flag in flags for flag in _NATIVE_BF16_FLAGS)


def fix_product_order() -> None:
    """Make fp32 matrix products on the CPU the same, bit for bit, with any number of threads.

    Intel's library otherwise adds up in an order that depends on the threads. It reads the setting
    at the first product; one that the user's environment has is left as it is.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def set_threads(threads: int) -> None:
    """Use ``threads`` CPU threads; 0 keeps what torch chose (all cores)."""
    if threads:
        torch.set_num_threads(threads)
