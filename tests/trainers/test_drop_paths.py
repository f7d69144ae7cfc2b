import numpy as np
import torch

from pipeline_lib.networks.videomamba_block import DropPath
from pipeline_lib.trainers.drop_paths import DropPaths

CPU = torch.device("cpu")


def network():
    return torch.nn.Sequential(DropPath(0.0), DropPath(0.5), DropPath(0.25)).train()


def drawn(rows, *, seed=0, epoch=1, batch=0, samples=400):
    made = network()
    DropPaths(made, seed, "videomamba", CPU).draw(epoch, batch, samples, rows)
    return torch.stack([layer.kept for layer in made])


def test_each_layer_drops_its_share():
    kept = drawn(np.arange(400))
    assert bool(kept[0].all())
    assert 160 < int(kept[1].sum()) < 240
    assert 270 < int(kept[2].sum()) < 330


def test_rows_of_a_batch_have_the_paths_they_have_in_all_of_it():
    whole, some = drawn(np.arange(400)), np.array([3, 77, 399])
    assert torch.equal(drawn(some), whole[:, some])


def test_draws_depend_on_seed_epoch_and_batch():
    rows = np.arange(400)
    for other in ({"seed": 1}, {"epoch": 2}, {"batch": 1}):
        assert not torch.equal(drawn(rows), drawn(rows, **other))
    assert torch.equal(drawn(rows), drawn(rows))


def test_what_is_kept_is_scaled_up_and_a_network_in_use_drops_nothing():
    made = network()
    DropPaths(made, 0, "videomamba", CPU).draw(1, 0, 6, np.arange(6))
    x = torch.ones(2, 6, 1)
    assert torch.equal(made[1](x)[0, :, 0], made[1].kept.float() * 2)
    assert torch.equal(made.eval()[1](x), x)
