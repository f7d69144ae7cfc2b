"""Which model embeds: the project's trained one, a folder, or what a configuration describes."""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.retrieval_model import (
    RetrievalModel,
    load_retrieval_model,
    open_retrieval_model,
)
from pipeline_lib.config import TempMeStopModelConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from pipeline_lib.runtime.device import choose_device

log = logging.getLogger(__name__)

BEST = Path("data/models/tempme_stop/best")
# In one forward pass: enough to fill the device, few enough to fit anywhere.
_FRAMES_AT_ONCE, _FEW_FRAMES = {"cuda": 768}, 96
_TRAIN = "Train one by `clipline train tempme_stop`, or name another folder with --model."


@dataclass(frozen=True)
class ModelChoice:
    """What a caller names.

    Attributes:
        folder: Of a trained model; with ``config`` the trained tensors are taken from it.
        config: The architecture and its CLIP; ``None`` reads them from the folder.
        device: ``auto``, ``cpu``, ``cuda`` …; ``None`` is what ``config`` says.
        allow_untrained: Take a model that was never trained, too.
    """

    folder: Path | None = None
    config: UnifiedModelConfig | None = None
    device: str | None = None
    allow_untrained: bool = False

    @property
    def settings(self) -> UnifiedModelConfig:
        """What the configuration says about results; its defaults where there is none."""
        return self.config or UnifiedModelConfig()


def open_model(choice: ModelChoice) -> RetrievalModel:
    """Load the model that is asked for.

    Without a folder and a configuration that is the project's best one.

    Raises:
        ConfigError: The configuration cannot be meant, or the device is not there.
        WeightsError: A file is missing or does not fit, or the model is untrained and that was
            not allowed.
    """
    device = choose_device(choice.device or choice.settings.device)
    placement = Placement(device, batch_size=_FRAMES_AT_ONCE.get(device.type, _FEW_FRAMES))
    if choice.config is None:
        folder = _folder(choice.folder or BEST)
        if folder.is_file():
            raise WeightsError(
                f"{folder}: a checkpoint of TempMe does not say how its network merges.",
                hint="Name it as tempme.pretrained_path in a JSON configuration that does, and "
                "give that (--config).",
            )
        model = open_retrieval_model(folder, placement)
    else:
        model = _described(choice, choice.config, placement)
    if model.config.sim_header == "tightTransf":
        log.warning("tightTransf has no embedding of its own; those of meanP are taken.")
    if not model.trained:
        if not choice.allow_untrained:
            raise _untrained("The CLIP or the adapters of this model are untrained.")
        log.warning("The CLIP or the adapters of this model are untrained; results say so.")
    return model


def _described(
    choice: ModelChoice, config: UnifiedModelConfig, placement: Placement
) -> RetrievalModel:
    config.check()
    section, clip = config.to_params()
    architecture: dict[str, Any] = {
        field.name: getattr(section, field.name) for field in fields(TempMeStopModelConfig)
    }
    adapters = _adapters(choice, config)
    if adapters is None and not choice.allow_untrained:
        raise _untrained(f"The configuration names no trained model, and there is no {BEST}.")
    try:
        return load_retrieval_model(
            clip, TempMeStopModelConfig(**architecture), placement, adapters
        )
    except WeightsError as error:
        if config.stop.pretrained_dir is None and clip.weights == "openai":
            hint = (
                f"{error.hint or ''} In this configuration that is stop.pretrained_dir, its folder."
            )
            raise WeightsError(error.message, hint=hint.strip()) from None
        raise


def _adapters(choice: ModelChoice, config: UnifiedModelConfig) -> Path | None:
    named = config.tempme.pretrained_path
    if choice.folder is not None and named is not None and choice.folder != Path(named):
        raise ConfigError(
            f"Two trained models are named: {choice.folder}, and tempme.pretrained_path = {named}.",
            hint="Name one of them.",
        )
    if choice.folder is not None:
        return _folder(choice.folder)
    if named is not None:
        return Path(named)
    return BEST if BEST.is_dir() else None


def _folder(folder: Path) -> Path:
    if not folder.exists():
        raise WeightsError(f"{folder}: no such folder of a trained model.", hint=_TRAIN)
    return folder


def _untrained(message: str) -> WeightsError:
    return WeightsError(
        f"{message} Untrained, it is the frozen CLIP with merged tokens and no more.",
        hint=f"{_TRAIN} Or ask for it: --allow-untrained.",
    )
