"""Which implementation runs the selective scan on a device, and why."""

import logging
from functools import cache
from typing import NamedTuple

import torch

from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.networks.scan_kernel import kernel_fault
from pipeline_lib.networks.scan_loops import loops_fault

log = logging.getLogger(__name__)

_NAMES = ("auto", "torch", "compiled", "cuda")
# What is faster than ``torch`` where it works, and what is said of it then.
_FASTEST = {
    "cpu": ("compiled", "a C compiler is here, and the loops give the right values"),
    "cuda": ("cuda", "mamba-ssm's kernel works"),
}


class ScanChoice(NamedTuple):
    """An implementation and why it was taken.

    Attributes:
        name: ``torch``, ``compiled`` or ``cuda``.
        reason: One clause, for logs and result files.
    """

    name: str
    reason: str


@cache
def choose_scan(requested: str, device: torch.device) -> ScanChoice:
    """The implementation that runs on ``device``; found, tried and logged once a process.

    Args:
        requested: The parameter ``runtime.scan``: ``auto`` takes mamba-ssm's kernel or, on the
            CPU, the compiled loops where they work, else ``torch``.
        device: Where the tensors are.

    Raises:
        ConfigError: The name is unknown, or what was asked for by name cannot run here.
    """
    if requested not in _NAMES:
        raise ConfigError(
            f"runtime.scan is {requested!r}, which is none of {', '.join(_NAMES)}",
            hint=did_you_mean(requested, _NAMES),
        )
    choice = _automatic(device) if requested == "auto" else _asked(requested, device)
    log.info("the selective scan on %s runs as '%s': %s", device, choice.name, choice.reason)
    return choice


def _automatic(device: torch.device) -> ScanChoice:
    name, works = _FASTEST.get(device.type, _FASTEST["cuda"])
    fault = _fault(name, device)
    return ScanChoice(name, works) if fault is None else ScanChoice("torch", fault)


def _asked(name: str, device: torch.device) -> ScanChoice:
    fault = _fault(name, device)
    if fault is not None:
        raise ConfigError(
            f"runtime.scan is {name!r}, but {fault}",
            hint="Set runtime.scan to auto, or to torch, which runs everywhere.",
        )
    return ScanChoice(name, "asked for")


def _fault(name: str, device: torch.device) -> str | None:
    """Why an implementation cannot run on ``device``."""
    if name == "cuda":
        if device.type != "cuda":
            return f"mamba-ssm's kernel needs a CUDA device, and this one is {device.type}"
        return kernel_fault(device)
    if name == "compiled":
        if device.type != "cpu":
            return f"the compiled loops run on the CPU only, and this device is {device.type}"
        return loops_fault()
    return None
