import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.errors import WeightsError
from pipeline_lib.networks.videomamba import VideoMambaShape
from pipeline_lib.networks.videomamba_positions import grid_side, inflate, interpolate_positions


def shape(frames=8, image_size=224, embed_dim=6):
    return VideoMambaShape(
        embed_dim=embed_dim, depth=1, patch_size=16, tubelet=1, frames=frames,
        image_size=image_size,
    )  # fmt: skip


def positions(grid=14, frames=8):
    torch.manual_seed(0)
    return {
        "pos_embed": torch.randn(1, 1 + grid * grid, 6),
        "temporal_pos_embedding": torch.randn(1, frames, 6),
        "head.bias": torch.zeros(3),
    }


def test_a_larger_grid_is_bicubic_behind_the_class_token():
    old = positions()
    new = interpolate_positions(old, shape(image_size=384))
    picture = old["pos_embed"][:, 1:].reshape(1, 14, 14, 6).permute(0, 3, 1, 2)
    wanted = F.interpolate(picture, size=(24, 24), mode="bicubic", align_corners=False)
    wanted = wanted.permute(0, 2, 3, 1).reshape(1, 576, 6)
    assert torch.equal(new["pos_embed"][:, 1:], wanted)
    assert torch.equal(new["pos_embed"][:, :1], old["pos_embed"][:, :1])
    assert new["temporal_pos_embedding"] is old["temporal_pos_embedding"]


@pytest.mark.parametrize(("before", "after"), [(8, 64), (32, 64), (16, 8)])
def test_other_numbers_of_frames_are_linear(before, after):
    old = positions(frames=before)
    new = interpolate_positions(old, shape(frames=after))["temporal_pos_embedding"]
    wanted = F.interpolate(old["temporal_pos_embedding"].permute(0, 2, 1), size=after,
                           mode="linear", align_corners=False).permute(0, 2, 1)  # fmt: skip
    assert torch.equal(new, wanted)
    assert new.is_contiguous()


def test_equal_sizes_are_left_untouched():
    old = positions()
    new = interpolate_positions(old, shape())
    assert all(new[name] is tensor for name, tensor in old.items())


@pytest.mark.parametrize("size", [(1, 196, 6), (1, 1, 6), (197, 6)])
def test_what_is_no_square_grid_is_refused(size):
    with pytest.raises(WeightsError, match="not a class token and a square grid"):
        grid_side(torch.zeros(size))


def test_another_width_is_refused():
    with pytest.raises(WeightsError, match=r"pos_embed .*needs \[1, positions, 8\]"):
        interpolate_positions(positions(), shape(embed_dim=8))


def test_patches_of_pictures_are_inflated():
    weight = torch.arange(12.0).reshape(2, 3, 1, 2)
    center = inflate(weight, 3)
    assert torch.equal(center[:, :, 1], weight)
    assert center.sum() == weight.sum()
    spread = inflate(weight, 4, "repeat")
    assert spread.shape == (2, 3, 4, 1, 2)
    assert torch.equal(spread.sum(dim=2), weight)
    assert torch.equal(spread[:, :, 0], spread[:, :, 3])
