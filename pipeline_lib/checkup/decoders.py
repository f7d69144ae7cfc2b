"""Whether each video decoder reads a clip that was just written."""

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Iterator
from typing import get_args

from pipeline_lib.checkup.check import Row
from pipeline_lib.checkup.context import Context
from pipeline_lib.config import Decoder, Params

_PACKAGES = {
    "pyav": ("av", "av"),
    "decord": ("decord", "decord"),
    "opencv": ("cv2", "opencv-python-headless"),
    "torchcodec": ("torchcodec", "torchcodec"),
}


def check_decoders(context: Context) -> Iterator[Row]:
    """Every decoder; the one that the parameters name, and pyav, have to work."""
    params = context.params
    needed = {"pyav"} | ({params.extract.decoder} if isinstance(params, Params) else set())
    found = context.decoders.found
    for name in get_args(Decoder):
        about = found.get(name, {"error": found.get("crash", "no answer")})
        version = _version(name)
        fault = about.get("error") or ("" if about["right"] else "it returns wrong frames")
        if not fault:
            yield Row(name, "ok", f"{version} reads a test clip")
        elif name in needed:
            text = fault if version == "not installed" else f"{version}: {fault}"
            yield Row(name, "fail", text, "Repair it, or set extract.decoder to another.")
        elif version == "not installed":
            yield Row(name, "ok", "not installed; optional")
        else:
            yield Row(name, "warn", f"{version}: {fault}", "Use another --decoder.")


def _version(name: str) -> str:
    if name == "ffmpeg":
        return "the program" if shutil.which("ffmpeg") else "not installed"
    module, package = _PACKAGES[name]
    if importlib.util.find_spec(module) is None:
        return "not installed"
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "installed"
