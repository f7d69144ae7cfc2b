import pytest
import torch

from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.trainers.updating import Updates, backward_shared


def updates(parameter, **options):
    groups = [{"params": [parameter], "lr": 0.1, "weight_decay": 0.0}]
    return Updates([parameter], groups, ALONE, **{"clip_grad_norm": None, **options})


def test_a_step_is_seen_by_whoever_keeps_something_made_of_a_tensor():
    parameter = torch.nn.Parameter(torch.ones(3))
    made, version = updates(parameter), parameter._version
    made.start()
    (parameter.sum() * 2).backward()
    made.finish_gradient(4)
    assert parameter.grad.tolist() == [0.5] * 3
    assert made.step() == pytest.approx(0.5 * 3**0.5)
    assert parameter._version > version
    assert parameter.tolist() == pytest.approx([0.9] * 3)


def test_a_parameter_that_the_loss_does_not_reach_has_a_gradient_of_zero():
    parameter = torch.nn.Parameter(torch.ones(3))
    made = updates(parameter, clip_grad_norm=1.0)
    made.start()
    made.finish_gradient(1)
    assert made.step() == 0
    assert parameter.tolist() == [1.0] * 3


def test_the_gradient_goes_through_the_leaves_into_the_networks_behind_them():
    weight, scale = (torch.nn.Parameter(torch.tensor(v)) for v in (3.0, 2.0))
    own, constant = weight * torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0])
    leaves = [rows.detach().requires_grad_() for rows in (own, constant)]
    loss = scale * (leaves[0] * leaves[1]).sum()
    backward_shared(loss, leaves, [own, constant], ALONE)
    assert (float(weight.grad), float(scale.grad)) == (6.0, 9.0)


def test_moments_and_epsilon_are_those_that_are_asked_for():
    def options(**changes):
        return updates(torch.nn.Parameter(torch.ones(1)), **changes).optimizer.param_groups[0]

    assert (options()["betas"], options()["eps"]) == ((0.9, 0.98), 1e-6)
    other = options(betas=(0.9, 0.999), epsilon=1e-8)
    assert (other["betas"], other["eps"]) == ((0.9, 0.999), 1e-8)
