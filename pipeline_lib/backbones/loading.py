"""Loading a backbone by its name in ``params.yaml``."""

import torch

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.backbones.base import Backbone, Placement
from pipeline_lib.backbones.openvino_engine import OpenVinoBackbone
from pipeline_lib.config import ClipConfig, ExtractConfig, RuntimeConfig
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.runtime.device import choose_device, set_threads


def load_backbone(name: str, config: ExtractConfig, runtime: RuntimeConfig) -> Backbone:
    """Load the backbone called ``name`` on the device and in the precision of the parameters.

    Raises:
        ConfigError: No such backbone, or it has no section.
        WeightsError: Its weights are missing or do not fit.
    """
    set_threads(runtime.threads)
    device = choose_device(runtime.device)
    if config.engine == "torch":
        return load_section(name, config, device, config.precision, runtime.scan)
    return OpenVinoBackbone(load_section(name, config, device, "fp32"), config.precision)


def load_section(
    name: str, config: ExtractConfig, device: torch.device, precision: str, scan: str = "auto"
) -> Backbone:
    """Load the backbone called ``name`` with its section of ``extract``.

    Args:
        name: Of the backbone.
        config: The section ``extract``.
        device: Where it runs.
        precision: Of its matrix products.
        scan: What runs a state space model's recurrence.

    Raises:
        ConfigError: No such backbone, or it has no section.
        WeightsError: Its weights are missing or do not fit.
    """
    load = BACKBONES.get(name)
    section = getattr(config, name, None)
    if section is None:
        raise ConfigError(
            f"Backbone {name!r} has no section extract.{name} in params.yaml.",
            hint=f"Add extract.{name}.model and extract.{name}.weights.",
        )
    return load(section, Placement(device, precision, config.batch_size, scan))


def clip_section(name: str, config: ExtractConfig, parameter: str) -> ClipConfig:
    """The section of the CLIP called ``name``.

    Args:
        name: Of a backbone.
        config: The section ``extract``.
        parameter: Where the name stands, for the message.

    Raises:
        ConfigError: It is no CLIP, or has no section.
    """
    clips = {key: value for key, value in vars(config).items() if isinstance(value, ClipConfig)}
    if name not in clips:
        raise ConfigError(
            f"{parameter} = {name!r} is no CLIP with a section extract.{name} in params.yaml.",
            hint=did_you_mean(name, clips) if clips else f"Add extract.{name}.model.",
        )
    return clips[name]
