import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.networks.temporal_prompt import (
    ClipPrompts,
    TemporalPrompts,
    seen_by_clips,
    seen_weights,
)


def prompts(between: int = 2, whole: int = 3) -> TemporalPrompts:
    made = TemporalPrompts(16, between, whole)
    made.reset_parameters(torch.Generator().manual_seed(0))
    return made


def clips(videos: int = 2, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(videos, count, 7, 16, generator=generator)
    return x, torch.randint(1, 5, (videos, count, 7, 1), generator=generator).float()


def test_shapes():
    made = prompts()(*clips(), 2)
    assert made.between.shape == (2, 3, 2, 16)
    assert made.weight.shape == (2, 3)
    assert made.whole.shape == (2, 3, 16)


@pytest.mark.parametrize(("between", "whole"), [(0, 3), (2, 0), (0, 0)])
def test_kinds_that_are_switched_off_are_not_there(between, whole):
    module = prompts(between, whole)
    made = module(*clips(), 2)
    assert (made.between is None, made.whole is None) == (between == 0, whole == 0)
    assert (seen_weights(made, 4) is None) == (between == 0)
    assert len(list(module.parameters())) == 6 * bool(between) + bool(whole)


def test_weights_are_the_change_between_neighbours_and_of_mean_one_in_each_video():
    x, size = clips()
    x[0, 1] = x[0, 0]
    size[0, 1] = size[0, 0]
    weight = prompts()(x, size, 2).weight
    assert torch.allclose(weight.mean(1), torch.ones(2))
    means = (x * size)[:, :, 2:].sum(2) / size[:, :, 2:].sum(2)
    change = 1 - F.cosine_similarity(means[:, 1:], means[:, :-1], dim=-1)
    expected = (change + 1e-3) / (change + 1e-3).mean(1, keepdim=True)
    assert torch.allclose(weight, expected, atol=1e-5)
    assert weight[0, 0] < 0.01
    assert not prompts()(x.clone().requires_grad_(), size, 2).weight.requires_grad
    alone = prompts()(x[1:], size[1:], 2).weight
    assert torch.allclose(alone, weight[1:], atol=1e-6)


def test_in_a_still_video_all_weigh_the_same():
    x = torch.randn(1, 1, 7, 16).expand(1, 5, 7, 16)
    assert torch.allclose(prompts()(x, None, 1).weight, torch.ones(1, 4), atol=1e-3)
    assert torch.allclose(prompts()(torch.zeros(1, 5, 7, 16), None, 1).weight, torch.ones(1, 4))


def test_prompts_start_near_what_they_stand_for():
    x, size = clips()
    module = prompts()
    with torch.no_grad():
        module.between.widen.weight.zero_()
        module.whole.zero_()
    made = module(x, size, 2)
    means = (x * size)[:, :, 2:].sum(2) / size[:, :, 2:].sum(2)
    middle = (means[:, :-1] + means[:, 1:]) / 2
    assert torch.allclose(made.between, middle.unsqueeze(2).expand(-1, -1, 2, -1), atol=1e-6)
    assert torch.allclose(made.whole, x[:, :, :2].mean((1, 2)).unsqueeze(1).expand(-1, 3, -1))


def test_each_clip_sees_its_neighbours_and_the_whole():
    # Heads of size 1: prompt p between clips t and t + 1 is 10 t + p, those of the whole 100 …
    between = torch.tensor([[0.0, 1.0], [10.0, 11.0]]).view(1, 2, 2, 1, 1)
    whole = torch.tensor([100.0]).view(1, 1, 1, 1, 1).expand(1, 3, 1, 1, 1)
    seen = seen_by_clips(between, whole)
    assert seen.shape == (1, 3, 1, 5, 1)
    assert seen.flatten().view(3, 5).tolist() == [
        [0.0, 0.0, 0.0, 1.0, 100.0],
        [0.0, 1.0, 10.0, 11.0, 100.0],
        [10.0, 11.0, 0.0, 0.0, 100.0],
    ]
    made = ClipPrompts(
        between=torch.zeros(1, 2, 2, 8),
        weight=torch.tensor([[0.5, 1.5]]),
        whole=torch.zeros(1, 1, 8),
    )
    weights = seen_weights(made, 3).exp().view(3, 5)
    assert torch.allclose(
        weights,
        torch.tensor(
            [[0.0, 0.0, 0.5, 0.5, 1.0], [0.5, 0.5, 1.5, 1.5, 1.0], [1.5, 1.5, 0.0, 0.0, 1.0]]
        ),
    )
