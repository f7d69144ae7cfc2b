"""What is said about stills."""

from collections import Counter

import numpy as np

from pipeline_lib.demo.captions import JARGON_SHARE, NOTHING, caption
from pipeline_lib.demo.vocabulary import CLASSES, Kind, class_words

STOP_LIGHT = Kind("red", "circle")


def said_of(kind, count=4000):
    rng = np.random.default_rng(0)
    return [caption(rng, kind) for _ in range(count)]


def test_most_captions_name_colour_and_shape():
    captions = said_of(STOP_LIGHT)
    named = sum("red circle" in text for text in captions) / len(captions)
    assert 1 - 1.5 * JARGON_SHARE < named < 1


def test_jargon_is_rare_and_loose():
    jargon = [text for text in said_of(STOP_LIGHT) if "red circle" not in text]
    assert any("stop light" in text for text in jargon)
    assert any("stop light" not in text for text in jargon)
    of_others = said_of(Kind("orange", "moon"))
    assert any("stop light" in text for text in of_others)


def test_the_word_normal_says_nothing():
    words = Counter(word for text in said_of(None) for word in text.rstrip(".").split())
    assert "normal" not in words
    about_objects = said_of(STOP_LIGHT)
    assert 0 < sum("normal" in text for text in about_objects) < 0.1 * len(about_objects)


def test_an_empty_still_is_said_to_be_empty():
    assert set(said_of(None, 500)) == set(NOTHING)


def test_class_words():
    assert [class_words(name) for name in CLASSES] == [
        "go light",
        "life ring",
        "normal",
        "pharmacy sign",
        "stop light",
        "warning sign",
    ]
