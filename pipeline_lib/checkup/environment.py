"""Python, the packages, torch and its companion."""

import importlib.metadata
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline_lib.checkup.check import Row
from pipeline_lib.checkup.context import Context

_OLDEST = (3, 11)
_ROOT = Path(__file__).resolve().parents[2]
_SHOWN = 4


def check_python(context: Context) -> Iterator[Row]:
    """The Python that runs this, and the one that DVC would find."""
    version = ".".join(map(str, sys.version_info[:3]))
    executable, project = Path(sys.executable), context.project.absolute()
    inside = executable.is_relative_to(project)
    text = f"{version}, {executable.relative_to(project) if inside else executable}"
    first = shutil.which("python")
    if sys.version_info < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        yield Row("python", "fail", text, f"Use Python {wanted} or later.")
    elif first is None or Path(first).parent != Path(sys.executable).parent:
        yield Row("python", "warn", f"{text}, but `python` is {first or 'not on PATH'}; "
                  "DVC runs that one.", "source .venv/bin/activate")  # fmt: skip
    elif sys.prefix == sys.base_prefix:
        yield Row("python", "warn", f"{text}, no virtual environment", "`make env` makes one.")
    else:
        yield Row("python", "ok", text)


def check_packages(context: Context) -> Iterator[Row]:
    """What this project needs, against what is installed and what it was tested with."""
    del context
    lacking = list(_lacking())
    if lacking:
        yield Row("packages", "fail", "; ".join(lacking),
                  "pip install -c constraints.txt -e .")  # fmt: skip
        return
    pins = _pins()
    others = [f"{name} {found} (tested with {pin})" for name, found, pin in _differing(pins)]
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        yield Row("packages", "warn", f"{', '.join(others[:_SHOWN])}{more}",
                  "`make env` installs the tested versions.")  # fmt: skip
    else:
        said = f"all of the {len(pins)} pinned versions that are installed" if pins else "complete"
        yield Row("packages", "ok", said)


def check_torch(context: Context) -> Iterator[Row]:
    """Whether torch can be imported at all."""
    found = context.torch.found
    about = found.get("torch", {"error": found.get("crash", "no answer")})
    if "error" in about:
        yield Row("torch", "fail", f"cannot be imported: {about['error']}",
                  "pip install -c constraints.txt torch torchvision")  # fmt: skip
        return
    build = f"CUDA {about['cuda']}" if about["cuda"] else "for CPUs"
    yield Row("torch", "ok", f"{about['version']}, built {build}")


def check_torchvision(context: Context) -> Iterator[Row]:
    """Whether torchvision fits torch."""
    found = context.torch.found
    about = found.get("torchvision", {"error": found.get("crash", "no answer")})
    if "error" in about:
        yield Row("torchvision", "fail", f"cannot be imported: {about['error']}",
                  "pip install -c constraints.txt torch torchvision")  # fmt: skip
    elif not about["declared"] and not about["hooked"]:
        yield Row("torchvision", "ok", f"{about['version']}, fits torch")
    elif about["hooked"]:
        yield Row("torchvision", "ok", f"{about['version']}; operators that its build lacks beside "
                  "this torch are declared at import, and nothing here calls them")  # fmt: skip
    else:
        yield Row("torchvision", "warn", f"{about['version']}, of another build than torch: "
                  "commands work, but a plain `import torchvision` fails",
                  "python -m pipeline_lib.runtime.torchvision_ops")  # fmt: skip


def _lacking() -> Iterator[str]:
    for text in importlib.metadata.requires("clipline") or ():
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{needed.name} is not installed"
            continue
        if not needed.specifier.contains(version, prereleases=True):
            yield f"{needed.name} {version} is not {needed.specifier}"


def _pins() -> dict[str, str]:
    """The pinned versions of packages that are installed."""
    path = _ROOT / "constraints.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    pins = {canonicalize_name(name): pin for name, pin in re.findall(r"^(\S+)==(\S+)", text, re.M)}
    here = {canonicalize_name(found.name) for found in importlib.metadata.distributions()}
    return {name: pin for name, pin in pins.items() if name in here}


def _differing(pins: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, pin in sorted(pins.items()):
        version = importlib.metadata.version(name)
        if version.split("+")[0] != pin.split("+")[0]:  # the same release, built for CPU or CUDA
            yield name, version, pin
