"""The networks of an evaluation: CLIP before and after fine-tuning, and the one of Sim-m."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Backbone, Placement
from pipeline_lib.backbones.clip import ClipBackbone, load_clip
from pipeline_lib.backbones.loading import load_section
from pipeline_lib.backbones.open_clip_weights import LOCAL_DIR
from pipeline_lib.backbones.video_embedding import unit_rows
from pipeline_lib.config import ClipConfig, Params, SimMConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.evaluation.pos_neg.items import Item
from pipeline_lib.evaluation.pos_neg.trained_model import TrainedModel
from pipeline_lib.runtime.device import choose_device, fix_product_order, set_threads

_TEXTS = 256  # captions in one forward pass


@dataclass(frozen=True)
class Models:
    """The networks of an evaluation.

    Attributes:
        before: The CLIP that training started from.
        after: The fine-tuned one.
        embedder: Compares chosen frames with true ones.
        embedder_name: Its section of ``extract``.
        squash: Width and height that it sees every frame in; ``None`` leaves the frame's own.
    """

    before: ClipBackbone
    after: ClipBackbone
    embedder: Backbone
    embedder_name: str
    squash: tuple[int, int] | None = None

    def embedder_facts(self) -> dict[str, Any]:
        """What Sim-m was measured with, for the metrics file.

        ``independent`` is false where the frames are compared by the very network that training
        started from: what it confuses when it chooses, it confuses when it compares.
        """
        return {
            "backbone": self.embedder_name,
            "weights": self.embedder.weights_id,
            "weights_sha256": self.embedder.weights_sha256,
            "trained": self.embedder.trained,
            "independent": self.embedder.weights_sha256 != self.before.weights_sha256,
            "frames": "{}x{}".format(*self.squash) if self.squash else "in their own shape",
        }


@dataclass(frozen=True)
class Captions:
    """Captions in the common space of each model.

    Attributes:
        before: Caption to float32 [D], of length 1.
        after: The same of the fine-tuned model.
    """

    before: Mapping[str, NDArray[np.float32]]
    after: Mapping[str, NDArray[np.float32]]


def load_models(trained: TrainedModel, params: Params) -> Models:
    """Load the fine-tuned CLIP, the one it was made from, and the network of Sim-m.

    Args:
        trained: The fine-tuned model.
        params: The sections ``extract``, ``evaluate.sim_m`` and ``runtime``.

    Raises:
        ConfigError: A network has no section, or the one that trained is no CLIP.
        WeightsError: Weights are missing, unfit or untrained, or not those that training started
            from.
    """
    set_threads(params.runtime.threads)
    fix_product_order()
    device, precision = choose_device(params.runtime.device), params.extract.precision
    section = trained.settings.backbone
    before = load_section(section, params.extract, device, precision)
    if not isinstance(before, ClipBackbone):
        raise ConfigError(
            f"extract.{section} is no CLIP, and {trained.folder} was made from one.",
            hint="Use the params.yaml that it was trained with, or train again.",
        )
    if before.weights_sha256 != trained.source_sha256:
        raise WeightsError(
            f"{trained.folder} was fine-tuned from other weights than extract.{section} names now "
            f"({trained.source_sha256[:12]}…, not {before.weights_sha256[:12]}…).",
            hint="Name those weights again, or train again.",
        )
    placement = Placement(device, precision, params.extract.batch_size)
    after = load_clip(ClipConfig(model=f"{LOCAL_DIR}{trained.folder}"), placement)
    embedder = load_section(params.evaluate.sim_m.backbone, params.extract, device, precision)
    _require_trained(embedder, params.evaluate.sim_m)
    return Models(
        before, after, embedder, params.evaluate.sim_m.backbone, _size(params.evaluate.sim_m.squash)
    )


def embed_captions(models: Models, items: Sequence[Item]) -> Captions:
    """The captions of items, and those they are exchanged with, in both models' spaces.

    Raises:
        WeightsError: A caption has no direction.
    """
    texts = sorted({item.caption for item in items})
    return Captions(_embedded(models.before, texts), _embedded(models.after, texts))


def _embedded(model: ClipBackbone, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(texts), _TEXTS):
        part = texts[start : start + _TEXTS]
        rows = unit_rows(model.encode_texts(part), "a caption").astype(np.float32)
        found.update(zip(part, rows, strict=True))
    return found


def _require_trained(embedder: Backbone, config: SimMConfig) -> None:
    if not embedder.trained:
        raise WeightsError(
            f"evaluate.sim_m.backbone = {config.backbone!r} has untrained weights: similarities of "
            "frames would mean nothing.",
            hint="Name a section of extract with trained weights, usually dinov2.",
        )


def _size(squash: str | None) -> tuple[int, int] | None:
    if squash is None:
        return None
    width, height = squash.split("x")
    return int(width), int(height)
