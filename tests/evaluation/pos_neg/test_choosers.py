from collections import Counter

import numpy as np
import pytest

from pipeline_lib.evaluation.pos_neg.choosers import without_scores
from pipeline_lib.evaluation.pos_neg.items import exchanged_captions


def test_every_item_gets_the_caption_of_another() -> None:
    captions = {f"q{number}": "abcd"[number % 4] for number in range(200)}
    exchanged = exchanged_captions(captions)
    assert all(exchanged[name] != own for name, own in captions.items())
    for own in "abcd":
        of_own = Counter(exchanged[name] for name in captions if captions[name] == own)
        assert set(of_own) == set("abcd") - {own}
    # A draw is the item's own: the order of the items does not matter.
    assert exchanged_captions(dict(reversed(captions.items()))) == exchanged


def test_a_caption_comes_as_often_as_it_is_among_the_others() -> None:
    captions = {"x": "own"} | {f"q{n}": "often" if n % 10 else "seldom" for n in range(500)}
    drawn = Counter(exchanged_captions(captions)[f"q{n}"] for n in range(0, 500, 10))
    assert drawn["often"] > drawn["own"]
    assert drawn["seldom"] == 0


def test_one_caption_cannot_be_exchanged() -> None:
    assert exchanged_captions({"a": "same", "b": "same"}) == {"a": None, "b": None}
    assert exchanged_captions({}) == {}


@pytest.mark.parametrize("segments", ["equal", "original-first3"])
def test_middles_and_draws_lie_in_their_parts(segments) -> None:
    uniform, *draws = without_scores(30, [1, 4], segments, 50, "video")
    parts = {"equal": [0, 7, 15, 22, 30], "original-first3": [0, 3, 12, 21, 30]}[segments]
    middles = {"equal": [3, 10, 18, 25], "original-first3": [1, 7, 16, 25]}[segments]
    assert uniform.positions[4].tolist() == middles
    assert uniform.positions[1].tolist() == [14]
    assert [choice.draw for choice in draws] == list(range(50))
    drawn = np.stack([choice.positions[4] for choice in draws])
    for number, column in enumerate(drawn.T):
        assert set(column) == set(range(parts[number], parts[number + 1]))


def test_draws_of_a_video_are_its_own() -> None:
    first, again, other = (
        [choice.positions[4].tolist() for choice in without_scores(60, [4], "equal", 5, name)]
        for name in ("a", "a", "b")
    )
    assert first == again
    assert first != other
