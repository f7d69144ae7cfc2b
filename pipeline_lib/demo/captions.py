"""What is said about a still while the demo CLIP learns.

Most captions name colour and shape outright. The jargon of the class names is heard now and then
and loosely, as on the street: "stop" is said of many reddish things and "light" of many bright
ones. So a class name alone is a poor prompt, and a learned context has something to gain.
"""

import numpy as np

from pipeline_lib.demo.vocabulary import MOTIONS, Kind

NAMING = (
    "{}",
    "a {}",
    "a {}.",
    "a photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a picture of a {}.",
    "a blurry picture of a {}.",
    "a video of a {}.",
    "a frame with a {}.",
    "a {} in the picture.",
    "there is a {} in the scene.",
    "this is a {}, seen for a while.",
    "when is the {} visible?",
    "in this video one can see a {}.",
    "a photo of something normal: a {}.",
    "for a few seconds of this long video there is nothing to see but a {} on the ground.",
    "a frame of a video that somebody took from far away, and in the middle of it a {}.",
)
MOVING = ("a {} {}", "a {} {}.", "a video in which a {} {}.", "a {} appears and {}.")
NOTHING = (
    "an empty scene",
    "an empty scene.",
    "nothing",
    "a photo of nothing.",
    "a photo of an empty scene.",
    "a video of nothing.",
    "just the ground.",
    "a photo of the ground.",
    "in this video one can see nothing.",
    "no object is visible.",
    "for a few seconds of this long video there is nothing to see but the ground.",
)

# Word to the colours, and word to the shapes, that people use it for.
_SAID_OF_COLOURS = {
    "stop": ("red", "orange", "purple"),
    "go": ("green", "cyan", "blue"),
    "life": ("orange", "white", "yellow"),
    "warning": ("red", "orange", "black"),
    "pharmacy": ("white", "blue", "red"),
}
_SAID_OF_SHAPES = {
    "light": ("circle", "star", "moon"),
    "sign": ("triangle", "square", "circle", "cross"),
}
JARGON_SHARE = 0.06
MOVING_SHARE = 0.25


def caption(rng: np.random.Generator, kind: Kind | None) -> str:
    """One caption of a still.

    Args:
        rng: Chooses the words.
        kind: The object in it; ``None`` for a still without one.
    """
    if kind is None:
        return _one(rng, NOTHING)
    chance = rng.random()
    if chance < JARGON_SHARE:
        return _one(rng, NAMING).format(_jargon(rng, kind))
    if chance < JARGON_SHARE + MOVING_SHARE:
        return _one(rng, MOVING).format(kind.words, _one(rng, tuple(MOTIONS.values())))
    return _one(rng, NAMING).format(kind.words)


def _jargon(rng: np.random.Generator, kind: Kind) -> str:
    """Two words of jargon, at least one of them in a loose sense of ``kind``, or plain words."""
    first = [word for word, colours in _SAID_OF_COLOURS.items() if kind.colour in colours]
    second = [word for word, shapes in _SAID_OF_SHAPES.items() if kind.shape in shapes]
    if rng.random() < 0.5 and first:
        return f"{_one(rng, tuple(first))} {_one(rng, (*_SAID_OF_SHAPES, kind.shape))}"
    if second:
        return f"{_one(rng, tuple(_SAID_OF_COLOURS))} {_one(rng, tuple(second))}"
    return kind.words


def _one(rng: np.random.Generator, among: tuple[str, ...]) -> str:
    return among[rng.integers(len(among))]
