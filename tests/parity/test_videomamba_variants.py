"""VideoMambas of other sizes than the golden one, against their definition in fp64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.networks.videomamba import SIZES as PUBLISHED
from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape
from tests.parity.golden import fill
from tests.parity.runner import outputs
from tests.support import plain_videomamba as plain

SIZES = {"embed_dim": 40, "depth": 2, "patch_size": 8, "tubelet": 1, "frames": 4, "image_size": 32}
CHANGES = {
    "tubelet": {"tubelet": 2, "frames": 6},
    "pixels": {"image_size": 48, "patch_size": 16},
    "deeper": {"depth": 3, "embed_dim": 72},
    "pictures": {"frames": 1, "temporal": False},
}


def manifest(change):
    return manifest_of(CHANGES[change])


def manifest_of(sizes, classes=7):
    shape = VideoMambaShape(**(SIZES | sizes))
    with torch.device("meta"):
        network = VideoMamba(shape, classes)
    state = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    size = [2, 3, shape.frames, shape.image_size, shape.image_size]
    if not shape.temporal:
        weight = state["patch_embed.proj.weight"]
        state["patch_embed.proj.weight"] = weight[:2] + weight[3:]
        del size[2]
    clip = {"kind": "values", "name": "input.clip", "shape": size, "mul": 1, "add": 0}
    return {"family": "videomamba", "config": {}, "inputs": {"clip": clip}, "state_dict": state}


@pytest.mark.parametrize("change", CHANGES)
def test_other_sizes_equal_their_definition(change):
    case = manifest(change)
    made = outputs(case)
    tensors = {name: torch.from_numpy(np.asarray(value)).double()
               for name, value in fill.state_dict(case).items()}  # fmt: skip
    clip = torch.from_numpy(fill.inputs(case)["clip"]).double()
    if change == "pictures":
        clip = clip[:, :, None]
        weight = tensors["patch_embed.proj.weight"]
        tensors["patch_embed.proj.weight"] = weight[:, :, None]
        tensors["temporal_pos_embedding"] = torch.zeros(1, 1, weight.shape[0]).double()
    wanted = {"features": plain.features(tensors, clip), "logits": plain.logits(tensors, clip)}
    assert sorted(made) == sorted(wanted)
    for key, value in wanted.items():
        error = np.abs(made[key] - value.numpy()).max() / np.abs(value.numpy()).max()
        assert error <= 1e-5, f"{key}: relative error {error:.2e}"


def test_a_clip_of_other_sizes_gets_positions_in_between():
    case = manifest("tubelet")
    case["inputs"]["clip"]["shape"] = [2, 3, 8, 48, 48]
    made = outputs(case)
    tensors = {name: torch.from_numpy(np.asarray(value)).double()
               for name, value in fill.state_dict(case).items()}  # fmt: skip
    frames, grid = tensors["temporal_pos_embedding"], tensors["pos_embed"]
    square = grid[:, 1:].mT.unflatten(-1, (4, 4))
    square = F.interpolate(square, size=(6, 6), mode="bicubic").flatten(2).mT
    tensors["pos_embed"] = torch.cat([grid[:, :1], square], dim=1)
    tensors["temporal_pos_embedding"] = F.interpolate(frames.mT, size=4, mode="linear").mT
    wanted = plain.logits(tensors, torch.from_numpy(fill.inputs(case)["clip"]).double()).numpy()
    assert np.abs(made["logits"] - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "frames", "classes", "image_size"),
    [("small", 16, 174, 64), ("middle", 8, 1000, 96), ("base", 8, 7, 32)],
)
def test_published_sizes(size, frames, classes, image_size):
    embed_dim, depth = PUBLISHED[size]
    chosen = {"embed_dim": embed_dim, "depth": depth, "patch_size": 16}
    case = manifest_of(chosen | {"frames": frames, "image_size": image_size}, classes)
    case["inputs"]["clip"]["shape"][0] = 1
    made = outputs(case)
    tensors = {name: torch.from_numpy(np.asarray(value)).double()
               for name, value in fill.state_dict(case).items()}  # fmt: skip
    clip = torch.from_numpy(fill.inputs(case)["clip"]).double()
    wanted = plain.logits(tensors, clip).numpy()
    assert made["logits"].shape == (1, classes)
    assert np.abs(made["logits"] - wanted).max() <= 1e-4 * np.abs(wanted).max()
