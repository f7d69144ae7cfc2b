from dataclasses import replace

import pytest
import torch

from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.trainers.pos_neg.batches import make_batch
from pipeline_lib.trainers.pos_neg.data import Item, load_data
from pipeline_lib.trainers.pos_neg.embedding import Towers
from pipeline_lib.trainers.pos_neg.losses import LOSSES
from pipeline_lib.trainers.pos_neg.measuring import Ranking
from pipeline_lib.trainers.pos_neg.model import load_trainable
from pipeline_lib.trainers.pos_neg.pixels import open_pixels, write_pixels
from pipeline_lib.trainers.pos_neg.task import PosNegTask, _Totals
from tests.trainers.pos_neg.project import Wanted, config, section, wanted, write_mined


def task(root, settings, items=None):
    """A task on a folder of mined frames; returns its model and data as well."""
    write_mined(root / "mined", wanted() if items is None else items)
    data = load_data(root / "mined", settings)
    model = load_trainable(section(root), settings, ALONE.device)
    write_pixels(root / "pixels.npy", data.frames, model.preprocess.resize)
    pixels = open_pixels(root / "pixels.npy")
    towers = Towers(model, pixels, data.captions, dtype=torch.float32, group=ALONE)
    return PosNegTask(settings, model, towers, data, ALONE), model, data


def own_captions(train):
    """Items that share neither caption nor frame, so that no batch adds anything to them."""
    return [
        replace(item, video=f"train/{i}.mp4", question=f"Where is thing number {i}?")
        for i, item in enumerate(wanted(train, val=0))
    ]


def distance(model, before):
    return max(float((tensor - before[name]).abs().max()) for name, tensor in model.state().items())


def test_accumulated_batches_are_one_large_batch(tmp_path):
    # Plain gradients are compared: Adam's first step only has their sign.
    found = []
    for size, accumulate in ((16, 1), (4, 4)):
        settings = config(
            loss="bce", batch_size=size, accumulate=accumulate, select="last", clip_grad_norm=None
        )
        made, model, _ = task(tmp_path, settings, own_captions(16))
        row = made.train_epoch(1)
        gradients = {name: p.grad.clone() for name, p in model.trainable().items()}
        found.append((gradients, row))
    (large, row), (small, row_of_small) = found
    length = float(torch.cat([g.flatten() for g in large.values()]).norm())
    assert max(float((large[name] - small[name]).abs().max()) for name in large) < 1e-6 * length
    assert row_of_small == pytest.approx(row, rel=1e-5)


def test_the_last_incomplete_group_is_a_step(tmp_path):
    made, model, data = task(tmp_path, config(batch_size=4, accumulate=2, epochs=1))
    assert len(data.train) == 10
    assert made.steps == 2
    taken = []
    step = made._updates.optimizer.step
    made._updates.optimizer.step = lambda *args: (taken.append(model.state()), step(*args))
    made.train_epoch(1)
    assert len(taken) == 2
    assert distance(model, taken[1]) > 1e-5


def test_a_last_group_is_normalised_by_its_own_items(tmp_path):
    items = own_captions(5)
    settings = config(
        loss="bce", batch_size=4, select="last", clip_grad_norm=None, lr=1e-12, weight_decay=0.0
    )
    made, model, _ = task(tmp_path, settings, items)
    made.train_epoch(1)  # so small a rate leaves the weights; the gradient is the last group's
    found = {name: p.grad.clone() for name, p in model.trainable().items()}
    last = made._ordered(1)[4:]
    model.zero_grad()
    batch = make_batch(last)
    loss = LOSSES["bce"](made._logits(batch), batch.relation).sum()
    # The same through the features' graph, without the detour over leaves.
    features = made._towers.features(batch)
    logits = made._scaled(features.own_texts @ features.own_images.T)
    LOSSES["bce"](logits, batch.relation).sum().backward()
    assert float(loss.detach()) > 0
    for name, parameter in model.trainable().items():
        assert torch.allclose(found[name], parameter.grad, atol=1e-6), name


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_every_loss_falls_in_every_mode(tmp_path, name, mode):
    settings = config(loss=name, mode=mode, epochs=4, lr=0.01, batch_size=5)
    made, model, _ = task(tmp_path, settings)
    rows = [made.train_epoch(epoch) for epoch in range(1, 5)]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert all(row["grad_norm"] > 0 for row in rows)
    biased = LOSSES[name].biased
    assert ("logit_bias" in model.trainable()) == biased
    assert set(made.tensors()) == set(model.trainable())


