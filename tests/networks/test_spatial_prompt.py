import pytest
import torch

from pipeline_lib.networks.spatial_prompt import SpatialPrompt


def prompt(gate: float = 1.0, share: float = 0.25, seed: int = 0) -> SpatialPrompt:
    made = SpatialPrompt(16, 8, share)
    made.reset_parameters(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        made.gate.fill_(gate)
    return made


def tokens(videos: int, frames: int, grid: int) -> torch.Tensor:
    return torch.randn(
        videos, frames, 1 + grid**2, 16, generator=torch.Generator().manual_seed(frames)
    )


@pytest.mark.parametrize("grid", [1, 2, 4, 7, 14])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_closed_gate_changes_nothing_whatever_the_grid(grid, frames):
    x = tokens(2, frames, grid)
    assert torch.equal(prompt(0.0)(x), x)
    assert prompt()(x).isfinite().all()


@pytest.mark.parametrize(("share", "count"), [(0.25, 4), (0.01, 1), (0.5, 8), (1.0, 16)])
def test_a_share_of_each_frames_patches_changes_and_no_class_token(share, count):
    x = tokens(2, 3, 4)
    changed = (prompt(share=share)(x) != x).any(-1)
    assert not changed[:, :, 0].any()
    assert changed.sum(-1).unique().tolist() == [count]


@torch.no_grad()
def test_where_a_video_moves_and_what_the_class_token_is_like_is_salient():
    x = tokens(1, 1, 4).expand(1, 4, -1, -1).clone()
    x[0, 2, 1 + 5] = torch.randn(16)  # one patch of one frame
    moving = prompt(share=0.01)
    moving.saliency.copy_(torch.tensor([1.0, 0.0]))
    assert (moving(x) != x).any(-1)[0, 2].nonzero().flatten().tolist() == [6]
    x[0, 3, 1 + 5] = x[0, 2, 1 + 5]  # it stays: the change is seen before it and behind it
    assert (moving(x) != x).any(-1)[0, 1:3].nonzero().tolist() == [[0, 6], [1, 6]]
    x[0, :, 1 + 9] = x[0, :, 0]
    alike = prompt(share=0.01)
    alike.saliency.copy_(torch.tensor([0.0, 1.0]))
    assert (alike(x) != x).any(-1)[0, 2].nonzero().flatten().tolist() == [10]


def test_a_video_sees_its_own_frames_in_their_order_and_no_other_video():
    made, x = prompt(share=1.0), tokens(2, 4, 4)
    together = made(x)
    assert (made(x[1:]) - together[1:]).abs().max() < 1e-6
    later = x.clone()
    later[:, 1] += 1.0
    assert ((made(later) - together)[:, 0].abs() > 1e-4).any()  # the frame before sees it
    assert ((made(x.flip(1)).flip(1) - together).abs() > 1e-4).any()


@torch.no_grad()
def test_a_patch_reaches_its_neighbours_in_the_picture_and_in_time():
    made, x = prompt(share=1.0), tokens(1, 5, 4)
    other = x.clone()
    other[0, 2, 1 + 4 * 0 + 2] += 1.0  # first row, third column of the third frame
    moved = ((made(other) - other) - (made(x) - x))[0, :, 1:].abs().amax(-1) > 1e-5
    reached = torch.zeros(5, 4, 4, dtype=torch.bool)
    reached[1:4, :2, 1:] = True
    assert torch.equal(moved.unflatten(1, (4, 4)), reached)


def test_a_closed_gate_learns_and_an_open_one_lets_all_else_learn():
    x = tokens(2, 3, 4)
    closed = prompt(0.0)
    closed(x).square().sum().backward()
    assert closed.gate.grad.abs().min() > 0
    made = prompt(1e-3)
    made(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in made.parameters())
    assert made.mix.weight.grad.abs().sum((0, 1, 3, 4)).min() > 0  # before, now and after


def test_a_still_video_is_finite():
    x = tokens(1, 1, 4).expand(1, 6, -1, -1).clone().requires_grad_()
    made = prompt()
    made(x).sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in made.parameters())
    blank = torch.zeros(1, 3, 17, 16)
    assert made(blank).isfinite().all()


def test_the_branch_starts_about_as_large_as_the_tokens():
    x = torch.randn(2, 4, 50, 768)
    made = SpatialPrompt(768, 64, 1.0)
    made.reset_parameters(torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.gate.fill_(1.0)
        size = (made(x) - x)[:, :, 1:].std()
    assert 0.1 < size < 2
