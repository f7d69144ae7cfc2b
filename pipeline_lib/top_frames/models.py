"""Which CLIP scores frames: the one a user names, or the project's own."""

import logging
import re
from pathlib import Path

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import ClipBackbone, load_clip
from pipeline_lib.backbones.loading import clip_section
from pipeline_lib.backbones.open_clip_weights import LOCAL_DIR
from pipeline_lib.config import ClipConfig, ExtractConfig, Params, RuntimeConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.params_file import override
from pipeline_lib.runtime.device import choose_device, set_threads
from pipeline_lib.runtime.torchvision_ops import import_open_clip

log = logging.getLogger(__name__)
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_PREFIXES = (LOCAL_DIR, "hf-hub:", "transformers:")


def choose_clip(model: str | None, weights: str | None, params: Params | None) -> ClipConfig:
    """The CLIP that is asked for.

    Args:
        model: As ``extract.clip.model`` of ``params.yaml`` has it, or a plain folder. ``None``
            takes the section that ``train.pos_neg.backbone`` names.
        weights: As ``extract.clip.weights`` has it.
        params: Of the project; ``None`` outside of one.

    Raises:
        ConfigError: Nothing names a CLIP.
    """
    if model is not None:
        return ClipConfig(model=_spelled(model), weights=weights)
    if params is None:
        raise ConfigError(
            "There is no params.yaml here, so --model has to name a CLIP.",
            hint="A folder (--model data/models/pos_neg/best), or a published one "
            "(--model ViT-L-14-quickgelu --weights openai).",
        )
    name = params.train.pos_neg.backbone
    section = clip_section(name, params.extract, "train.pos_neg.backbone")
    return override(section, {"weights": weights})


def load_chosen(config: ClipConfig, params: Params | None) -> ClipBackbone:
    """Load it on the device and in the precision of the project, or of this machine.

    Raises:
        ConfigError: It names what does not exist or does not fit together.
        WeightsError: Its weights are missing or do not fit.
    """
    extract = params.extract if params else ExtractConfig()
    runtime = params.runtime if params else RuntimeConfig()
    set_threads(runtime.threads)
    device = choose_device(runtime.device)
    loaded = load_clip(config, Placement(device, extract.precision, extract.batch_size))
    if not loaded.trained:
        log.warning("The weights of %s are random: its scores mean nothing.", config.model)
    return loaded


def _spelled(model: str) -> str:
    """``model`` as ClipConfig has it."""
    if Path(model).is_dir():
        return f"{LOCAL_DIR}{model}"
    if "/" not in model or model.startswith(_PREFIXES):
        return model
    if model.replace("/", "-") not in import_open_clip().list_models():
        on_hub = _REPOSITORY.fullmatch(model) is not None
        raise ConfigError(
            f"--model {model}: no such folder, and open_clip has no such model.",
            hint=f"On the Hugging Face hub it is transformers:{model} or hf-hub:{model}."
            if on_hub
            else "Give the folder that training or `save_pretrained` wrote.",
        )
    return model
