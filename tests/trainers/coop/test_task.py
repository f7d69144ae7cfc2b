from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.text_towers import text_tower
from pipeline_lib.trainers.coop.data import CoopData
from pipeline_lib.trainers.coop.feature_rows import FeatureRows
from pipeline_lib.trainers.coop.presets import recipe
from pipeline_lib.trainers.coop.samples import Samples
from pipeline_lib.trainers.coop.task import CoopTask
from tests.support.text_models import small_model, tokenizer
from tests.trainers.project import config, tower

CPU = torch.device("cpu")
NAMES = ("fall", "normal", "run")
N = 100


def split(n, seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 32)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    videos = np.arange(n) // 10
    of_video = rng.integers(0, 3, n // 10 + 1)
    return Samples(FeatureRows(features, CPU), of_video[videos], videos, of_video)


def data(n=N):
    return CoopData(
        class_names=NAMES,
        prompt_names=NAMES,
        normal_class="normal",
        train=split(n, 0),
        val=split(30, 1),
        source={"directory": "clip"},
        device=CPU,
    )


def task(text=None, n=N, seed=1, **changes):
    settings = config(**changes)
    return CoopTask(settings, recipe(settings, n), text or tower(), data(n), seed)


@pytest.mark.parametrize("batch", [7, 32, 64, 4096])
def test_the_gradient_of_pieces_is_the_plain_gradient(batch):
    made = task(batch_size=batch, accumulate=N, csc=True)
    made.accumulate_gradient(torch.arange(N))
    gathered = made.learner.ctx.grad.clone()

    made.learner.zero_grad()
    train = data().train
    weight = F.normalize(made.learner(), dim=-1)
    logits = tower().logit_scale * torch.from_numpy(train.rows.matrix) @ weight.T
    F.cross_entropy(logits, torch.from_numpy(train.labels)).backward()
    plain = made.learner.ctx.grad
    assert plain.abs().max() > 1e-3
    assert (gathered - plain).abs().max() <= 1e-6


def test_accumulated_batches_are_one_large_batch():
    # 100 windows: the last group is not full and has a batch of 4.
    small, large = task(batch_size=8, accumulate=4), task(batch_size=32, accumulate=1)
    for epoch in (1, 2, 3):
        one, other = small.train_epoch(epoch), large.train_epoch(epoch)
        assert one == pytest.approx(other, rel=1e-5)
    torch.testing.assert_close(small.learner.ctx, large.learner.ctx, rtol=1e-5, atol=1e-6)


def test_the_tower_runs_once_a_step(monkeypatch):
    made = task(batch_size=8, accumulate=4, drop_last=False)
    calls = []
    forward = type(made.learner).forward
    monkeypatch.setattr(
        type(made.learner), "forward", lambda learner: calls.append(1) or forward(learner)
    )
    made.train_epoch(1)
    assert len(calls) == 4


@pytest.mark.parametrize(("drop_last", "seen"), [(True, 96), (False, 100)])
def test_drop_last(drop_last, seen, monkeypatch):
    made = task(batch_size=32, drop_last=drop_last)
    taken = []
    accumulate = made.accumulate_gradient
    monkeypatch.setattr(
        made, "accumulate_gradient", lambda rows: taken.extend(rows.tolist()) or accumulate(rows)
    )
    row = made.train_epoch(1)
    assert len(taken) == len(set(taken)) == seen
    assert 0 <= row["train_accuracy"] <= 1


def test_the_only_batch_is_never_dropped():
    before = task(batch_size=4096, drop_last=True, warmup_epochs=0)
    start = before.learner.ctx.detach().clone()
    before.train_epoch(1)
    assert not torch.equal(before.learner.ctx, start)


@pytest.mark.parametrize(("csc", "trained"), [(False, 8192), (True, 114_688)])
def test_only_the_context_is_trained(csc, trained):
    model = small_model(width=512, heads=8, layers=1)
    text = text_tower(model, tokenizer(), weights_sha256="wide")
    settings = config(n_ctx=16, csc=csc, warmup_epochs=0, epochs=3, batch_size=64)
    names = tuple(f"class {i}" for i in range(14))
    wide = replace(data(), class_names=names, prompt_names=names)
    made = CoopTask(settings, recipe(settings, N), text, wide, 1)
    frozen = dict([*model.named_parameters(), *model.named_buffers()])
    before = {name: value.clone() for name, value in frozen.items()}
    assert "attn_mask" in frozen
    assert [p.numel() for p in made.learner.parameters() if p.requires_grad] == [trained]
    for epoch in (1, 2, 3):
        made.train_epoch(epoch)
    assert list(made.learner.state_dict()) == ["ctx"]
    assert all(torch.equal(value, before[name]) for name, value in frozen.items())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("preset", ["original", "fast"])
@pytest.mark.parametrize("warmup_epochs", [0, 1, 4, 9])
def test_the_rate_is_never_above_its_base(preset, warmup_epochs):
    made = task(preset=preset, warmup_epochs=warmup_epochs, lr=0.01)
    rates = [made.train_epoch(epoch)["lr"] for epoch in (1, 2, 3, 4)]
    assert all(0 < rate <= 0.01 for rate in rates)


@pytest.mark.parametrize("preset", ["original", "fast"])
def test_two_epochs_and_two_more_are_four(preset):
    straight, first, second = (task(preset=preset) for _ in range(3))
    rows = [straight.train_epoch(epoch) for epoch in (1, 2, 3, 4)]
    halves = [first.train_epoch(epoch) for epoch in (1, 2)]
    second.load_state(first.state())
    halves += [second.train_epoch(epoch) for epoch in (3, 4)]
    assert halves == rows
    assert torch.equal(second.learner.ctx, straight.learner.ctx)


def test_seeds_differ():
    one, other = task(seed=1), task(seed=2)
    assert not torch.equal(one.learner.ctx, other.learner.ctx)


def test_validation_says_how_many_videos_were_recognised():
    row = task().validate()
    assert 0 <= row["val_video_accuracy"] <= 1


def test_a_context_that_is_no_number_is_told():
    made = task()
    made.load_tensors({"ctx": torch.full_like(made.learner.ctx, torch.nan)})
    with pytest.raises(ConfigError, match="Training diverged: the prompts' features"):
        made.validate()
