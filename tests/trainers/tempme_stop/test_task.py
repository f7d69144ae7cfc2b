import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.retrieval_model import load_retrieval_model
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.trainers.tempme_stop.parts import Adapters
from pipeline_lib.trainers.tempme_stop.splits import open_splits
from pipeline_lib.trainers.tempme_stop.task import TempMeStopTask
from tests.trainers.tempme_stop.project import COLOURS, config, places, vit

# So small a rate leaves the weights where they are: what is left to see is the gradient.
STILL = {"tempme_lr": 1e-12, "stop_lr": 1e-12, "weight_decay": 0.0, "clip_grad_norm": None}


def task(root, settings, phase="joint", dtype=torch.float32):
    """A task on the videos of ``root``; returns its model and splits as well."""
    model = load_retrieval_model(vit(root), settings, Placement(batch_size=64), seed=1)
    if settings.grad_checkpointing:
        model.network.set_grad_checkpointing()
    splits = open_splits(
        settings,
        root / "data",
        frames=model.frames,
        resize=model.preprocess.resize,
        cache=places(root).frames,
    )
    return TempMeStopTask(settings, phase, model, splits, ALONE, dtype=dtype), model, splits


def opened(model):
    """A network whose gates are open, so that all of it has a gradient."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in Adapters(model.network).of("stop"):
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


def gradient(model):
    return torch.cat([p.grad.flatten() for p in model.network.parameters() if p.grad is not None])


def test_a_step_is_along_the_mean_loss_of_its_batches(root):
    settings = config(**STILL, batch_size=4, accumulate=3)
    made, model, splits = task(root, settings)
    opened(model)
    row = made.train_epoch(1)
    found = gradient(model)
    assert (made.steps, len(splits.train.texts)) == (1, 12)
    # The same by one graph over all three batches, without the detour over leaves.
    model.network.zero_grad()
    losses = []
    for batch in made._train_pairs.batches(made._ordered(1), 4):
        texts = model.network.encode_text(
            model.tokenizer([splits.train.texts[i] for i in batch.texts])
        )
        frames = np.stack([splits.train.read(video) for video in batch.videos])
        videos = model.network.forward_video(model.pixels(frames)).video[batch.row_of_text]
        logits = model.network.logit_scale * texts @ videos.T
        logits = logits.masked_fill(batch.match & ~torch.eye(4, dtype=torch.bool), -math.inf)
        both = [torch.nn.functional.cross_entropy(m, torch.arange(4)) for m in (logits, logits.T)]
        losses.append(torch.stack(both).mean())
    mean = torch.stack(losses).mean()
    mean.backward()
    assert row["train_loss"] == pytest.approx(float(mean.detach()), rel=1e-5)
    torch.testing.assert_close(found, gradient(model), rtol=1e-3, atol=1e-6)
    both = row["tempme_grad_norm"] ** 2 + row["stop_grad_norm"] ** 2
    assert both == pytest.approx(float(found.norm()) ** 2, rel=1e-4)


def test_the_last_smaller_step_counts(root):
    made, _, _ = task(root, config(batch_size=4, accumulate=2))
    taken = []
    step = made._updates.optimizer.step
    made._updates.optimizer.step = lambda *args: (taken.append(made.tensors()), step(*args))
    made.train_epoch(1)
    assert (made.steps, len(taken)) == (2, 2)
    before, after = taken[1], made.tensors()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_both_parts_have_rates_of_their_own(root):
    settings = config(batch_size=6, epochs=2, warmup_ratio=0.5, tempme_lr=0.4, stop_lr=0.2)
    made, _, _ = task(root, settings)
    used = []
    step = made._updates.optimizer.step

    def noted(*args):
        used.append({group["part"]: group["lr"] for group in made._updates.optimizer.param_groups})
        return step(*args)

    made._updates.optimizer.step = noted
    rows = [made.train_epoch(epoch) for epoch in (1, 2)]
    expected = [0.4 / 3, 0.8 / 3, 0.4, 0.2 * (1 + math.cos(math.pi / 2))]
    assert [rates["tempme"] for rates in used] == pytest.approx(expected)
    assert [rates["stop"] for rates in used] == pytest.approx([rate / 2 for rate in expected])
    assert [row["tempme_lr"] for row in rows] == pytest.approx(expected[1::2])


def test_gates_norms_and_biases_do_not_decay(root):
    settings = config(**{**STILL, "weight_decay": 0.5}, sim_header="seqTransf")
    _, model, _ = task(root, settings)
    groups = Adapters(model.network).groups("joint", settings)
    named = {id(p): name for name, p in model.network.named_parameters()}
    spared = {named[id(p)] for g in groups if not g["weight_decay"] for p in g["params"]}
    decayed = {named[id(p)] for g in groups if g["weight_decay"] for p in g["params"]}
    assert len(spared) + len(decayed) == sum(p.requires_grad for p in model.network.parameters())
    assert {n for n in spared | decayed if n.endswith("bias") or "gate" in n} <= spared
    assert any("TVPt_LoRA_a" in name for name in decayed)
    assert {g["part"] for g in groups} == {"tempme", "stop"}


@pytest.mark.parametrize(
    ("phase", "still"), [("tempme_only", "stop"), ("stop_only", "tempme"), ("joint", "")]
)
def test_a_phase_changes_its_part_alone(root, phase, still):
    made, model, _ = task(root, config(), phase)
    adapters = Adapters(model.network)
    opened(model)
    before, frozen = made.tensors(), adapters.frozen_sha256(phase)
    for epoch in (1, 2, 3):
        made.train_epoch(epoch)
    assert adapters.frozen_sha256(phase) == frozen
    changed = {n for n, tensor in made.tensors().items() if not torch.equal(tensor, before[n])}
    others = {"tempme": model.network.tempme_parameters(), "stop": model.network.stop_parameters()}
    assert changed == set(before) - set(others.get(still, ()))


@pytest.mark.parametrize("phase", ["tempme_only", "stop_only", "joint"])
def test_a_saved_state_goes_on_bit_for_bit(root, phase):
    settings = config(frame_draws=2, batch_size=5)
    straight, _, _ = task(root, settings, phase)
    straight.train_epoch(1)
    file = io.BytesIO()
    torch.save(straight.state(), file)
    row = straight.train_epoch(2)
    fresh, _, _ = task(root, settings, phase)
    file.seek(0)
    fresh.load_state(torch.load(file, weights_only=True))
    assert fresh.train_epoch(2) == row
    assert fresh.validate() == straight.validate()
    for name, tensor in straight.tensors().items():
        assert torch.equal(tensor, fresh.tensors()[name]), name


def test_training_draws_one_of_each_parts_frames(root):
    made, model, splits = task(root, config(frame_draws=3))
    kept = splits.train.read(0)
    assert len(kept) == 3 * model.frames
    drawn = [made._encoder._frames(0, epoch) for epoch in range(1, 9)]
    assert all(np.array_equal(made._encoder._frames(0, e + 1), d) for e, d in enumerate(drawn))
    for number in range(model.frames):
        part = {frame.tobytes() for frame in kept[3 * number : 3 * number + 3]}
        assert {frames[number].tobytes() for frames in drawn} <= part
    assert len({frames.tobytes() for frames in drawn}) > 1
    assert len(splits.val.read(0)) == model.frames


def test_validation_sees_what_training_has_learned(root):
    made, _, _ = task(root, config(tempme_lr=0.05))
    before = made.validate()
    assert made.validate() == before
    made.train_epoch(1)
    assert made.validate()["val_loss"] != before["val_loss"]


def test_re_ranking_adds_its_own_loss(root):
    plain, _, _ = task(root, config(**STILL))
    both, model, _ = task(root, config(**STILL, sim_header="tightTransf"))
    opened(model)
    assert both.train_epoch(1)["train_loss"] > 1.2 * plain.train_epoch(1)["train_loss"]
    assert all(float(p.grad.abs().sum()) > 0 for p in model.network.header.parameters())


def test_precision_and_checkpointing_reach_the_network(root):
    row = task(root, config(**STILL))[0].train_epoch(1)
    again = task(root, config(**STILL, grad_checkpointing=True))[0].train_epoch(1)
    assert again == pytest.approx(row, rel=1e-4)
    half = task(root, config(**STILL), dtype=torch.bfloat16)[0].train_epoch(1)
    assert half["train_loss"] != row["train_loss"]
    assert half["train_loss"] == pytest.approx(row["train_loss"], rel=0.1)
    # Scaled gradients are the same gradients.
    made, _, _ = task(root, config(**STILL), dtype=torch.float16)
    made._dtype = made._encoder._dtype = torch.float32
    assert made.train_epoch(1) == pytest.approx(row, rel=1e-4)


def test_batches_without_two_videos_are_told(root):
    made, _, _ = task(root, config(batch_size=1))
    with pytest.raises(ConfigError, match=r"two videos(.|\n)*batch_size"):
        made.train_epoch(1)


def test_vectors_that_are_no_numbers_are_told(root):
    made, model, _ = task(root, config())
    with torch.no_grad():
        Adapters(model.network).of("tempme")[1].fill_(torch.nan)
    with pytest.raises(ConfigError, match=r"diverged(.|\n)*tempme_lr"):
        made.validate()


def test_measures_by_hand(root):
    made, model, splits = task(root, config())
    row = made.validate()
    frames = np.stack([splits.val.read(video) for video in range(len(COLOURS))])
    videos = model.encode_videos(frames).video
    texts = model.encode_texts(splits.val.texts)
    scores = (texts @ videos.T).numpy()
    own = scores[np.arange(12), splits.val.text.video_of_text][:, None]
    ranks = 1 + (scores > own).sum(axis=1)
    assert row["val_t2v_r1"] == pytest.approx(100 * np.mean(ranks <= 1))
    assert row["val_t2v_r5"] == pytest.approx(100 * np.mean(ranks <= 5))
    made._splits = replace(splits, val=None)
    assert set(made.validate()) == set(row)
    assert not any(made.validate().values())
