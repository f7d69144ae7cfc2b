"""The project: its parameters, its data, its weights, and room on the disks."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline_lib.checkup.check import Row, Status
from pipeline_lib.checkup.context import Context
from pipeline_lib.checkup.repository import cache_folder
from pipeline_lib.config import Params
from pipeline_lib.datasets.layout import SPLITS

_DEMO = "data/demo"
_LITTLE, _TOO_LITTLE = 5 * 2**30, 2**29


def check_parameters(context: Context) -> Iterator[Row]:
    """Whether the parameter file can be used."""
    params = context.params
    if isinstance(params, Params):
        yield Row("parameters", "ok", f"{context.params_file} is valid")
    elif not context.is_project and not context.params_file.exists():
        yield Row("parameters", "warn", "this folder is no project",
                  "Run it in the folder that holds dvc.yaml.")  # fmt: skip
    else:
        yield Row("parameters", "fail", params.message, params.hint or "")


def check_data(context: Context) -> Iterator[Row]:
    """Whether the videos are where the parameters say."""
    params = context.params
    if not isinstance(params, Params):
        return
    root = context.project / params.data.root
    there = [split for split in SPLITS if (root / "videos" / split).is_dir()]
    if there:
        yield Row("data", "ok", f"{params.data.root}: {', '.join(there)}")
    elif params.data.root == _DEMO:
        yield Row("data", "warn", f"{_DEMO} is not rendered yet", "dvc repro demo-data")
    else:
        yield Row("data", "fail", f"data.root is {params.data.root}, which holds no "
                  "videos/{train,val,test}/", "clipline init FOLDER --into data/own")  # fmt: skip


def check_weights(context: Context) -> Iterator[Row]:
    """Whether the weights of every backbone that a stage uses are here."""
    if not isinstance(context.params, Params):
        return
    found = context.torch.found
    missing = found.get("weights", {"error": found.get("crash", "no answer")})
    if isinstance(missing, dict):
        yield Row("weights", "warn", f"not looked at: {missing['error']}", "Mend torch first.")
        return
    for entry in missing or ():
        said = f"{entry['weights'] or 'no weights'}: {entry['problem']}"
        yield Row(f"weights of {entry['backbone']}", "fail", said, entry["remedy"])
    if not missing:
        yield Row("weights", "ok", "all that the stages use are here")


def check_disks(context: Context) -> Iterator[Row]:
    """Free space where the pipeline writes; folders on one disk are told together."""
    scratch = Path(os.environ.get("DVC_ROOT", context.project)) / "data" / ".scratch"
    places = {"project": context.project, "cache": cache_folder(context.project)}
    places |= {"scratch": scratch}
    by_disk: dict[int, tuple[list[str], Path]] = {}
    for name, place in places.items():
        absolute = place.absolute()
        there = next(path for path in (absolute, *absolute.parents) if path.is_dir())
        by_disk.setdefault(there.stat().st_dev, ([], there))[0].append(name)
    for names, place in by_disk.values():
        free = shutil.disk_usage(place).free
        status: Status = "fail" if free < _TOO_LITTLE else "warn" if free < _LITTLE else "ok"
        remedy = "" if status == "ok" else "Free some: `dvc gc --workspace` drops old results."
        text = f"{free / 2**30:.1f} GiB free for {', '.join(names)}"
        yield Row("disk", status, text, remedy)
