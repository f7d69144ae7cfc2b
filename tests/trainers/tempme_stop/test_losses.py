import math

import numpy as np
import pytest
import torch

from pipeline_lib.trainers.tempme_stop.batches import Pairs
from pipeline_lib.trainers.tempme_stop.losses import counted, info_nce

TEXTS = ("a red square", "it moves left", "A red  square", "blue")


def log_share(own, *others):
    return math.log(math.exp(own) / sum(map(math.exp, (own, *others))))


def test_captions_of_one_video_are_no_negatives_of_each_other():
    # Captions 0 and 1 are of one video, caption 2 of another.
    logits = torch.tensor([[1.0, 1.0, 0.5], [0.2, 0.2, 0.4], [0.1, 0.1, 2.0]])
    match = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    to_video = [log_share(1.0, 0.5), log_share(0.2, 0.4), log_share(2.0, 0.1, 0.1)]
    to_text = [log_share(1.0, 0.1), log_share(0.2, 0.1), log_share(2.0, 0.5, 0.4)]
    expected = -(sum(to_video) + sum(to_text)) / 2
    assert float(info_nce(logits, match)) == pytest.approx(expected, rel=1e-5)
    assert counted(match) == 3


def test_a_caption_may_belong_to_a_video_whose_other_caption_does_not_belong_to_its_own():
    # Caption 0 also belongs to the video of caption 1, caption 1 not to that of caption 0.
    logits = torch.tensor([[1.0, 3.0], [0.2, 0.7]])
    match = torch.tensor([[True, True], [False, True]])
    to_video = [0.0, log_share(0.7, 0.2)]
    to_text = [log_share(1.0, 0.2), 0.0]
    expected = -(sum(to_video) + sum(to_text)) / 2
    assert float(info_nce(logits, match)) == pytest.approx(expected, rel=1e-5)


def test_what_is_masked_has_no_gradient():
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    match = torch.eye(4, dtype=torch.bool)
    match[0, 1] = match[1, 0] = True
    info_nce(logits, match).backward()
    assert logits.grad[0, 1] == logits.grad[1, 0] == 0
    assert (logits.grad[match.logical_not()] > 0).all()


def test_a_batch_of_one_video_has_nothing_to_learn():
    match = torch.ones(3, 3, dtype=torch.bool)
    assert float(info_nce(torch.randn(3, 3), match)) == pytest.approx(0)
    assert counted(match) == 0
    assert counted(torch.ones(1, 1, dtype=torch.bool)) == 0


def batch(texts, equal_captions):
    # Videos 0, 1 and 2; the first has two captions, of which the third video bears one too.
    pairs = Pairs(TEXTS, np.array([0, 0, 2, 1]), equal_captions)
    return pairs.batch(np.array(texts))


def test_distinct_captions_belong_to_their_own_video():
    found = batch([0, 1, 2, 3], "distinct")
    assert found.videos.tolist() == [0, 1, 2]
    assert found.row_of_text.tolist() == [0, 0, 2, 1]
    assert found.match.int().tolist() == [
        [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1],
    ]  # fmt: skip


def test_equal_captions_belong_to_each_others_videos():
    found = batch([0, 1, 2, 3], "match")
    assert found.match.int().tolist() == [
        [1, 1, 1, 0],  # "a red square" is said of both videos
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [0, 0, 0, 1],
    ]  # fmt: skip
    # The video of caption 1 bears caption 2 by another caption, which is not in this batch.
    assert batch([1, 2], "match").match.int().tolist() == [[1, 0], [1, 1]]


def test_batches_are_in_order_and_the_last_may_be_smaller():
    pairs = Pairs(TEXTS, np.array([0, 0, 2, 1]), "distinct")
    found = list(pairs.batches(np.array([3, 0, 2]), 2))
    assert [b.texts.tolist() for b in found] == [[3, 0], [2]]
    assert [b.videos.tolist() for b in found] == [[0, 1], [2]]
