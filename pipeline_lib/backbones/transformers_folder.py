"""Models in the format of transformers' ``save_pretrained``: ``config.json`` beside weights."""

import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from huggingface_hub import hf_hub_download

from pipeline_lib.backbones.hub import download
from pipeline_lib.errors import WeightsError
from pipeline_lib.runtime.torchvision_ops import declare_missing_ops

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"


def import_transformers() -> ModuleType:
    """Import and return ``transformers``, which imports torchvision where that is installed."""
    if "torchvision" not in sys.modules:
        declare_missing_ops()
    return importlib.import_module("transformers")


@contextmanager
def quiet(transformers: ModuleType) -> Iterator[None]:
    """Keep transformers' progress bars and reports off the terminal; errors are raised anyway."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


def fetch_folder(repository: str, files: Sequence[str], remedy: str) -> Path:
    """The folder that holds ``files`` of a repository on the Hugging Face hub.

    Args:
        repository: ``organisation/name``.
        files: Names inside it.
        remedy: How to name a folder with those files instead, for messages.

    Raises:
        WeightsError: A file is not in the hub's cache and cannot be downloaded.
    """
    folder = Path()
    for name in files:
        try:
            folder = download(partial(hf_hub_download, repository, name)).parent
        except Exception as error:  # noqa: BLE001  # the hub's client fails in many ways
            cause = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WeightsError(
                f"Cannot fetch {name} of {repository} from the Hugging Face hub: {cause}",
                hint=f"Elsewhere: `huggingface-cli download {repository}`, or "
                f"https://huggingface.co/{repository}/resolve/main/{name}. Copy "
                f"{', '.join(files)} into one folder (under data/weights/ the pipeline tracks it) "
                f"and {remedy}.",
            ) from None
    return folder


def read_config(folder: Path, model_type: str) -> dict[str, Any]:
    """The ``config.json`` of a folder that must hold a model of ``model_type``.

    Raises:
        WeightsError: No such file, not JSON, or of another kind of model.
    """
    content = read_json(folder, CONFIG)
    found = content.get("model_type")
    if found != model_type:
        raise WeightsError(
            f"{folder / CONFIG}: model_type is {found!r}, not {model_type!r}.",
            hint=f"It holds folders of models: name one of {', '.join(below)}."
            if (below := _models_below(folder))
            else "Name the folder of the right model.",
        )
    return content


def _models_below(folder: Path) -> list[str]:
    """Model folders inside ``folder``, as a training leaves several of them beside one file."""
    names = (CONFIG, "open_clip_config.json")
    return sorted({str(path.parent) for name in names for path in folder.glob(f"*/{name}")})


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object beside the weights.

    Raises:
        WeightsError: There is no such file, or it holds no JSON object.
    """
    path = folder / name
    if not path.is_file():
        raise WeightsError(
            f"{folder}: no {name}, which a model in transformers' format has beside its weights.",
            hint=f"Copy {name} from where the weights came from.",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: not valid JSON ({error}).", hint="Copy it again.") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: no JSON object.", hint="Copy it again.")
    return content
