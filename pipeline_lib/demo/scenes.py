"""What happens when: the script of every demo video, before any pixel is drawn."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import DemoDataConfig
from pipeline_lib.demo.drawing import Placed
from pipeline_lib.demo.timing import Timing, make_timing
from pipeline_lib.demo.vocabulary import (
    CLASSES,
    COLOURS,
    DISTRACTORS,
    EVENT_CLASSES,
    MOTIONS,
    Kind,
)
from pipeline_lib.runtime.seeding import numpy_stream

SPLITS = ("train", "val", "test")
RADIUS = (0.13, 0.23)
# Objects stay inside the centred square, so that a centre crop always shows them whole.
_REACH = 0.48


@dataclass(frozen=True)
class Appearance:
    """One object that is visible in exactly the frames with ``start_s <= time < end_s``.

    A single frame cannot tell the motion: an object that moves is found along its path with the
    same probability whichever way it goes, and one that grows or shrinks has a size that resting
    ones have too.

    Attributes:
        kind: Its colour and shape.
        motion: A key of ``vocabulary.MOTIONS``.
        start_s: First moment; whole hundredths of a second.
        end_s: First moment without it.
        x: Middle of its path, in picture heights from the picture's centre.
        y: Middle of its path, downwards.
        travel: Length of a straight path, or diameter of a circling one.
        radius: Size while it does not grow or shrink.
        angle: Rotation in radians.
        turn_s: Seconds of one round when circling; negative is anticlockwise.
        phase: Where a circling object starts, in radians.
        rgb: Its exact colour.
    """

    kind: Kind
    motion: str
    start_s: Fraction
    end_s: Fraction
    x: float
    y: float
    travel: float
    radius: float
    angle: float
    turn_s: float
    phase: float
    rgb: tuple[int, int, int]

    def visible(self, time: Fraction) -> bool:
        """Whether the frame presented at ``time`` shows the object."""
        return self.start_s <= time < self.end_s

    def placed(self, time: Fraction) -> Placed:
        """Where it is and how large at ``time``."""
        elapsed = float(time - self.start_s)
        done = elapsed / float(self.end_s - self.start_s)
        along = self.travel * (done - 0.5)
        dx, dy, radius = 0.0, 0.0, self.radius
        smallest, largest = RADIUS
        if self.motion in ("left", "right"):
            dx = along if self.motion == "right" else -along
        elif self.motion in ("up", "down"):
            dy = along if self.motion == "down" else -along
        elif self.motion == "circling":
            turn = self.phase + 2 * math.pi * elapsed / self.turn_s
            dx, dy = self.travel / 2 * math.cos(turn), self.travel / 2 * math.sin(turn)
        else:
            done = done if self.motion == "growing" else 1 - done
            radius = smallest + (largest - smallest) * done
        return Placed(self.kind.shape, self.rgb, self.x + dx, self.y + dy, radius, self.angle)


@dataclass(frozen=True)
class Scene:
    """The script of one video.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        class_name: Directory of its class.
        stem: File name without suffix, unique over all splits.
        duration_s: End of the last frame, up to one frame.
        timing: When frames are presented.
        events: What the annotations of its class say, in order.
        distractors: Objects of no class, in the time between events.
    """

    split: str
    class_name: str
    stem: str
    duration_s: Fraction
    timing: Timing
    events: tuple[Appearance, ...]
    distractors: tuple[Appearance, ...]

    @property
    def video_path(self) -> str:
        """The file, relative to the videos folder."""
        return f"{self.split}/{self.class_name}/{self.stem}.mp4"


def plan(config: DemoDataConfig) -> list[Scene]:
    """The scripts of all videos, ordered by class, split and number.

    Every video draws from its own random stream, so one more video changes no other one.
    """
    scenes: list[Scene] = []
    for class_name in CLASSES:
        number = 0
        for split in SPLITS:
            for _ in range(getattr(config.videos_per_class, split)):
                stem = f"{class_name}_{number:03d}"
                scenes.append(_scene(config, split, class_name, stem, len(scenes)))
                number += 1
    return scenes


def _scene(config: DemoDataConfig, split: str, class_name: str, stem: str, index: int) -> Scene:
    rng = numpy_stream(config.seed, "demo scene", stem)
    duration = hundredths(config.seconds * rng.uniform(0.6, 1.2))
    kind = EVENT_CLASSES.get(class_name)
    spans = _event_spans(rng, duration) if kind else []
    events = tuple(appearance(rng, kind, *span) for span in spans) if kind else ()
    distractors = tuple(
        appearance(rng, DISTRACTORS[rng.integers(len(DISTRACTORS))], *span)
        for span in _distractor_spans(rng, duration, spans)
    )
    timing = make_timing(rng, duration, index)
    return Scene(split, class_name, stem, duration, timing, events, distractors)


def _event_spans(rng: np.random.Generator, duration: Fraction) -> list[tuple[Fraction, Fraction]]:
    """One to three intervals that cover 50 to 65 % of the video and leave its beginning free."""
    seconds = float(duration)
    count = int(rng.choice((1, 2, 3) if seconds < 16 else (2, 3, 3)))
    covered = rng.uniform(0.5, 0.65) * seconds
    lengths = covered * _shares(rng, count)
    gaps = (seconds - covered) * _shares(rng, count + 1, first=1.5)
    spans: list[tuple[Fraction, Fraction]] = []
    time = 0.0
    for gap, length in zip(gaps, lengths, strict=False):
        previous, start = time, time + gap
        time = start + length
        # Annotators mostly start on a whole second; some do not.
        whole = round(start)
        if rng.random() < 0.85 and previous + 0.3 < whole < time - 1:
            start = whole
        spans.append((hundredths(start), hundredths(time)))
    return spans


def _distractor_spans(
    rng: np.random.Generator, duration: Fraction, events: list[tuple[Fraction, Fraction]]
) -> list[tuple[Fraction, Fraction]]:
    """Intervals for objects of no class, inside the event-free time and clear of its edges."""
    edges = [Fraction(0), *(time for span in events for time in span), duration]
    spans = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        room = float(end - begin)
        for part in range(max(1, int(room // 8))):
            if rng.random() < 0.25:
                share = room / max(1, int(room // 8))
                length = min(rng.uniform(1.5, 3.0), 0.6 * share)
                start = float(begin) + part * share + (share - length) * rng.uniform(0.2, 0.8)
                spans.append((hundredths(start), hundredths(start + length)))
    return spans


def appearance(
    rng: np.random.Generator,
    kind: Kind,
    start_s: Fraction,
    end_s: Fraction,
    motion: str | None = None,
) -> Appearance:
    """An object that comes at ``start_s`` and goes at ``end_s``.

    Args:
        rng: Chooses its path.
        kind: Its colour and shape.
        start_s: First moment.
        end_s: First moment without it.
        motion: A key of ``vocabulary.MOTIONS``; drawn where it is not given.
    """
    radius = rng.uniform(*RADIUS)
    travel = rng.uniform(0.32, 0.46)
    room = _REACH - RADIUS[1] - travel / 2
    # Also an object that does not travel is found anywhere along such a path.
    x, y = rng.uniform(-room, room, size=2) if room > 0 else (0.0, 0.0)
    motion = motion or str(rng.choice(list(MOTIONS)))
    if motion in ("left", "right", "growing", "shrinking"):
        y += rng.uniform(-0.5, 0.5) * travel
    if motion in ("up", "down", "growing", "shrinking"):
        x += rng.uniform(-0.5, 0.5) * travel
    return Appearance(
        kind=kind,
        motion=motion,
        start_s=start_s,
        end_s=end_s,
        x=float(x),
        y=float(y),
        travel=float(travel),
        radius=float(radius),
        angle=float(rng.uniform(-0.3, 0.3)),
        turn_s=float(rng.uniform(2.0, 3.2) * rng.choice((-1, 1))),
        phase=float(rng.uniform(0, 2 * math.pi)),
        rgb=varied_colour(rng, kind.colour),
    )


def varied_colour(rng: np.random.Generator, colour: str) -> tuple[int, int, int]:
    """An RGB near the nominal one of ``colour``."""
    red, green, blue = np.clip(np.array(COLOURS[colour]) + rng.normal(0, 9, 3), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def _shares(rng: np.random.Generator, count: int, first: float = 1.0) -> NDArray[np.float64]:
    """``count`` random positive parts of one; the first is ``first`` times as large as the rest."""
    parts = rng.uniform(0.6, 1.4, count)
    parts[0] *= first
    return parts / parts.sum()


def hundredths(seconds: float) -> Fraction:
    """A time in whole hundredths of a second."""
    return Fraction(round(seconds * 100), 100)
