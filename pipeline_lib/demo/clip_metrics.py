"""How much the demo CLIP knows: zero-shot accuracy on stills it has not seen, beside controls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import ClipBackbone, load_clip
from pipeline_lib.config import ClipConfig, DemoClipConfig
from pipeline_lib.demo.clip_model import IMAGE_SIZE
from pipeline_lib.demo.stills import KINDS, StillMaker
from pipeline_lib.demo.vocabulary import (
    CLASSES,
    COLOURS,
    EVENT_CLASSES,
    SHAPES,
    Kind,
    class_words,
)
from pipeline_lib.runtime.seeding import numpy_stream

PROMPT = "a photo of a {}."
_CHANCE = {
    "colour": 1 / len(COLOURS),
    "shape": 1 / len(SHAPES),
    "exact": 1 / len(KINDS),
    "class_name": 1 / len(CLASSES),
}

Images = Sequence[NDArray[np.uint8]]


def measure_demo_clip(directory: Path, config: DemoClipConfig) -> dict[str, dict[str, Any]]:
    """Zero-shot accuracies of the demo CLIP, each beside chance and untrained weights.

    Args:
        directory: The folder of :func:`pipeline_lib.demo.clip_model.save_model`.
        config: How many stills, and the seed they are drawn from.

    Returns:
        For ``colour``, ``shape``, ``exact`` (both at once) and ``class_name`` (the jargon of the
        class directories): ``accuracy`` and ``control``. Every kind, and every class, is equally
        frequent, so accuracy is balanced accuracy.
    """
    maker = StillMaker.of(numpy_stream(config.seed, "demo clip", "held out"), IMAGE_SIZE)
    kinds = [KINDS[k % len(KINDS)] for k in range(config.held_out)]
    classes = [CLASSES[k % len(CLASSES)] for k in range(config.held_out)]
    of_kinds = [maker.still(kind) for kind in kinds]
    of_classes = [maker.still(EVENT_CLASSES.get(name)) for name in classes]
    trained, untrained = (
        {
            **kind_accuracies(backbone, of_kinds, kinds),
            "class_name": class_accuracy(backbone, of_classes, classes),
        }
        for backbone in (_load(directory, None), _load(directory, "untrained"))
    )
    return {
        name: {
            "accuracy": trained[name],
            "control": {
                "chance": {"accuracy": chance},
                "random_init": {"accuracy": untrained[name]},
            },
        }
        for name, chance in _CHANCE.items()
    }


def kind_accuracies(
    backbone: ClipBackbone, images: Images, kinds: Sequence[Kind]
) -> dict[str, float]:
    """How often the nearest colour-and-shape prompt has the right colour, the right shape, both."""
    chosen = [KINDS[k] for k in _nearest(backbone, images, [kind.words for kind in KINDS])]
    pairs = list(zip(chosen, kinds, strict=True))
    return {
        "colour": float(np.mean([a.colour == b.colour for a, b in pairs])),
        "shape": float(np.mean([a.shape == b.shape for a, b in pairs])),
        "exact": float(np.mean([a == b for a, b in pairs])),
    }


def class_accuracy(backbone: ClipBackbone, images: Images, classes: Sequence[str]) -> float:
    """How often the nearest class-name prompt is the right one."""
    chosen = _nearest(backbone, images, [class_words(name) for name in CLASSES])
    return float(np.mean([CLASSES[k] == b for k, b in zip(chosen, classes, strict=True)]))


def _nearest(backbone: ClipBackbone, images: Images, words: Sequence[str]) -> list[int]:
    with torch.inference_mode():
        tokens = backbone.tokenizer([PROMPT.format(word) for word in words])
        texts = F.normalize(backbone.model.encode_text(tokens), dim=-1)
        features = F.normalize(torch.from_numpy(backbone.encode(images)), dim=-1)
        nearest: list[int] = (features @ texts.T).argmax(dim=1).tolist()
    return nearest


def _load(directory: Path, weights: str | None) -> ClipBackbone:
    config = ClipConfig(model=f"local-dir:{directory}", weights=weights)
    return load_clip(config, Placement())
