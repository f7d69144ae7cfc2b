"""What one optimizer step does to the weights, and what the next one goes on from."""

import io
import math
from dataclasses import replace

import pytest
import torch

from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.trainers.pos_neg.batches import make_batch
from pipeline_lib.trainers.pos_neg.task import PosNegTask
from tests.trainers.pos_neg.project import config, wanted
from tests.trainers.pos_neg.test_task import own_captions, task

# So small a rate leaves the weights where they are: what is left to see is the gradient.
STILL = {"loss": "bce", "select": "last", "lr": 1e-12, "weight_decay": 0.0}


def gradient(root, items, **settings):
    """The gradient of the last step of an epoch, as one vector, and the epoch's row."""
    made, model, _ = task(root, config(**STILL, **settings), items)
    row = made.train_epoch(1)
    return torch.cat([p.grad.flatten() for p in model.trainable().values()]), row


def test_the_gradient_of_the_mean_loss_is_what_is_clipped(tmp_path):
    items = own_captions(8)
    free, row = gradient(tmp_path, items, batch_size=8, clip_grad_norm=None)
    length = float(free.norm())
    assert row["grad_norm"] == pytest.approx(length, rel=1e-4)
    short, same = gradient(tmp_path, items, batch_size=8, clip_grad_norm=length / 2)
    torch.testing.assert_close(short, free / 2, rtol=1e-4, atol=1e-7 * length)
    assert same["grad_norm"] == pytest.approx(length, rel=1e-4)  # before it was clipped
    # The sum over eight items is longer than this, their mean is not.
    whole, _ = gradient(tmp_path, items, batch_size=2, accumulate=4, clip_grad_norm=length * 1.01)
    torch.testing.assert_close(whole, free, rtol=1e-4, atol=1e-6 * length)


def test_decay_is_apart_from_the_gradient_and_spares_norms_and_biases(tmp_path):
    ends = []
    for decay in (0.0, 0.5):
        settings = config(
            lr=0.01, weight_decay=decay, batch_size=16, epochs=1, warmup_ratio=0.0, select="last"
        )
        made, model, _ = task(tmp_path, settings, wanted(val=0))
        start = model.state()
        assert made.steps == 1
        assert made.train_epoch(1)["lr"] == pytest.approx(0.01)
        ends.append(model.state())
    plain, decayed = ends
    for name, before in start.items():
        # Loshchilov and Hutter: the weights shrink by rate times decay, whatever the gradient.
        shrunk = 0.01 * 0.5 * before if before.dim() > 1 else torch.zeros_like(before)
        torch.testing.assert_close(plain[name] - decayed[name], shrunk, rtol=0, atol=1e-6)
    assert any((plain[name] != before).any() for name, before in start.items())


def test_every_step_has_the_rate_of_its_place_in_the_whole_training(tmp_path):
    settings = config(batch_size=5, epochs=2, warmup_ratio=0.5, lr=0.4, select="last")
    made, _, data = task(tmp_path, settings)
    assert (made.steps, len(data.train)) == (2, 10)
    used = []
    step = made._updates.optimizer.step

    def noted(*args):
        used.append([group["lr"] for group in made._updates.optimizer.param_groups])
        return step(*args)

    made._updates.optimizer.step = noted
    last = [made.train_epoch(epoch)["lr"] for epoch in (1, 2)]
    # A warm-up of two of the four steps, then the cosine from its top to half way down.
    expected = [0.4 / 3, 0.8 / 3, 0.4, 0.2 * (1 + math.cos(math.pi / 2))]
    assert used == [[pytest.approx(rate)] * 2 for rate in expected]
    assert last == pytest.approx(expected[1::2])


def test_an_epoch_has_every_item_once_in_an_order_of_seed_and_epoch(tmp_path):
    made, _, data = task(tmp_path, config())
    orders = [[item.id for item in made._ordered(epoch)] for epoch in (1, 2)]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(item.id for item in data.train)
    assert orders[0] != orders[1]
    assert [item.id for item in made._ordered(1)] == orders[0]
    other, _, _ = task(tmp_path, config(seed=2))
    assert [item.id for item in other._ordered(1)] != orders[0]


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_a_saved_state_goes_on_bit_for_bit(tmp_path, mode):
    settings = config(mode=mode, loss="bce", batch_size=5, epochs=2)
    straight, model, data = task(tmp_path, settings)
    straight.train_epoch(1)
    file = io.BytesIO()
    torch.save(straight.state(), file)
    row = straight.train_epoch(2)
    fresh, resumed, _ = task(tmp_path, settings)
    file.seek(0)
    fresh.load_state(torch.load(file, weights_only=True))
    assert fresh.train_epoch(2) == row
    for name, tensor in model.state().items():
        assert torch.equal(tensor, resumed.state()[name]), name
    # The moments are part of it: without them the same epoch ends elsewhere.
    file.seek(0)
    state = torch.load(file, weights_only=True)
    model.load_state(state["model"])
    forgetful = PosNegTask(settings, model, straight._towers, data, ALONE)
    model.load_state(state["model"])  # its bias has started anew
    forgetful.train_epoch(2)
    assert any(not torch.equal(t, model.state()[name]) for name, t in resumed.state().items())


def test_validation_looks_at_val_items_alone(tmp_path):
    made, _, data = task(tmp_path, config(loss="bce"))
    before = made.validate()
    made._data = replace(data, train=())
    assert made.validate() == before
    made._data = replace(data, val=data.train)
    assert made.validate()["val_loss"] != before["val_loss"]


def test_the_loss_of_an_epoch_is_the_mean_over_items_not_captions(tmp_path):
    words = ("red", "red", "blue")
    items = [
        replace(item, question=f"Where is {word}?")
        for item, word in zip(own_captions(3), words, strict=True)
    ]
    made, _, data = task(tmp_path, config(**STILL, batch_size=3), items)
    row = made.train_epoch(1)
    batch = make_batch(data.train)
    with torch.no_grad():
        of_caption = made._loss(made._logits(batch), batch.relation)
    of_item = of_caption[batch.row_of_item]
    assert (len(of_caption), len(of_item)) == (2, 3)
    assert row["train_loss"] == pytest.approx(float(of_item.mean()), rel=1e-5)
    assert row["train_loss"] != pytest.approx(float(of_caption.mean()), rel=1e-4)
