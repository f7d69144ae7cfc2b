"""Short clips of one moving object each: a second small data set, in which only motion differs.

Every object of a split is seen in every motion, so what it looks like says nothing about how it
moves; and no object of one split is seen in another.
"""

from fractions import Fraction

import numpy as np

from pipeline_lib.config import DemoMotionsConfig
from pipeline_lib.demo.scenes import SPLITS, Scene, appearance, hundredths
from pipeline_lib.demo.stills import KINDS
from pipeline_lib.demo.timing import make_timing
from pipeline_lib.demo.vocabulary import MOTIONS, Kind
from pipeline_lib.runtime.seeding import numpy_stream

# Shares of the usual length: short ones move fast, long ones slowly.
_LENGTHS = (0.75, 1.25)


def plan_clips(config: DemoMotionsConfig, seed: int) -> list[Scene]:
    """The scripts of all clips, ordered by split, object and motion; the class is the motion.

    Args:
        config: How many objects, and how long the clips are.
        seed: Of the data set.
    """
    scenes: list[Scene] = []
    for split, kinds in kinds_of_splits(config, seed).items():
        repeats = config.repeats if split == "train" else 1
        for kind in kinds:
            for motion in MOTIONS:
                for number in range(repeats):
                    stem = f"{kind.colour}_{kind.shape}_{motion}_{number}"
                    scenes.append(_scene(config, seed, split, kind, motion, stem, len(scenes)))
    return scenes


def kinds_of_splits(config: DemoMotionsConfig, seed: int) -> dict[str, tuple[Kind, ...]]:
    """Which objects each split shows."""
    order = numpy_stream(seed, "demo motions", "kinds").permutation(len(KINDS))
    drawn = [KINDS[k] for k in order]
    counts = [getattr(config.kinds, split) for split in SPLITS]
    edges = np.cumsum([0, *counts])
    return {
        split: tuple(drawn[begin:end])
        for split, begin, end in zip(SPLITS, edges[:-1], edges[1:], strict=True)
    }


def _scene(
    config: DemoMotionsConfig,
    seed: int,
    split: str,
    kind: Kind,
    motion: str,
    stem: str,
    index: int,
) -> Scene:
    rng = numpy_stream(seed, "demo motions", stem)
    duration = hundredths(config.seconds * rng.uniform(*_LENGTHS))
    event = appearance(rng, kind, Fraction(0), duration, motion)
    timing = make_timing(rng, duration, index)
    return Scene(split, motion, stem, duration, timing, (event,), ())
