"""MobileCLIP's towers, and prompt learning on its text tower."""

import re
import tempfile
from pathlib import Path

import numpy as np
import torch

from pipeline_lib.backbones.base import WeightsSource
from pipeline_lib.backbones.weight_files import load_weights
from pipeline_lib.networks.mobileclip import (
    MobileClip,
    MobileClipShape,
    is_reparameterised,
    reparameterise,
)
from pipeline_lib.networks.mobileclip_image import ImageShape
from pipeline_lib.networks.mobileclip_text import TextShape
from pipeline_lib.networks.text_towers import text_tower
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.parity.coop import learned_prompts
from tests.parity.golden import fill

Shapes = dict[str, list[int]]
_IMAGE = "image_encoder.model."
_TEXT = "text_encoder."


def towers(case: dict) -> dict[str, np.ndarray]:
    """Features of the case's pictures and texts, and the ids of its texts."""
    network, _ = _load(case)
    arrays = {name: torch.from_numpy(array) for name, array in fill.inputs(case).items()}
    made = {}
    with torch.inference_mode():
        if "image" in arrays:
            made["image_features"] = network.encode_image(arrays["image"]).numpy()
        if "token_ids" in arrays:
            made["text_features"] = network.encode_text(arrays["token_ids"]).numpy()
    if "texts" in case:
        made["token_ids"] = _tokenizer()(case["texts"]).numpy()
    return made


def coop_mobileclip(case: dict) -> dict[str, np.ndarray]:
    """What prompt learning gives on the case's text tower."""
    network, source = _load(case)
    return learned_prompts(case, text_tower(network, _tokenizer(), weights_sha256=source.sha256))


def shape_of(shapes: Shapes) -> MobileClipShape:
    """The sizes that the shapes of a state dict imply, before or after fusion."""
    return MobileClipShape(_image_shape(shapes), _text_shape(shapes))


def _image_shape(shapes: Shapes) -> ImageShape:
    blocks = _matches(shapes, _IMAGE + r"network\.(\d+)\.\d+\.convffn\.fc1\.weight")
    stages = sorted({int(stage) for stage, _ in blocks})
    outer = {int(stage): shape for stage, shape in blocks}
    downsamplings = sorted({int(part) for part, _ in _matches(shapes, r".*\.network\.(\d+)\.proj")})
    hidden, width = outer[stages[0]][:2]
    final, dim = shapes[f"{_IMAGE}head.proj"]
    return ImageShape(
        widths=tuple(outer[stage][1] for stage in stages),
        depths=tuple(sum(int(found) == stage for found, _ in blocks) for stage in stages),
        mlp_ratio=hidden // width,
        gated=tuple(f"{_IMAGE}network.{n}.proj.0.se.fc1.weight" in shapes for n in downsamplings),
        final=final,
        dim=dim,
    )


def _text_shape(shapes: Shapes) -> TextShape:
    layers = sorted({int(n) for n, _ in _matches(shapes, _TEXT + r"transformer\.(\d+)\.")})
    mixing = _matches(shapes, _TEXT + r"transformer\.(\d+)\.convffn\.conv\.conv\.weight")
    by_convolution = {int(layer) for layer, _ in mixing}
    fc1 = "convffn.fc1" if 0 in by_convolution else "pre_norm_ffn.1"
    vocabulary, width = shapes[f"{_TEXT}embedding_layer.weight"]
    return TextShape(
        layers=tuple("repmixer" if n in by_convolution else "attention" for n in layers),
        width=width,
        hidden=shapes[f"{_TEXT}transformer.0.{fc1}.weight"][0],
        kernel=mixing[0][1][-1] if mixing else 1,
        vocabulary=vocabulary,
        context_length=shapes[f"{_TEXT}positional_embedding.pos_embed.pos_embed"][2],
        dim=shapes[f"{_TEXT}projection_layer"][1],
    )


def _matches(shapes: Shapes, pattern: str) -> list[tuple[str, list[int]]]:
    found = ((re.match(pattern, name), shape) for name, shape in shapes.items())
    return [(match[1], shape) for match, shape in found if match]


def _load(case: dict) -> tuple[MobileClip, WeightsSource]:
    """The network of a checkpoint file with the case's tensors."""
    shapes = case["state_dict"]

    def build() -> MobileClip:
        network = MobileClip(shape_of(shapes)).eval()
        if is_reparameterised(shapes):
            reparameterise(network)
        return network

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mobileclip.pt")
        torch.save({k: torch.from_numpy(v) for k, v in fill.state_dict(case).items()}, path)
        return load_weights(build, str(path), {}, section="extract.mobileclip", seed=0)


def _tokenizer():
    return import_open_clip().get_tokenizer("ViT-B-32")
