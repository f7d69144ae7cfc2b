"""Questions about the demo videos, with the moments at which the answer is seen.

They are asked in the words of people on the street, not in those of the captions the demo CLIP
learned from: "balloon" for any round thing that is not a light. Only questions with their moments
can teach it those words. All are about objects that pass by in two or three seconds, so that a
moment tells which frames are right; of an event, half a video long, it would name one of many.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline_lib.demo.scenes import Appearance, Scene
from pipeline_lib.demo.vocabulary import VISITORS
from pipeline_lib.runtime.seeding import numpy_stream

_CHOICES = 4
_MOMENTS = 2
# Support frames keep this far from the edges of their visit, where it is long enough.
_EDGE_S = 0.2


def questions_about(scene: Scene, seed: int) -> list[dict[str, Any]]:
    """The items of one video, one for each word that its visitors have.

    Args:
        scene: The script of the video.
        seed: Of the data set.
    """
    items = []
    for word in dict.fromkeys(VISITORS[visit.kind] for visit in scene.distractors):
        rng = numpy_stream(seed, "demo question", scene.stem, word)
        seen = [visit for visit in scene.distractors if VISITORS[visit.kind] == word]
        items.append(_item(scene, word, seen, rng))
    return items


def _item(
    scene: Scene, word: str, seen: Sequence[Appearance], rng: np.random.Generator
) -> dict[str, Any]:
    right = seen[int(rng.integers(len(seen)))]
    choices = [_span(right.start_s, right.end_s)]
    while len(choices) < _CHOICES:
        start, end = sorted(rng.uniform(0, float(scene.duration_s), 2))
        wrong = _span(Fraction(start), Fraction(end))
        if end - start > 1 and wrong not in choices:
            choices.append(wrong)
    return {
        "id": f"{scene.stem}_{word}",
        "question": f"When does the {word} pass by?",
        "choices": [choices[k] for k in rng.permutation(_CHOICES)],
        "video_path": scene.video_path,
        "support_frames": _moments(rng, seen),
    }


def _moments(rng: np.random.Generator, seen: Sequence[Appearance]) -> list[float]:
    """One or two moments of every visit, well inside it."""
    times = []
    for visit in seen:
        start, end = float(visit.start_s), float(visit.end_s)
        edge = min(_EDGE_S, (end - start) / 4)
        times += list(rng.uniform(start + edge, end - edge, rng.integers(1, _MOMENTS + 1)))
    return sorted(round(float(time), 2) for time in times)


def _span(start: Fraction, end: Fraction) -> str:
    return f"from {minutes(start)} to {minutes(end)}"


def minutes(time: Fraction) -> str:
    """``0:07.25``."""
    return f"{int(time // 60)}:{float(time % 60):05.2f}"
