"""Every family with an implementation gives the published networks' outputs."""

import numpy as np
import pytest

from tests.parity.golden import fill
from tests.parity.runner import FAMILIES, outputs

# The family is held to what its network reaches in fp32.
LARGEST_ERROR = {"slowfast": 1e-5}
CASES = sorted(
    path.stem for path in fill.HERE.glob("*.json") if fill.manifest(path.stem)["family"] in FAMILIES
)


@pytest.mark.parametrize("name", CASES)
def test_outputs_equal_the_published_network(name):
    expected, case = fill.expected(name), fill.manifest(name)
    made, largest = outputs(case), LARGEST_ERROR.get(case["family"], 1e-4)
    assert sorted(made) == sorted(expected)
    for key, wanted in expected.items():
        assert made[key].shape == wanted.shape, key
        assert made[key].dtype == wanted.dtype, key
        error = np.abs(made[key] - wanted).max() / np.abs(wanted).max()
        assert error <= largest, f"{key}: relative error {error:.2e}"


def test_other_sizes_of_a_published_clip():
    case = fill.manifest("coop_clip_vitb32")
    case["state_dict"] = _shrunk(case["state_dict"])
    case["inputs"]["features"]["shape"] = [5, 64]
    made = outputs(case)
    assert made["end.text_features"].shape == (4, 64)
    assert made["csc_end.ctx_grad"].shape == (4, 3, 128)
    assert all(np.isfinite(array).all() for array in made.values())


def _shrunk(shapes):
    """Text width 128 and joint size 64 for 512, image width 128 for 768, three blocks of twelve."""
    sizes = {512: 128, 1536: 384, 2048: 512, 768: 128, 2304: 384, 3072: 512}
    kept = {}
    for name, shape in shapes.items():
        if "resblocks" in name and int(name.split("resblocks.")[1].split(".")[0]) >= 3:
            continue
        kept[name] = [sizes.get(size, size) for size in shape]
    return kept | {"text_projection": [128, 64], "visual.proj": [128, 64]}