def test_rates_rise_and_fall_and_are_never_zero(tmp_path):
    made, _, _ = task(tmp_path, config(batch_size=5, epochs=5, warmup_ratio=0.4, lr=1.0))
    rates = [made._rate(step) for step in range(10)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 0.1


def test_pairs_start_at_a_mean_logit_of_zero(tmp_path):
    made, model, data = task(tmp_path, config(loss="bce", batch_size=10))
    batch = make_batch(data.train)
    logits = made._logits(batch)[(batch.relation == 1) | (batch.relation == 2)]
    assert float(logits.mean().detach()) == pytest.approx(0, abs=1e-4)
    assert abs(float(model.logit_bias.detach())) > 1


def test_a_kept_trunk_gives_what_the_whole_network_gives(tmp_path):
    made, _, data = task(tmp_path, config(mode="head"))
    kept = made._towers.features(make_batch(data.train))
    made._towers._kept_images = made._towers._kept_texts = None
    live = made._towers.features(make_batch(data.train))
    assert torch.allclose(kept.images, live.images, atol=1e-6)
    assert torch.allclose(kept.texts, live.texts, atol=1e-6)


def test_a_loss_that_finds_nothing_to_compare(tmp_path):
    made, _, _ = task(tmp_path, config(loss="contrastive", batch_size=1))
    with pytest.raises(ConfigError, match=r"loss = 'contrastive': no batch(.|\n)*batch_size"):
        made.train_epoch(1)


def test_weights_stay_where_a_step_has_nothing_to_compare(tmp_path):
    items = [replace(item, negative=()) for item in wanted(val=0)][:1]
    items += [Wanted("train_99", "train/99.mp4", "Where is blue?")]
    made, model, data = task(tmp_path, config(batch_size=1, select="last"), items)
    without = [item for item in data.train if not item.negative]
    before = model.state()
    made._step(without, _Totals())
    assert distance(model, before) == 0


def test_validation_by_hand():
    ranking = Ranking()
    batch = make_batch(
        [
            Item("a", 0, true=(0, 1), negative=(2, 3)),
            Item("b", 0, true=(4,), negative=()),  # nothing to rank against
        ]
    )
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0, 9.0]])
    ranking.add(logits, batch)
    row = ranking.row()
    # True frames at ranks 1 and 3: (1/1 + 2/3) / 2.
    assert row["val_average_precision"] == pytest.approx(5 / 6)
    masses = logits[0, :4].exp()
    assert row["val_probability"] == pytest.approx(float((masses[0] + masses[1]) / masses.sum()))
    assert row["val_chance_probability"] == 0.5
    assert Ranking().row() == dict.fromkeys(row)


def test_validation_does_not_depend_on_training_order(tmp_path):
    made, _, _ = task(tmp_path, config())
    assert made.validate() == made.validate()
    assert set(made.validate()) == {
        "val_loss", "val_average_precision", "val_probability", "val_chance_probability",
    }  # fmt: skip


def test_scaled_gradients_are_the_same_gradients(tmp_path):
    settings = config(loss="bce", clip_grad_norm=0.1)
    plain, model, data = task(tmp_path, settings)
    start = model.state()
    row = plain.train_epoch(1)
    weights = model.state()
    model.load_state(start)
    scaled = PosNegTask(settings, model, plain._towers, data, ALONE, fp16=True)
    assert scaled.train_epoch(1) == pytest.approx(row, rel=1e-5)
    assert distance(model, weights) < 1e-5
    assert scaled.state()["scaler"]["_growth_tracker"] == plain.steps


def test_weights_that_are_no_numbers_are_told(tmp_path):
    made, model, _ = task(tmp_path, config())
    with torch.no_grad():
        next(iter(model.trainable().values())).fill_(torch.nan)
    with pytest.raises(ConfigError, match=r"diverged(.|\n)*train\.pos_neg\.lr"):
        made.validate()


def test_autocast_leaves_features_in_fp32(tmp_path):
    made, _, data = task(tmp_path, config())
    made._towers._dtype = torch.bfloat16
    features = made._towers.features(make_batch(data.train[:2]))
    assert features.images.dtype == features.texts.dtype == torch.float32
    assert torch.allclose(features.images.norm(dim=1), torch.ones(len(features.images)))
