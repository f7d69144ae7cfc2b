import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.config import AugmentConfig
from pipeline_lib.datasets.video_clips.mixing import draw_mix
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.videomamba import resolve_shape
from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.videomamba.measuring import measure
from pipeline_lib.trainers.videomamba.starting import scratch_start
from pipeline_lib.trainers.videomamba.task import VideoMambaTask
from tests.trainers.videomamba.project import PLAIN, clips, config, settings, splits


def task(chosen=None, data=None, **options):
    chosen, data = chosen or config(), data or splits()
    made = settings(chosen)
    start = scratch_start(
        chosen, resolve_shape(chosen.model), data.classes, drop_path=made.drop_path, scan="torch"
    )
    options = {"dtype": torch.float32, **options}
    return VideoMambaTask(chosen, made, start.network, data, ALONE, **options)


def trained(made, epochs):
    rows = [made.train_epoch(epoch) for epoch in range(1, epochs + 1)]
    return rows, {name: tensor.clone() for name, tensor in made.tensors().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_motions_are_learned_and_told_from_their_reverse():
    made = task(config(epochs=16, batch_size=8), splits(train=32, val=8))
    before = made.validate()
    rows = [made.train_epoch(epoch) for epoch in range(1, 17)]
    after = made.validate()
    assert before["val_loss"] > 0.6
    assert rows[-1]["train_loss"] < 0.4
    assert after["val_accuracy"] == after["val_balanced_accuracy"] == 1
    assert after["val_loss"] < 0.2
    assert all(row["grad_norm"] > 0 for row in rows)


def test_values_are_learned():
    chosen = config(task="regression", epochs=12, batch_size=8, select="accuracy")
    made = task(chosen, splits(train=32, val=8, values=True))
    before = made.validate()
    for epoch in range(1, 13):
        made.train_epoch(epoch)
    after = made.validate()
    assert set(after) == {"val_loss", "val_mse", "val_mae"}
    assert before["val_mse"] > 0.9
    assert after["val_mse"] < 0.3


def test_the_gradient_is_that_of_the_mean_over_the_views():
    changes = {"drop_path": 0.0, "augment": PLAIN, "batch_size": 8}
    made = task(config(**changes), splits(train=6))
    network = made._network
    steps = made._batches.plan(1)
    (batch,) = made._batches.load(steps[0], 1)
    loss = F.cross_entropy(network.train()(batch.views), batch.labels)
    wanted = torch.autograd.grad(loss, network.head.weight)[0]
    row = made.train_epoch(1)
    assert row["train_loss"] == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(network.head.weight.grad, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("augment", [{"mixup": 0.8, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}])
def test_the_loss_is_that_of_mixed_views_and_smoothed_classes(augment):
    chosen = AugmentConfig(smoothing=0.2, repeats=2, **augment)
    made = task(config(drop_path=0.0, augment=chosen, batch_size=8), splits(train=6))
    (batch,) = made._batches.load(made._batches.plan(1)[0], 1)
    mix = draw_mix(made._settings.augment, 32, numpy_stream(0, "videomamba", "mix", 1, 0))
    views, other = batch.views.clone(), batch.views.flip(0)
    if mix.box is None:
        views = mix.own * views + (1 - mix.own) * other
    else:
        top, bottom, left, right = mix.box
        views[..., top:bottom, left:right] = other[..., top:bottom, left:right]
    classes = torch.full((12, 2), 0.1)
    classes[torch.arange(12), batch.labels] += 0.8
    classes = mix.own * classes + (1 - mix.own) * classes.flip(0)
    with torch.no_grad():
        wanted = -(classes * made._network.train()(views).log_softmax(1)).sum(1).mean()
    assert made.train_epoch(1)["train_loss"] == pytest.approx(wanted.item(), rel=1e-5)


def test_the_optimizer_is_the_one_that_was_asked_for():
    chosen = {"betas": (0.8, 0.9), "epsilon": 1e-4, "weight_decay": 0.3, "layer_decay": 0.5}
    for rule, scales in (("depth", {0.125, 0.25, 0.5, 1.0}), ("reference", {0.125, 1.0})):
        made = task(config(layer_decay_rule=rule, **chosen))
        groups = made._updates.optimizer.param_groups
        assert {group["lr_scale"] for group in groups} == scales
        assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
        assert {(group["betas"], group["eps"]) for group in groups} == {((0.8, 0.9), 1e-4)}


def test_each_batch_has_paths_of_its_own():
    made = task(config(drop_path=0.5, batch_size=24), splits(train=48))
    found = []
    for epoch in (1, 2):
        steps = made._batches.plan(epoch)
        for batch in made._batches.load([batch for step in steps for batch in step], epoch):
            made._loss(batch, epoch)
            found.append(tuple(made._network.drop_path.kept.tolist()))
    assert len(set(found)) == 4
    assert {len(kept) for kept in found} == {24}


def test_accumulated_batches_make_the_step_of_a_large_one():
    one = task(config(batch_size=6, drop_path=0.0), splits(train=12))
    two = task(config(batch_size=3, accumulate=2, drop_path=0.0), splits(train=12))
    (row, tensors), (other_row, others) = trained(one, 1), trained(two, 1)
    assert one.steps == two.steps == 2
    assert row[0]["train_loss"] == pytest.approx(other_row[0]["train_loss"], rel=1e-5)
    assert max(float((tensors[n] - others[n]).abs().max()) for n in tensors) < 1e-5


def test_rates_warm_up_and_fall_per_step_and_layer():
    made = task(config(epochs=3, warmup_epochs=1, batch_size=4, layer_decay=0.5))
    rates = []
    for step in range(9):
        rates.append(made._set_rates(step))
    limits = settings(config())
    assert (limits.lr, limits.min_lr) == pytest.approx((0.01, 1e-4))
    first = limits.warmup_lr
    warm = [first + (0.01 - first) * k / 3 for k in range(3)]
    falling = [1e-4 + 0.0099 * (1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    assert rates == pytest.approx(warm + falling)
    groups = made._updates.optimizer.param_groups
    assert groups[0]["lr"] == pytest.approx(rates[-1] * 0.5**3)
    assert groups[-1]["lr"] == rates[-1]


def test_a_state_goes_on_bit_for_bit():
    augment = AugmentConfig(repeats=2)  # everything that a preset draws
    chosen = config(augment=augment, head_dropout=0.2, drop_path=0.4)
    straight = task(chosen)
    trained(straight, 1)
    state = straight.state()
    kept = {
        "network": {name: tensor.clone() for name, tensor in state["network"].items()},
        "optimizer": {
            "state": {
                key: {name: value.clone() for name, value in moments.items()}
                for key, moments in state["optimizer"]["state"].items()
            },
            "param_groups": state["optimizer"]["param_groups"],
        },
        "scaler": state["scaler"],
    }
    rows = straight.train_epoch(2)
    torch.rand(7)
    resumed = task(chosen)
    resumed.load_state(kept)
    assert resumed.train_epoch(2) == rows
    assert same(straight.tensors(), resumed.tensors())


def test_threads_change_nothing():
    chosen = config(augment=AugmentConfig(repeats=2), batch_size=5)
    assert same(trained(task(chosen), 1)[1], trained(task(chosen, workers=2), 1)[1])


def test_checkpointing_changes_no_gradient():
    one, two = task(config(drop_path=0.3)), task(config(drop_path=0.3))
    two._network.set_grad_checkpointing()
    first, second = trained(one, 1)[1], trained(two, 1)[1]
    assert max(float((first[n] - second[n]).abs().max()) for n in first) < 1e-6


def test_half_precision_is_for_the_forward_pass_alone():
    full, half = task(), task(dtype=torch.bfloat16)
    (first,), weights = trained(full, 1)
    (second,), tensors = trained(half, 1)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert second["train_loss"] == pytest.approx(first["train_loss"], rel=0.05)
    assert second["train_loss"] != first["train_loss"]
    assert set(weights) == set(tensors)


def test_a_network_that_diverges_is_told():
    made = task()
    with torch.no_grad():
        made._network.head.weight.fill_(torch.inf)
    with pytest.raises(ConfigError, match=r"diverged(.|\n)*train\.videomamba\.lr"):
        made.validate()


def test_val_clips_that_are_not_there_measure_nothing():
    data = splits()
    made = task(data=type(data)(data.train, None))
    assert made.validate() == {
        "val_loss": None, "val_accuracy": None, "val_balanced_accuracy": None
    }  # fmt: skip


def test_windows_of_a_video_are_averaged_before_they_are_judged():
    val = clips("val", 6, windows=3)  # one video of each class
    # Two weak windows for the wrong class, and a strong one for the right one.
    weak, strong = [0.1, 0.0], [0.0, 5.0]
    outputs = torch.tensor([weak, weak, weak, weak, weak, strong])
    row = measure(outputs, val)
    assert row["val_accuracy"] == 1.0
    losses = [-math.log(math.exp(a) / (math.exp(a) + 1)) for a in (0.1, 0.1, 0.1, -0.1, -0.1, 5)]
    assert row["val_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    # Probabilities are averaged: two sure windows outvote one that is surer still.
    sure, surer = [2.0, 0.0], [0.0, 9.0]
    row = measure(torch.tensor([sure, sure, surer, weak, weak, strong]), val)
    assert row["val_accuracy"] == 1.0
    values = clips("val", 6, windows=3, values=True)
    row = measure(torch.tensor([[-3.0], [0.0], [0.0], [1.0], [1.0], [2.5]]), values)
    assert row["val_mse"] == pytest.approx((0 + 0.25) / 2)
    assert row["val_mae"] == pytest.approx(0.25)
