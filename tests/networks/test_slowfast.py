import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.slowfast import (
    SlowFast,
    fast_indices,
    fold_batch_norm,
    slow_indices,
)


@pytest.fixture(scope="module")
def network():
    """With normalisations that do something, as training leaves them."""
    torch.manual_seed(0)
    made = SlowFast().eval().requires_grad_(False)
    for name, tensor in made.state_dict().items():
        if "norm" in name and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
    return made


def clip(*size):
    return torch.rand(1, 3, 32, *size, generator=torch.Generator().manual_seed(1)) - 0.5


def features(network, pixels):
    with torch.inference_mode():
        return network(pixels).float()


def relative(made, expected):
    return ((made - expected).abs().max() / expected.abs().max()).item()


def test_it_has_the_published_number_of_tensors_and_parameters(network):
    assert len(network.state_dict()) == 662
    assert sum(parameter.numel() for parameter in network.parameters()) == 34_566_488


def test_the_slow_pathway_gets_spread_frames_not_every_fourth():
    assert slow_indices().tolist() == [0, 4, 8, 13, 17, 22, 26, 31]


def test_frames_of_a_clip_of_fifty():
    indices = fast_indices(50)
    assert indices.dtype == np.int64
    assert indices.tolist() == [
        0, 1, 3, 4, 6, 7, 9, 11, 12, 14, 15, 17, 18, 20, 22, 23,
        25, 26, 28, 30, 31, 33, 34, 36, 37, 39, 41, 42, 44, 45, 47, 49,
    ]  # fmt: skip


def test_frames_of_clips_of_other_lengths():
    assert fast_indices(32).tolist() == list(range(32))
    assert fast_indices(63).tolist() == list(range(0, 63, 2))
    assert fast_indices(1).tolist() == [0] * 32
    assert fast_indices(2).tolist() == [0] * 31 + [1]
    assert fast_indices(5).tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 7 + [4]
    with pytest.raises(ValueError, match="without frames"):
        fast_indices(0)


def test_folding_keeps_the_features(network):
    pixels = clip(193, 193)
    expected = features(network, pixels)
    folded = SlowFast().eval().requires_grad_(False)
    folded.load_state_dict(network.state_dict())
    fold_batch_norm(folded)
    assert not any(isinstance(part, torch.nn.BatchNorm3d) for part in folded.modules())
    assert relative(features(folded, pixels), expected) <= 1e-5

    half = folded.to(torch.bfloat16, memory_format=torch.channels_last_3d)
    cosine = F.cosine_similarity(features(half, pixels.bfloat16()), expected)
    assert cosine.item() >= 0.9999


def test_the_head_averages_windows_not_cells(network, monkeypatch):
    """A wide frame's features are those of pooling with kernels (8, 7, 7) and (32, 7, 7)."""
    last = {}
    path = network.blocks[4].multipathway_blocks
    hooks = [
        path[i].register_forward_hook(lambda module, args, out, i=i: last.update({i: out}))
        for i in (0, 1)
    ]
    made = features(network, clip(200, 260))
    for hook in hooks:
        hook.remove()
    assert last[0].shape == (1, 2048, 8, 7, 9)
    assert last[1].shape == (1, 256, 32, 7, 9)
    slow = F.avg_pool3d(last[0], (8, 7, 7), stride=1).mean((2, 3, 4))
    fast = F.avg_pool3d(last[1], (32, 7, 7), stride=1).mean((2, 3, 4))
    assert relative(made, torch.cat([slow, fast], dim=1)) <= 1e-5
    plain = torch.cat([last[0].mean((2, 3, 4)), last[1].mean((2, 3, 4))], dim=1)
    assert relative(made, plain) > 1e-3


@pytest.mark.parametrize("frames", [8, 31, 64])
def test_another_number_of_frames_is_refused(network, frames):
    with pytest.raises(ConfigError, match=f"32 frames, not {frames}"):
        network(torch.zeros(1, 3, frames, 256, 256))


@pytest.mark.parametrize(("height", "width"), [(192, 256), (256, 192)])
def test_frames_too_small_for_the_head_are_refused(network, height, width):
    with pytest.raises(ConfigError, match=f"at least 193x193 pixels, not {width}x{height}"):
        network(torch.zeros(1, 3, 32, height, width))
