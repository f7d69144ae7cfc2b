import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip_teacher import load_teacher
from pipeline_lib.datasets.video_clips import augment
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.masked_videomamba import MaskedVideoMamba, visible_tokens
from pipeline_lib.networks.videomamba_shape import resolve_shape
from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.videomamba.splits import Splits, open_splits
from pipeline_lib.trainers.videomamba_pretrain.comparing import Comparison
from pipeline_lib.trainers.videomamba_pretrain.task import PretrainTask
from tests.trainers.videomamba_pretrain.project import config, places

# So small a rate leaves the weights where they are: what is left to see is the gradient.
STILL = {"lr": 1e-12, "min_lr": 0.0, "weight_decay": 0.0}


def task(root, teacher, settings, dtype=torch.float32):
    """A task on the videos of ``root``; returns its comparison and splits as well."""
    pretraining, shape = settings.pretrain, resolve_shape(settings.model)
    layers = (pretraining.aligned_layers, pretraining.layer_interval)
    clip = load_teacher(teacher, Placement(), shape, *layers)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = MaskedVideoMamba(
            shape,
            clip.dim,
            aligned_layers=layers[0],
            layer_interval=layers[1],
            alignment=pretraining.alignment,
            drop_path=pretraining.drop_path,
        )
    if pretraining.grad_checkpointing:
        student.set_grad_checkpointing()
    comparison = Comparison(student, clip, pretraining, dtype)
    splits = open_splits(
        replace(settings.dataset, sampling="sparse"),
        root / "data",
        settings.task,
        frames=settings.model.frames,
        folder=places(root).frames,
    )
    made = PretrainTask(
        pretraining, comparison, splits, ALONE, workers=1, fp16=dtype == torch.float16
    )
    return made, comparison, splits


def gradient(student):
    return torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None])


def test_a_step_is_along_the_mean_loss_of_its_clips(root, teacher):
    # Five clips: batches of two, two and one.
    made, comparison, splits = task(root, teacher, config(**STILL, batch_size=2, accumulate=3))
    row = made.train_epoch(1)
    found = gradient(comparison.student)
    assert (made.steps, len(splits.train.items)) == (1, 5)
    comparison.student.zero_grad()
    (step,) = made._batches.plan(1)
    order = np.concatenate([batch.clips for batch in step])
    views = torch.stack([made._batches._make(1, row) for row in order.tolist()])
    targets = comparison.teacher.targets(views)
    streams = [numpy_stream(0, "videomamba_pretrain", "mask", 1, row) for row in order.tolist()]
    mask = comparison.masks(targets, streams)
    student = comparison.student(views, mask)
    mean = (2 - 2 * (student * visible_tokens(targets.tokens, mask)).sum(-1)).mean()
    mean.backward()
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert row["train_loss"] == pytest.approx(float(mean.detach()), rel=1e-5)
    torch.testing.assert_close(found, gradient(comparison.student), rtol=1e-3, atol=1e-6)
    assert row["grad_norm"] == pytest.approx(float(found.norm()), rel=1e-4)


def test_the_last_smaller_step_counts(root, teacher):
    made, _, _ = task(root, teacher, config(batch_size=2, accumulate=2))
    taken = []
    step = made._updates.optimizer.step
    made._updates.optimizer.step = lambda *args: (taken.append(1), step(*args))
    made.train_epoch(1)
    assert (made.steps, len(taken)) == (2, 2)


