"""Small random open_clip models with the text towers of the published ones."""

import copy
from functools import cache
from types import ModuleType
from typing import Any

import torch

from pipeline_lib.networks.text_towers import TextTower, text_tower
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.support.tiny_clip import CONFIG

NAMES = ("Abuse", "Road accident", "Shoplifting in store", "쓰러짐", "normal")


def open_clip() -> ModuleType:
    return import_open_clip()


def small_model(name: str = "ViT-B-32", seed: int = 0, **text: Any) -> Any:
    """A model with the text options of ``name``, three layers of width 64, and random weights.

    Args:
        name: A model of open_clip; its image tower is replaced by a tiny one.
        seed: Of the weights.
        text: Options of the text tower to change.
    """
    library = open_clip()
    published = copy.deepcopy(library.get_model_config(name))
    text_cfg = published["text_cfg"] | {"width": 64, "heads": 2, "layers": 3} | text
    kind = library.CustomTextCLIP if published.get("custom_text") else library.CLIP
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(
            embed_dim=32,
            vision_cfg=CONFIG["model_cfg"]["vision_cfg"],
            text_cfg=text_cfg,
            quick_gelu=published.get("quick_gelu", False),
        )
        # The library's own start is so small that every text comes out nearly alike.
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.normal_(std=parameter.shape[-1] ** -0.5)
    return model.eval()


@cache
def tokenizer() -> Any:
    return open_clip().get_tokenizer("ViT-B-32")


@cache
def small_tower(name: str = "ViT-B-32", seed: int = 0, **text: Any) -> TextTower:
    """The text tower of :func:`small_model`; shared, as it is frozen."""
    return text_tower(small_model(name, seed, **text), tokenizer(), weights_sha256="small")
