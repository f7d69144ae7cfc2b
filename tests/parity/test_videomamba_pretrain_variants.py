"""The masked student in other configurations than the stored one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity.golden import fill
from tests.parity.runner import outputs
from tests.parity.videomamba_pretrain import published_student
from tests.support import plain_videomamba as plain

NAME = "videomamba_pretrain_k1"


LOSSES = {
    "l2": lambda made, target: (2 - 2 * (made * target).sum(-1)).mean(),
    "mse": F.mse_loss,
    "smooth_l1": F.smooth_l1_loss,
}


def varied(layers=1, tubelet=1, width=48, frames=4, **config):
    """The stored case with other sizes, published names and all."""
    case = fill.manifest(NAME)
    state = {}
    for name, shape in case["state_dict"].items():
        sizes = {48: width, 96: 2 * width, 192: 4 * width, 35: 32 + -(-width // 16), 3: 3}
        shape = [sizes.get(size, size) for size in shape]
        if name.endswith(("dt_proj.weight", "dt_proj_b.weight")):
            shape[1] = -(-width // 16)
        if name == "patch_embed.proj.weight":
            shape = [width, 3, tubelet, 8, 8]
        state[name] = shape
    for k in range(1, layers):
        for part in ("head.weight", "head.bias", "norm.weight", "norm.bias"):
            state[f"clip_decoder.{k}.{part}"] = state[f"clip_decoder.0.{part}"]
    case["state_dict"] = state
    case["config"] |= {"clip_return_layer": layers, **config}
    state["temporal_pos_embedding"] = [1, frames, width]
    case["inputs"]["clip"]["shape"][2] *= tubelet
    case["inputs"]["target"]["shape"][0] = layers
    return case


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 3},
        {"layers": 2, "clip_student_return_interval": 2},
        {"layers": 2, "clip_return_interval": 3.0},
        {"layers": 4, "clip_loss_type": "mse"},
        {"clip_loss_type": "smooth_l1", "clip_norm_type": "none"},
        {"layers": 2, "clip_norm_type": "none"},
        {"tubelet": 2},
        {"width": 32, "layers": 2},
        {"frames": 2},
    ],
)
def test_other_configurations_equal_their_definition(options):
    case = varied(**options)
    made, config, given = outputs(case), case["config"], fill.inputs(case)
    tensors = {
        name: torch.from_numpy(np.asarray(a)).double().requires_grad_()
        for name, a in fill.state_dict(case).items()
    }
    clip, target = (torch.from_numpy(given[name]).double() for name in ("clip", "target"))
    positions = tensors["temporal_pos_embedding"]
    if positions.shape[1] != 4:
        positions = F.interpolate(positions.detach().mT, size=4, mode="linear").mT
        tensors["temporal_pos_embedding"] = positions.requires_grad_()
    interval = config.get("clip_student_return_interval", config.get("clip_return_interval", 1))
    mask, unit = torch.from_numpy(given["mask"]).bool(), config["clip_norm_type"] == "l2"
    wanted = plain.student(tensors, clip, mask, int(interval), unit)
    loss = LOSSES[config.get("clip_loss_type", "l2")](wanted, target)
    grads = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    assert made["student"].shape == (options.get("layers", 1), 2, 17, 24)
    error = np.abs(made["student"] - wanted.detach().numpy()).max() / wanted.abs().max().item()
    assert error <= 1e-5
    assert made["loss"] == pytest.approx(loss.item(), rel=1e-5)
    norm = sum(g.square().sum() for g in grads if g is not None).sqrt().item()
    assert made["grad_norm"] == pytest.approx(norm, rel=1e-4)


def test_the_last_layer_is_the_same_however_many_are_compared():
    # The projection of the last layer is the last one, so it has another number.
    one, three = varied(layers=1), varied(layers=3)
    given = fill.inputs(one)
    clip, mask = torch.from_numpy(given["clip"]), torch.from_numpy(given["mask"]).bool()
    tensors = [
        {name: torch.from_numpy(np.asarray(a)) for name, a in fill.state_dict(case).items()}
        for case in (one, three)
    ]
    for part in ("head.weight", "head.bias", "norm.weight", "norm.bias"):
        tensors[1][f"clip_decoder.2.{part}"] = tensors[0][f"clip_decoder.0.{part}"]
    with torch.no_grad():
        made = [published_student(state, {}, 4, 32)(clip, mask) for state in tensors]
    torch.testing.assert_close(made[0][0], made[1][2], rtol=0, atol=1e-6)


def test_a_mask_may_leave_out_the_class_token():
    whole, patches = varied(), varied()
    patches["arrays"]["mask"] = [row[1:] for row in patches["arrays"]["mask"]]
    for key, value in outputs(whole).items():
        np.testing.assert_array_equal(outputs(patches)[key], value)
