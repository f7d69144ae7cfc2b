"""The masked student in other configurations than the stored one."""

import numpy as np
import pytest
import torch

from tests.parity.golden import fill
from tests.parity.runner import outputs
from tests.parity.videomamba_pretrain import published_student

NAME = "videomamba_pretrain_k1"


def varied(layers=1, tubelet=1, width=48, interval=1):
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
    case["config"] |= {"clip_return_layer": layers, "clip_student_return_interval": interval}
    case["inputs"]["clip"]["shape"][2] *= tubelet
    case["inputs"]["target"]["shape"][0] = layers
    return case


@pytest.mark.parametrize(
    "options",
    [{"layers": 3}, {"layers": 2, "interval": 2}, {"tubelet": 2}, {"width": 32, "layers": 2}],
)
def test_other_configurations(options):
    case = varied(**options)
    made = outputs(case)
    layers = options.get("layers", 1)
    assert made["student"].shape == (layers, 2, 17, 24)
    np.testing.assert_allclose(np.linalg.norm(made["student"], axis=-1), 1, rtol=1e-5)
    target = fill.inputs(case)["target"]
    loss = np.mean(2 - 2 * (made["student"].astype(np.float64) * target).sum(-1))
    assert made["loss"] == pytest.approx(loss, rel=1e-5)
    assert made["grad_norm"] > 0


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
        made = [published_student(state, {})(clip, mask) for state in tensors]
    torch.testing.assert_close(made[0][0], made[1][2], rtol=0, atol=1e-6)
