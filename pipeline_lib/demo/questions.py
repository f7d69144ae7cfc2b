"""Questions about the demo videos, with the moments at which the answer is seen.

They are asked in the words of people on the street, not in those of the captions the demo CLIP
learned from: "balloon" for any round thing that is not a light. Only questions with their moments
can teach it those words.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline_lib.demo.scenes import Appearance, Scene
from pipeline_lib.demo.vocabulary import VISITORS, class_words
from pipeline_lib.runtime.seeding import numpy_stream

_CHOICES = 4
_MOMENTS = 3
# Support frames keep this far from the edges of their interval, where it is long enough.
_EDGE_S = 0.2


def questions_about(scene: Scene, seed: int) -> list[dict[str, Any]]:
    """The items of one video: about its events, and about each kind of visitor.

    Args:
        scene: The script of the video.
        seed: Of the data set.
    """
    items = []
    if scene.events:
        rng = numpy_stream(seed, "demo question", scene.stem)
        text = f"When can you see the {class_words(scene.class_name)}?"
        items.append(_item(scene, "event", text, scene.events, rng))
    for word in dict.fromkeys(VISITORS[visit.kind] for visit in scene.distractors):
        rng = numpy_stream(seed, "demo question", scene.stem, word)
        seen = [visit for visit in scene.distractors if VISITORS[visit.kind] == word]
        items.append(_item(scene, word, f"When does the {word} pass by?", seen, rng))
    return items


def _item(
    scene: Scene, about: str, text: str, seen: Sequence[Appearance], rng: np.random.Generator
) -> dict[str, Any]:
    right = seen[int(rng.integers(len(seen)))]
    choices = [_span(right.start_s, right.end_s)]
    while len(choices) < _CHOICES:
        start, end = sorted(rng.uniform(0, float(scene.duration_s), 2))
        wrong = _span(Fraction(start), Fraction(end))
        if end - start > 1 and wrong not in choices:
            choices.append(wrong)
    return {
        "id": f"{scene.stem}_{about}",
        "question": text,
        "choices": [choices[k] for k in rng.permutation(_CHOICES)],
        "video_path": scene.video_path,
        "support_frames": _moments(rng, seen),
    }


def _moments(rng: np.random.Generator, seen: Sequence[Appearance]) -> list[float]:
    """One to three moments, each well inside an interval."""
    times = []
    for _ in range(rng.integers(1, _MOMENTS + 1)):
        one = seen[int(rng.integers(len(seen)))]
        start, end = float(one.start_s), float(one.end_s)
        edge = min(_EDGE_S, (end - start) / 4)
        times.append(rng.uniform(start + edge, end - edge))
    return sorted(round(time, 2) for time in times)


def _span(start: Fraction, end: Fraction) -> str:
    return f"from {minutes(start)} to {minutes(end)}"


def minutes(time: Fraction) -> str:
    """``0:07.25``."""
    return f"{int(time // 60)}:{float(time % 60):05.2f}"
