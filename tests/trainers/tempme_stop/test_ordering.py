from dataclasses import replace

import numpy as np
import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.trainers.tempme_stop import ordering
from pipeline_lib.trainers.tempme_stop.batches import Pairs
from pipeline_lib.trainers.tempme_stop.ordering import alike_together, mixed
from pipeline_lib.trainers.tempme_stop.training import train_tempme_stop
from tests.trainers.tempme_stop.project import config, outputs, places, vit

TOPICS, OF_TOPIC = 12, 5


def captions(equal_captions="match"):
    """Sixty captions of twelve topics: vectors of those of one topic differ a little.

    In each topic two captions are of one video, and two others say the same of different ones.
    """
    rng = np.random.default_rng(0)
    topic = np.repeat(np.arange(TOPICS), OF_TOPIC)
    vectors = 5 * np.eye(TOPICS, 16)[topic] + rng.normal(0, 0.1, (len(topic), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    video = np.arange(len(topic))
    video[1::OF_TOPIC] = video[0::OF_TOPIC]
    texts = [f"caption {number}" for number in range(len(topic))]
    for number in range(3, len(topic), OF_TOPIC):
        texts[number] = texts[number - 1].upper()
    pairs = Pairs(texts, video.astype(np.int64), equal_captions)
    return topic, vectors.astype(np.float32), video, [text.lower() for text in texts], pairs


def ordered(alike=3, seed=1, epoch=1, equal_captions="match"):
    topic, vectors, _, _, pairs = captions(equal_captions)
    order = mixed(len(topic), seed, epoch)
    return alike_together(order, vectors, pairs, alike, seed, epoch)


def groups(alike, equal_captions="match"):
    """The groups of one pool, in the order in which they were drawn."""
    topic, vectors, _, _, pairs = captions(equal_captions)
    return ordering._groups(mixed(len(topic), 1, 1), vectors, pairs, alike)


@pytest.mark.parametrize("alike", [2, 3, 7, 60, 100])
@pytest.mark.parametrize("pool", [1, 7, 59, 60, 4096])
def test_every_caption_stands_once(monkeypatch, alike, pool):
    monkeypatch.setattr(ordering, "_POOL", pool)
    order = ordered(alike)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(TOPICS * OF_TOPIC))


def test_captions_of_a_group_are_alike():
    topic, *_ = captions()
    # Three captions of a topic may stand together; the two that are left go to other topics.
    of_one_topic = [set(topic[group]) for group in groups(3) if len(set(topic[group])) == 1]
    assert set.union(*of_one_topic) == set(range(TOPICS))
    order, plain = topic[ordered(3)], topic[mixed(len(topic), 1, 1)]
    assert np.mean(order[1:] == order[:-1]) > 4 * np.mean(plain[1:] == plain[:-1])


def test_the_first_draws_the_most_alike_one():
    _, vectors, _, _, pairs = captions()
    order = mixed(len(vectors), 1, 1)
    (first, second, third), *_ = groups(3)
    assert first == order[0]
    likeness = vectors @ vectors[first]
    allowed = ~pairs.related(np.arange(len(vectors)), first)
    assert second == np.where(allowed, likeness, -1).argmax()
    allowed &= ~pairs.related(np.arange(len(vectors)), second)
    assert third == np.where(allowed, likeness, -1).argmax()


@pytest.mark.parametrize("alike", [3, 7, 60])
@pytest.mark.parametrize("equal_captions", ["match", "distinct"])
def test_nothing_in_a_group_belongs_together(alike, equal_captions):
    _, _, video, texts, _ = captions()
    drawn = groups(alike, equal_captions)
    equal = 0
    for group in drawn:
        assert 1 <= len(group) <= alike
        assert len(set(video[group])) == len(group)
        equal += len(group) - len({texts[number] for number in group})
    # Where only a caption's own video counts, equal words are negatives like any other.
    assert (equal == 0) == (equal_captions == "match")


def test_the_order_follows_from_seed_and_epoch():
    assert np.array_equal(ordered(), ordered())
    assert not np.array_equal(ordered(), ordered(epoch=2))
    assert not np.array_equal(ordered(), ordered(seed=2))


def test_groups_are_drawn_in_their_pool_alone(monkeypatch):
    topic, vectors, _, _, pairs = captions()
    monkeypatch.setattr(ordering, "_POOL", 25)
    order = mixed(len(topic), 1, 1)
    pools = [set(order[start : start + 25].tolist()) for start in (0, 25, 50)]
    expected = [
        group.tolist()
        for start in (0, 25, 50)
        for group in ordering._groups(order[start : start + 25], vectors, pairs, 3)
    ]
    assert all(any(set(group) <= pool for pool in pools) for group in expected)
    found = alike_together(order, vectors, pairs, 3, 1, 1).tolist()
    # They stand in another order, each as a whole.
    assert found != [number for group in expected for number in group]
    at = {number: place for place, number in enumerate(found)}
    for group in expected:
        assert [at[number] - at[group[0]] for number in group] == list(range(len(group)))


def test_alone_a_caption_is_its_own_group():
    """So ``alike: 1`` is any random order; the trainer then does not even look at the captions."""
    assert sorted(map(len, groups(1))) == [1] * 60


def run(root, settings):
    train_tempme_stop(settings, vit(root), places(root), threads=1)
    return outputs(root)


def test_alike_captions_change_the_training_and_its_repetition_does_not(root):
    settings = config(epochs=2, alike=3)
    first = run(root, settings)
    assert run(root, settings) == first
    plain = run(root, replace(settings, alike=1))
    adapters = "models/tempme_stop/final/adapters.safetensors"
    assert plain[adapters] != first[adapters]


def test_more_alike_captions_than_a_batch_has_are_refused_before_a_video_is_read(root):
    with pytest.raises(
        ConfigError, match=r"alike = 7 (.|\n)*batch_size = 6(.|\n)*alike to at most"
    ):
        run(root, config(alike=7))
    assert not (root / "frames").exists()
