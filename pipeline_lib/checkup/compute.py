"""What computes: accelerators, the processor, compilers and optional engines."""

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline_lib.checkup.check import Row
from pipeline_lib.checkup.context import Context
from pipeline_lib.config import Params

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")
_LITTLE_GIB = 4.0


def check_accelerator(context: Context) -> Iterator[Row]:
    """What torch computes on, and in which precision ``auto`` does."""
    about = context.torch.found.get("devices", {"error": "torch cannot be imported"})
    if "error" in about:
        yield Row("device", "fail", str(about["error"]),
                  "A driver that does not fit torch? Compare nvidia-smi with torch.")  # fmt: skip
        return
    for number, card in enumerate(about["cuda"]):
        kind = "multiplies bf16" if card["bf16"] else "no bf16"
        yield Row(f"cuda:{number}", "ok", f"{card['name']}, {card['gib']:.1f} GiB, {kind}")
    text = f"auto is {about['auto']} in {about['precision']}, {about['threads']} threads"
    if not about["cuda"] and shutil.which("nvidia-smi"):
        yield Row("device", "warn", f"{text}, although there is an NVIDIA driver",
                  "Install torch's CUDA build, see constraints.txt.")  # fmt: skip
    else:
        yield Row("device", "ok", text)


def check_processor(context: Context) -> Iterator[Row]:
    """Cores, memory, and what the processor multiplies fast."""
    del context
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    flags = ", ".join(flag for flag in _FLAGS if flag in words) or "no wide instructions known"
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    text = f"{cores} cores, {gib:.1f} GiB memory, {flags}"
    if gib < _LITTLE_GIB:
        yield Row("processor", "warn", text, "Set runtime.decode_workers: 1.")
    else:
        yield Row("processor", "ok", text)


def check_scan(context: Context) -> Iterator[Row]:
    """How VideoMamba's recurrence runs."""
    about = context.torch.found.get("scan", {"error": "torch cannot be imported"})
    if "error" in about:
        yield Row("scan", "warn", str(about["error"]), "Only VideoMamba needs it.")
    elif about["name"] == "torch":
        yield Row("scan", "warn", f"VideoMamba runs as plain torch, slowly: {about['reason']}",
                  "apt-get install gcc, or mamba-ssm beside CUDA.")  # fmt: skip
    else:
        yield Row("scan", "ok", f"{about['name']}: {about['reason']}")


def check_engines(context: Context) -> Iterator[Row]:
    """Packages that are needed only where the parameters ask for them."""
    params = context.params
    asked = set()
    if isinstance(params, Params):
        asked = {params.extract.engine, params.runtime.executor}
    for name, why in (("openvino", "extract.engine"), ("ray", "runtime.executor")):
        if importlib.util.find_spec(name) is not None:
            yield Row(name, "ok", importlib.metadata.version(name))
        elif name in asked:
            yield Row(name, "fail", f"{why} is {name}, which is not installed",
                      f"pip install 'clipline[{name}]'")  # fmt: skip
        else:
            yield Row(name, "ok", f"not installed; only {why}: {name} needs it")
