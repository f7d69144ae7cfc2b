"""Matching and merging tokens."""

import pytest
import torch

from pipeline_lib.networks.token_merge import match, merge_tokens
from tests.networks import tempme_reference


def drawn(rows, length, width=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, width, generator=generator)


def test_the_most_similar_pair_is_averaged_by_size():
    # Class token 0; the first set is tokens 2 and 4, the second one 1 and 3.
    metric = torch.tensor([[[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -1.0], [1.0, 0.1]]])
    tokens = torch.tensor([[[5.0], [1.0], [2.0], [3.0], [4.0]]])
    size = torch.tensor([[[1.0], [1.0], [1.0], [1.0], [3.0]]])
    merged, left = merge_tokens(tokens, metric, size, 1, 1)
    # Token 4 goes into token 1: (3 * 4 + 1) / 4. Order: class, token 2, tokens 1 and 3.
    assert merged.flatten().tolist() == [5.0, 2.0, 3.25, 3.0]
    assert left.flatten().tolist() == [1.0, 1.0, 4.0, 1.0]


@pytest.mark.parametrize("length", [6, 12, 13, 50])
@pytest.mark.parametrize("class_tokens", [0, 1, 2, 4])
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_nothing_is_lost(length, class_tokens, share):
    tokens, metric = drawn(3, length), drawn(3, length, seed=1)
    size = torch.randint(1, 4, (3, length, 1), generator=torch.Generator().manual_seed(2)).float()
    merged = max(1, int((length - class_tokens) // 2 * share))
    made, left = merge_tokens(tokens, metric, size, merged, class_tokens)
    assert made.shape == (3, length - merged, 6)
    assert torch.equal(left.sum(1), size.sum(1))
    torch.testing.assert_close((made * left).sum(1), (tokens * size).sum(1))
    assert torch.equal(made[:, :class_tokens], tokens[:, :class_tokens])
    assert torch.equal(left[:, :class_tokens], size[:, :class_tokens])


@pytest.mark.parametrize("length", [14, 15, 50, 51])
@pytest.mark.parametrize("class_tokens", [0, 1, 2, 3, 4, 12])
def test_any_number_merges_as_the_plain_reference(length, class_tokens):
    tokens, metric = drawn(2, length), drawn(2, length, 4, seed=1)
    size = torch.randint(1, 5, (2, length, 1), generator=torch.Generator().manual_seed(2)).float()
    for merged in range((length - class_tokens) // 2 + 1):
        made, left = merge_tokens(tokens, metric, size, merged, class_tokens)
        for row in range(2):
            wanted, sizes = tempme_reference.merge(
                tokens[row], metric[row], size[row, :, 0], merged, class_tokens
            )
            torch.testing.assert_close(made[row], wanted, rtol=0, atol=1e-6)
            assert left[row, :, 0].tolist() == sizes.tolist()


@pytest.mark.parametrize("class_tokens", [1, 2])
def test_tokens_in_any_precision_and_layout(class_tokens):
    # Numbers that half precision has too, so that only the averages are rounded.
    tokens, metric = drawn(2, 21).bfloat16(), drawn(2, 21, seed=1).bfloat16()
    wanted, sizes = merge_tokens(tokens.float(), metric.float(), None, 6, class_tokens)
    for dtype, tolerance in ((torch.bfloat16, 0.02), (torch.float32, 0), (torch.float64, 1e-6)):
        spread = tokens.to(dtype).transpose(1, 2).contiguous().transpose(1, 2)
        for given in (None, torch.ones(2, 21, 1)):
            made, left = merge_tokens(spread, metric.to(dtype), given, 6, class_tokens)
            assert (made.dtype, left.dtype) == (dtype, torch.float32)
            assert torch.equal(left, sizes)
            assert (made.float() - wanted).abs().max() <= tolerance


def test_at_most_half_of_the_patches_are_merged():
    made, left = merge_tokens(drawn(1, 8), drawn(1, 8, seed=1), None, 100, 1)
    assert made.shape[1] == 5
    assert left.sum() == 8


def test_nothing_to_merge_changes_nothing():
    tokens = drawn(2, 7)
    assert merge_tokens(tokens, tokens, None, 0, 1) == (tokens, None)
    assert merge_tokens(tokens[:, :2], tokens[:, :2], None, 3, 1)[1] is None


@pytest.mark.parametrize("class_tokens", [1, 2])
def test_equal_scores_are_decided_by_position(class_tokens):
    matching = match(torch.ones(1, class_tokens + 8, 3), 2, class_tokens)
    first = class_tokens + class_tokens % 2
    assert matching.source.tolist() == [[first, first + 2]]
    # Both go into the first token of the second set, which follows the two that stay.
    assert matching.target.tolist() == [[class_tokens + 2] * 2]


def test_batch_mates_change_nothing():
    tokens, metric = drawn(4, 20), drawn(4, 20, seed=1)
    together = merge_tokens(tokens, metric, None, 5, 1)
    for row in range(4):
        alone = merge_tokens(tokens[row : row + 1], metric[row : row + 1], None, 5, 1)
        for whole, part in zip(together, alone, strict=True):
            assert torch.equal(whole[row : row + 1], part)


def test_gradients_reach_merged_tokens_and_not_the_metric():
    tokens, metric = drawn(2, 9).requires_grad_(), drawn(2, 9, seed=1).requires_grad_()
    merged, size = merge_tokens(tokens, metric, None, 3, 1)
    (merged * size).sum().backward()
    torch.testing.assert_close(tokens.grad, torch.ones_like(tokens))
    assert metric.grad is None


def test_zero_tokens_stay_finite():
    merged, _ = merge_tokens(torch.zeros(1, 9, 4), torch.zeros(1, 9, 4), None, 3, 1)
    assert torch.equal(merged, torch.zeros(1, 6, 4))
