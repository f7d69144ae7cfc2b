import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from pipeline_lib.errors import ConfigError
from pipeline_lib.trainers.pos_neg.losses import LOSSES, choose_loss

NAMES = sorted(LOSSES)


def relations(least=0):
    shapes = st.tuples(st.integers(1, 4), st.integers(1, 7))
    return shapes.flatmap(
        lambda shape: st_np.arrays(np.int8, shape, elements=st.integers(least, 3))
    )


def logits_for(relation, seed, spread=8.0):
    drawn = np.random.default_rng(seed).normal(scale=spread, size=relation.shape)
    return torch.from_numpy(drawn), torch.from_numpy(relation)


def log_sum(values):
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def loop_bce(z, r, c, kinds=(1, 2)):
    signs = {1: -1.0, 2: 1.0}
    return mean(
        log_sum([0.0, signs[r[c][f]] * z[c][f]]) for f in range(len(z[c])) if r[c][f] in kinds
    )


def loop_contrastive(z, r, c):
    frames, captions = range(len(z[c])), range(len(z))
    if not any(r[c][f] == 3 for f in frames):
        return 0.0
    positives = [f for f in frames if r[c][f] == 1]
    row = mean(log_sum([z[c][g] for g in frames if r[c][g] in (1, 3)]) - z[c][f] for f in positives)
    column = mean(
        log_sum([z[b][f] for b in captions if r[b][f] in (1, 3)]) - z[c][f] for f in positives
    )
    return (row + column) / 2


def loop_video_nce(z, r, c):
    frames, captions = range(len(z[c])), range(len(z))
    positives = [f for f in frames if r[c][f] == 1]
    negatives = [z[c][g] for g in frames if r[c][g] in (2, 3)]
    if not negatives:
        return 0.0
    row = mean(log_sum([z[c][f], *negatives]) - z[c][f] for f in positives)
    terms = []
    for f in positives:
        others = [z[b][f] for b in captions if r[b][f] in (2, 3)]
        if others:
            terms.append(log_sum([z[c][f], *others]) - z[c][f])
    return (row + mean(terms)) / 2 if terms else row


LOOPS = {
    "bce": loop_bce,
    "bce_positive": lambda z, r, c: loop_bce(z, r, c, kinds=(1,)),
    "contrastive": loop_contrastive,
    "video_nce": loop_video_nce,
}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(relation=relations(), seed=st.integers(0, 10**6))
def test_every_loss_equals_a_double_loop(name, relation, seed):
    logits, known = logits_for(relation, seed)
    found = LOSSES[name](logits, known).tolist()
    z, r = logits.tolist(), relation.tolist()
    for c, row in enumerate(r):
        expected = LOOPS[name](z, r, c) if 1 in row else 0.0
        assert found[c] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(relation=relations(), seed=st.integers(0, 10**6))
def test_gradients(name, relation, seed):
    logits, known = logits_for(relation, seed, spread=2.0)
    assert torch.autograd.gradcheck(
        lambda z: LOSSES[name](z, known), (logits.requires_grad_(),), atol=1e-6
    )


def gradient(name, logits, relation):
    z = torch.tensor(logits, requires_grad=True)
    LOSSES[name].per_caption(z, torch.tensor(relation, dtype=torch.int8)).sum().backward()
    return z.grad


def test_a_negative_with_a_high_logit_keeps_its_gradient():
    assert gradient("bce", [[25.0]], [[2]]).item() == pytest.approx(1.0, abs=1e-6)
    assert gradient("bce", [[-25.0]], [[1]]).item() == pytest.approx(-1.0, abs=1e-6)
    assert gradient("bce", [[400.0]], [[2]]).item() == pytest.approx(1.0, abs=1e-6)


def test_two_captions_give_the_contrastive_loss_a_gradient():
    relation = [[1, 1, 3], [3, 3, 1]]
    found = gradient("contrastive", [[20.0, 22.0, 21.0], [19.0, 20.0, 22.0]], relation)
    assert found[0, :2].sum() < -0.1
    assert found[0, 2] > 0.1
    assert found[1, 2] < 0
    assert (found[1, :2] > 0).all()


def test_with_one_caption_the_contrastive_loss_has_nothing_to_compare():
    logits = torch.tensor([[20.0, 22.0]], requires_grad=True)
    relation = torch.tensor([[1, 1]], dtype=torch.int8)
    loss = LOSSES["contrastive"]
    assert not loss.counted(relation).any()
    loss(logits, relation).sum().backward()
    assert (logits.grad == 0).all()
    # Its half from the frames is exactly 0 by itself; the other only makes frames alike.
    assert loss.per_caption(logits, relation).item() == pytest.approx(
        (math.log1p(math.exp(2)) - 1) / 2
    )


def test_one_caption_still_learns_from_mined_negatives():
    found = gradient("video_nce", [[3.0, 1.0, 2.0]], [[1, 1, 2]])
    assert (found[0, :2] < 0).all()
    assert found[0, 2] > 0


def test_a_true_frame_does_not_push_another_away():
    near = gradient("video_nce", [[9.0, -5.0, -5.0]], [[1, 1, 2]])
    assert near[0, 0] <= 0
    assert near[0, 1] == pytest.approx(-0.25)  # half of its share against an equal negative


@pytest.mark.parametrize(
    ("name", "row", "counted"),
    [
        ("bce", [1, 0], True),
        ("bce", [2, 3], False),
        ("bce_positive", [1, 3], True),
        ("contrastive", [1, 2], False),
        ("contrastive", [1, 3], True),
        ("video_nce", [1, 1], False),
        ("video_nce", [1, 2], True),
        ("video_nce", [3, 2], False),
    ],
)
def test_which_captions_count(name, row, counted):
    assert LOSSES[name].counted(torch.tensor([row], dtype=torch.int8)).tolist() == [counted]


def test_fp32_and_logits_far_apart():
    logits = torch.tensor([[100.0, -100.0, 100.0], [0.0, 100.0, -100.0]], requires_grad=True)
    relation = torch.tensor([[1, 2, 3], [3, 1, 1]], dtype=torch.int8)
    for loss in LOSSES.values():
        values = loss(logits, relation)
        (found,) = torch.autograd.grad(values.sum(), logits)
        assert values.isfinite().all()
        assert found.isfinite().all()


def test_only_losses_that_a_constant_changes_learn_a_bias():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.5, 2.0, 1.0]])
    relation = torch.tensor([[1, 2, 3], [3, 2, 1]], dtype=torch.int8)
    for loss in LOSSES.values():
        moved = not torch.allclose(loss(logits + 5, relation), loss(logits, relation), atol=1e-5)
        assert loss.biased == moved


def test_an_unknown_loss():
    with pytest.raises(ConfigError, match=r"loss = 'video_ce'.*\n.*'video_nce'"):
        choose_loss("video_ce")
