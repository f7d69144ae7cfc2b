"""What a caller may ask of extraction beside the parameters: backbones, weights, where to run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.config import (
    ClipConfig,
    DinoV2Config,
    ExtractConfig,
    MobileClipConfig,
    Params,
    SlowFastConfig,
    VideoMambaBackboneConfig,
)
from pipeline_lib.errors import ConfigError
from pipeline_lib.extraction.shards import Shard, choose_shard
from pipeline_lib.params_file import override

# What a folder is extracted with where no params.yaml says otherwise: the published weights,
# or those that the pipeline trains itself.
_PUBLISHED_CLIP = ClipConfig(model="ViT-B-32-quickgelu", weights="openai")
_PUBLISHED = {
    "clip": _PUBLISHED_CLIP,
    "mobileclip": MobileClipConfig(),
    "slowfast": SlowFastConfig(),
    "dinov2": DinoV2Config(),
    "videomamba": VideoMambaBackboneConfig(),
}
_BRINGS_WEIGHTS = ("local-dir:", "hf-hub:", "transformers:")


@dataclass(frozen=True)
class ExtractOptions:
    """A request, as a command line states it.

    Attributes:
        backbones: Names, separated by commas.
        changes: Parameters of ``extract`` by name; ``None`` leaves what params.yaml says.
        model: Architecture, for a single backbone.
        weights: Published name, checkpoint file or folder, or ``untrained``, for a single one.
        executor: Overrides ``runtime.executor``.
        shard: This machine's part, as ``i/n``; implies the executor ``shard``.
    """

    backbones: str
    changes: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    weights: str | None = None
    executor: str | None = None
    shard: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The backbones, each once.

        Raises:
            ConfigError: None is named.
        """
        names = tuple(dict.fromkeys(filter(None, map(str.strip, self.backbones.split(",")))))
        if not names:
            raise ConfigError("No backbone is named.", hint=f"Known: {', '.join(BACKBONES)}.")
        return names

    def placed(self, params: Params) -> tuple[Params, Shard | None]:
        """``params`` with the executor that is asked for, and the part of the videos to do.

        Raises:
            ConfigError: There is no such executor, or the shard is none.
        """
        wanted = self.executor or ("shard" if self.shard else None)
        runtime = override(params.runtime, {"executor": wanted})
        if self.shard and runtime.executor != "shard":
            raise ConfigError(
                f"--shard {self.shard} beside --executor {runtime.executor}.",
                hint="Parts of the videos are done by --executor shard.",
            )
        shard = choose_shard(self.shard) if runtime.executor == "shard" else None
        return override(params, {"runtime": runtime}), shard

    def for_folder(self, params: Params) -> Params:
        """``params`` with everything that is asked for, and a section for every backbone.

        Raises:
            ConfigError: There is no such backbone, it has no such option, or ``model`` or
                ``weights`` is given for several.
        """
        config = override(params.extract, dict(self.changes))
        return override(
            params, {"extract": choose_weights(config, self.names, self.model, self.weights)}
        )

    def for_stage(self, params: Params) -> Params:
        """``params``, which alone say how a pipeline stage works.

        Raises:
            ConfigError: Something else is asked for.
        """
        asked = [name for name, value in self.changes.items() if value is not None]
        asked += [name for name in ("model", "weights") if getattr(self, name) is not None]
        if asked:
            raise ConfigError(
                f"{', '.join(asked)} given for the pipeline's own data.",
                hint="Set it in params.yaml under extract, or name a folder of videos.",
            )
        return params


def choose_weights(
    config: ExtractConfig, names: Sequence[str], model: str | None, weights: str | None
) -> ExtractConfig:
    """``config`` with a section for every backbone, and the one that is asked for in it.

    Args:
        config: The settings so far, usually of params.yaml.
        names: Backbones; those without a section get their published weights.
        model: Architecture, for a single backbone.
        weights: Pretrained tag, checkpoint file or folder, for a single backbone.

    Raises:
        ConfigError: There is no such backbone, it has no such option, or ``model`` or ``weights``
            is given for several.
    """
    if len(names) > 1 and (model or weights):
        raise ConfigError(
            "--model and --weights go with a single backbone.",
            hint="Set extract.<backbone>.model and .weights in params.yaml for several.",
        )
    sections: dict[str, Any] = {}
    for name in names:
        BACKBONES.get(name)
        section = getattr(config, name) or _PUBLISHED.get(name)
        if section is None:
            raise ConfigError(
                f"Backbone {name!r} has no section extract.{name} in params.yaml.",
                hint=f"Add extract.{name}.model and extract.{name}.weights.",
            )
        if isinstance(section, ClipConfig):
            sections[name] = _choose_clip(section, model, weights)
        else:
            sections[name] = override(section, {"model": model, "weights": weights})
    return override(config, sections)


def _choose_clip(section: ClipConfig, model: str | None, weights: str | None) -> ClipConfig:
    if model is not None:
        return ClipConfig(model=model, weights=weights)
    if weights is None:
        return section
    if Path(weights).is_dir():
        return ClipConfig(model=f"local-dir:{weights}")
    brings = section.model.startswith(_BRINGS_WEIGHTS) and weights != "untrained"
    base = _PUBLISHED_CLIP if brings else section
    return override(base, {"weights": weights})
