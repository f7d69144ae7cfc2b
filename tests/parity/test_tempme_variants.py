"""TempMe's runner takes other schedules, frames, CLIPs and texts than the published case has."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.merge_schedule import PRESETS
from pipeline_lib.networks.tempme import TempMe
from tests.networks import tempme_reference
from tests.parity.golden import fill
from tests.parity.runner import outputs
from tests.parity.tempme import DEFAULTS, published_schedule

SIDE, PATCH = 64, 16
BEYOND = re.compile(r"resblocks\.([6-9]|1\d)\.")  # six blocks are left
SHAPE = ClipShape(64, SIDE, PATCH, 128, 6, 2, 512, 77, 49408, 64, 6, 1, 256, quick_gelu=True)
LORA = "clip.visual.transformer.resblocks.0.attn.TVPt_LoRA_a"
# Widths of image (2 heads of 64) and text (1 head) for the published ones; their joint size is 64.
VISION = {768: 128, 2304: 384, 3072: 512, 512: 64}
TEXT = {512: 64, 1536: 192, 2048: 256}
WHOLE = {
    "clip.visual.conv1.weight": [128, 3, PATCH, PATCH],
    "clip.visual.positional_embedding": [1 + (SIDE // PATCH) ** 2, 128],
}


def variant(frames, layers, numbers, *, videos=2, words=16, rank=8, positions=True, **config):
    """The manifest of the published case with another configuration around a small CLIP."""
    case = fill.manifest("tempme_vitb32")
    case["config"] = {
        "frames": frames, "merge_layer": layers, "merge_frame_num": numbers, **config,
    }  # fmt: skip
    shapes = {}
    for name, shape in case["state_dict"].items():
        if "Positional" in name or BEYOND.search(name):
            continue
        sizes = (VISION if ".visual." in name else TEXT) | ({8: rank} if "LoRA" in name else {})
        shapes[name] = WHOLE.get(name) or [sizes.get(size, size) for size in shape]
    left = frames
    for layer, number in zip(
        map(int, layers.split("-")), map(int, numbers.split("-")), strict=True
    ):
        if positions:
            name = f"clip.visual.transformer.resblocks.{layer}.TVPt_Video_Positional_embedding"
            shapes[name] = [1, left, 1, 128]
        left //= number
    case["state_dict"] = shapes
    case["inputs"]["video"]["shape"] = [videos * frames, 3, SIDE, SIDE]
    case["arrays"] = {k: [(row + [0] * 77)[:words] for row in v] for k, v in case["arrays"].items()}
    return case


def reference(case):
    """Features of the videos by the plain reference."""
    tensors = {name: torch.from_numpy(array) for name, array in fill.state_dict(case).items()}
    schedule, frames = (
        published_schedule(DEFAULTS | case["config"], tensors),
        case["config"]["frames"],
    )
    network = TempMe(SHAPE, schedule, frames, tensors[LORA].shape[0]).requires_grad_(False)
    network.load_state_dict({name.removeprefix("clip."): t for name, t in tensors.items()})
    pixels = torch.from_numpy(fill.inputs(case)["video"]).unflatten(0, (-1, frames))
    encoded = torch.stack([tempme_reference.encode(network, video) for video in pixels])
    return F.normalize(encoded, dim=-1).mean(1).numpy()


@pytest.mark.parametrize(
    ("frames", "layers", "numbers", "options"),
    [
        (4, "2-4", "2-2", {"videos": 1}),
        (12, "2-3-4", "2-2-3", {"tome_r": 0, "videos": 3}),
        (12, "2-4", "3-4", {"tome_r": 4, "rank": 4}),
        (24, "1-2-3-5", "2-2-2-3", {"videos": 1, "words": 77}),
        (9, "0-5", "3-3", {"proportion": "50-20"}),
        (8, "3-4", "2-2", {"proportion": "0-0", "words": 32}),
        (6, "4", "6", {"proportion": "70-0", "positions": False}),
        (6, "1-2-3", "2-1-3", {"proportion": "0-15"}),
    ],
)
def test_another_configuration_equals_the_plain_reference(frames, layers, numbers, options):
    case = variant(frames, layers, numbers, **options)
    made = outputs(case)
    assert {name: array.dtype for name, array in made.items()} == {
        "video_features": np.float32, "text_features": np.float32, "tokens_per_layer": np.int64,
    }  # fmt: skip
    wanted = reference(case)
    assert made["video_features"].shape == wanted.shape == (options.get("videos", 2), 64)
    assert np.abs(made["video_features"] - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert made["text_features"].shape == (3, 64)
    plan = made["tokens_per_layer"]
    assert plan.shape == (6, 4)
    assert (plan[:, 1] * plan[:, 3] == frames).all()


def test_texts_do_not_depend_on_their_padding():
    short, long = (
        outputs(variant(2, "2", "2", videos=1, words=words))["text_features"] for words in (16, 77)
    )
    np.testing.assert_allclose(short, long, rtol=0, atol=1e-5)


def test_what_a_manifest_leaves_out_is_as_tempme_is_started():
    assert published_schedule(DEFAULTS, {"Positional_embedding": torch.zeros(1)}) == (
        PRESETS["paper-defaults"].schedule
    )
    case = variant(12, "2-3-4", "2-2-3", videos=1)
    full = case | {"config": DEFAULTS | case["config"]}
    del case["config"]["frames"], case["config"]["merge_frame_num"]
    made, wanted = outputs(case), outputs(full)
    assert all((made[name] == wanted[name]).all() for name in wanted)