def test_rates_rise_from_nothing_and_fall_to_the_least(root, teacher):
    settings = config(batch_size=2, accumulate=2, epochs=3, warmup_epochs=1, lr=0.64, min_lr=0.064)
    made, _, _ = task(root, teacher, settings)
    used = []
    step = made._updates.optimizer.step

    def noted(*args):
        used.append({group["lr"] for group in made._updates.optimizer.param_groups})
        return step(*args)

    made._updates.optimizer.step = noted
    rows = [made.train_epoch(epoch) for epoch in (1, 2, 3)]
    # Two steps an epoch; the rate is for 256 clips, and a step has 4.
    low, high = 0.001, 0.01
    cosine = [low + (high - low) * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    assert [len(rates) for rates in used] == [1] * 6
    assert [rates.pop() for rates in used] == pytest.approx([0.0, high / 2, *cosine])
    assert [row["lr"] for row in rows] == pytest.approx([high / 2, cosine[1], cosine[3]])


def test_measures_by_hand(root, teacher):
    made, comparison, splits = task(root, teacher, config(batch_size=2))
    row = made.validate()
    size, store = comparison.student.shape.image_size, splits.val.store
    clips = [augment.test_crop(store.read(k, store.test_indices(k)), size, 0, 1) for k in range(3)]
    order = numpy_stream("videomamba_pretrain", "val", "order").permutation(3).tolist()
    losses, others = [], []
    for place, number in enumerate(order):
        own = comparison.teacher.targets(clips[number][None])
        other = comparison.teacher.targets(clips[order[(place + 1) % 3]][None])
        stream = numpy_stream("videomamba_pretrain", "val", "mask", splits.val.items[number].id)
        mask = comparison.masks(own, [stream])
        with torch.no_grad():
            student = comparison.student(clips[number][None], mask)
        for found, targets in ((losses, own), (others, other)):
            cosines = (student * visible_tokens(targets.tokens, mask)).sum(-1)
            found.append(2 - 2 * float(cosines.mean()))
    assert row["val_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert row["val_shuffled_loss"] == pytest.approx(np.mean(others), rel=1e-5)


def test_validation_stays_the_same_until_something_is_learned(root, teacher):
    made, _, _ = task(root, teacher, config(drop_path=0.5))
    before = made.validate()
    assert made.validate() == before
    made.train_epoch(1)
    assert made.validate()["val_loss"] != before["val_loss"]


def test_without_validation_nothing_is_defined(root, teacher):
    made, _, splits = task(root, teacher, config())
    made._splits = Splits(splits.train, None)
    assert made.validate() == {"val_loss": None, "val_shuffled_loss": None}


def test_a_single_clip_has_no_other(root, teacher):
    for path in sorted((root / "data" / "videos" / "val").rglob("*.mp4"))[1:]:
        path.unlink()
    made, _, _ = task(root, teacher, config())
    row = made.validate()
    assert row["val_shuffled_loss"] is None
    assert row["val_loss"] > 0


def test_training_comes_closer_to_the_teacher_than_to_other_clips(root, teacher):
    made, _, _ = task(root, teacher, config(epochs=12, batch_size=2, lr=1.0, mask_ratio=0.5))
    before = made.validate()
    rows = [made.train_epoch(epoch) for epoch in range(1, 13)]
    after = made.validate()
    assert rows[-1]["train_loss"] < 0.7 * rows[0]["train_loss"]
    assert after["val_loss"] < before["val_loss"]
    assert after["val_loss"] < after["val_shuffled_loss"]


def test_a_saved_state_goes_on_bit_for_bit(root, teacher):
    settings = config(batch_size=2, drop_path=0.4, aligned_layers=2)
    straight, _, _ = task(root, teacher, settings)
    straight.train_epoch(1)
    file = io.BytesIO()
    torch.save(straight.state(), file)
    row = straight.train_epoch(2)
    fresh, _, _ = task(root, teacher, settings)
    file.seek(0)
    fresh.load_state(torch.load(file, weights_only=True))
    assert fresh.train_epoch(2) == row
    assert fresh.validate() == straight.validate()
    for name, tensor in straight.tensors().items():
        assert torch.equal(tensor, fresh.tensors()[name]), name


@pytest.mark.parametrize(
    ("mask", "loss"),
    [("tube", "l2"), ("random", "mse"), ("tube_row", "smooth_l1"), ("random_row", "l2")],
)
def test_every_mask_and_loss(root, teacher, mask, loss):
    made, _, _ = task(root, teacher, config(mask=mask, loss=loss))
    assert math.isfinite(made.train_epoch(1)["train_loss"])


def test_as_published_the_last_block_keeps_its_weights(root, teacher):
    made, _, _ = task(root, teacher, config(alignment="reference", weight_decay=0.5))
    before = {name: tensor.clone() for name, tensor in made.tensors().items()}
    made.train_epoch(1)
    still = {name for name, tensor in made.tensors().items() if torch.equal(tensor, before[name])}
    assert still == {n for n in before if n.startswith("layers.1.")} | {"norm.weight"}


def test_vectors_positions_and_rates_of_the_recurrence_do_not_decay(root, teacher):
    made, comparison, _ = task(root, teacher, config(weight_decay=0.5))
    named = {id(p): name for name, p in comparison.student.named_parameters()}
    decayed = {
        named[id(p)]
        for group in made._updates.optimizer.param_groups
        if group["weight_decay"]
        for p in group["params"]
    }
    assert {"patch_embed.proj.weight", "clip_decoder.0.head.weight"} <= decayed
    spared = ("bias", "norm.weight", "pos_embed", "cls_token", "temporal_pos_embedding", "log")
    assert not any(name.endswith(spared) for name in decayed)


def test_the_optimizer_and_the_dropped_paths_are_those_asked_for(root, teacher):
    made, _, _ = task(root, teacher, config(betas=(0.8, 0.85), weight_decay=0.3))
    groups = made._updates.optimizer.param_groups
    assert {(group["betas"], group["lr_scale"]) for group in groups} == {((0.8, 0.85), 1.0)}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
    losses = {
        rate: task(root, teacher, config(**STILL, drop_path=rate))[0].train_epoch(1)["train_loss"]
        for rate in (0.0, 0.6)
    }
    assert losses[0.0] != pytest.approx(losses[0.6], rel=1e-4)


def test_the_loss_reaches_every_layer_that_is_compared(root, teacher):
    losses = []
    for loss in ("l2", "mse"):
        made, comparison, _ = task(root, teacher, config(**STILL, loss=loss, aligned_layers=2))
        losses.append(made.train_epoch(1)["train_loss"])
    # Of unit vectors of D numbers, the squared distance is D times their mean one.
    assert losses[0] == pytest.approx(comparison.teacher.dim * losses[1], rel=1e-4)


def test_precision_and_checkpointing_reach_the_network(root, teacher):
    row = task(root, teacher, config(**STILL))[0].train_epoch(1)
    again = task(root, teacher, config(**STILL, grad_checkpointing=True))[0].train_epoch(1)
    assert again == pytest.approx(row, rel=1e-4)
    half = task(root, teacher, config(**STILL), torch.bfloat16)[0].train_epoch(1)
    assert half["train_loss"] != row["train_loss"]
    assert half["train_loss"] == pytest.approx(row["train_loss"], rel=0.05)


def test_tokens_that_are_no_numbers_are_told(root, teacher):
    made, comparison, _ = task(root, teacher, config())
    with torch.no_grad():
        comparison.student.norm.weight.fill_(torch.nan)
    with pytest.raises(ConfigError, match=r"diverged(.|\n)*train.videomamba.pretrain.lr"):
        made.validate()
