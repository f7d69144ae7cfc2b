"""The torch / torchvision pair, and the one place where it is mended.

torchvision's wheel on the registry is a CUDA build. Beside a CPU build of torch its compiled
library cannot load, so the operators ``torchvision::nms`` and ``torchvision::qnms`` are never
declared, and torchvision's own Python then fails with "operator torchvision::nms does not exist"
and takes timm and open_clip with it. Nothing here calls those operators; declaring their schemas
is enough for the import to succeed. Where the compiled library loads, nothing is declared.

Two doors lead here: :func:`import_open_clip` and :func:`import_transforms`, which the library uses,
and a hook that ``make`` puts into the environment (:func:`install_import_hook`), so that a plain
``import open_clip`` or ``import torchvision`` in a notebook works too.
"""

import importlib
import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_HOOK_MODULE = "clipline_torchvision_hook"
# A library keeps its declarations only as long as the Library object lives.
_declared: list[Any] = []


def declare_missing_ops() -> list[str]:
    """Declare the schemas torchvision needs to import, where its compiled library does not load.

    Returns:
        The names declared now: empty where torchvision's own operators load, where they were
        declared before, and where torchvision is not installed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return []
    import torch

    for library in sorted(Path(spec.origin).parent.glob("_C*.so")):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
    missing = [name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        fragment = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            fragment.define(_SCHEMAS[name])
        _declared.append(fragment)
    return missing


def import_open_clip() -> ModuleType:
    """Import and return ``open_clip``, with the operators declared first where they are missing."""
    if "torchvision" not in sys.modules:
        declare_missing_ops()
    return importlib.import_module("open_clip")


def import_transforms() -> ModuleType:
    """Import and return ``torchvision.transforms.v2``, as :func:`import_open_clip` does its own."""
    if "torchvision" not in sys.modules:
        declare_missing_ops()
    return importlib.import_module("torchvision.transforms.v2")


def install_import_hook() -> Path:
    """Put ``torchvision_hook.py`` into this environment, where its Python runs it at start.

    Returns:
        The ``.pth`` file that starts the hook; deleting it removes the hook.
    """
    site_packages = Path(sysconfig.get_paths()["purelib"])
    source = Path(__file__).with_name("torchvision_hook.py")
    (site_packages / f"{_HOOK_MODULE}.py").write_text(source.read_text())
    pth = site_packages / f"{_HOOK_MODULE}.pth"
    pth.write_text(f"import {_HOOK_MODULE}\n")
    return pth


if __name__ == "__main__":
    install_import_hook()
