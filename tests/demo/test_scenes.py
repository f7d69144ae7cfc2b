"""The scripts of the demo videos, before any pixel is drawn."""

from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from pipeline_lib.config import DemoDataConfig, VideosPerClass
from pipeline_lib.demo.scenes import plan
from pipeline_lib.demo.vocabulary import CLASSES, DISTRACTORS, EVENT_CLASSES, MOTIONS


@pytest.fixture(scope="module")
def scenes():
    return plan(DemoDataConfig())


def test_the_default_set_is_about_a_hundred_videos(scenes):
    assert Counter(s.split for s in scenes) == {"train": 48, "val": 18, "test": 30}
    assert Counter(s.class_name for s in scenes) == dict.fromkeys(CLASSES, 16)
    assert len({scene.stem for scene in scenes}) == len(scenes)


def test_events_cover_half_of_an_event_video_and_never_its_beginning(scenes):
    with_events = [scene for scene in scenes if scene.events]
    assert {scene.class_name for scene in with_events} == set(EVENT_CLASSES)
    for scene in with_events:
        spans = [(event.start_s, event.end_s) for event in scene.events]
        covered = sum(end - start for start, end in spans) / scene.duration_s
        assert 1 <= len(spans) <= 3
        assert 0.45 < covered < 0.7
        assert spans[0][0] >= 1
        assert spans[-1][1] < scene.duration_s
        assert all(start < end for start, end in spans)
        assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_videos_last_between_12_and_24_seconds(scenes):
    durations = [float(scene.duration_s) for scene in scenes]
    assert min(durations) >= 12
    assert max(durations) <= 24
    assert np.std(durations) > 2


def test_distractors_are_of_no_class_and_apart_from_events(scenes):
    assert not set(DISTRACTORS) & set(EVENT_CLASSES.values())
    assert any(scene.distractors for scene in scenes if not scene.events)
    for scene in scenes:
        for one in scene.distractors:
            assert all(one.end_s < e.start_s or e.end_s < one.start_s for e in scene.events)


def test_neither_colour_nor_shape_alone_tells_the_classes():
    objects = [*EVENT_CLASSES.values(), *DISTRACTORS]
    for kind in EVENT_CLASSES.values():
        others = [other for other in objects if other != kind]
        assert any(other.colour == kind.colour for other in others)
        assert any(other.shape == kind.shape for other in others)


def test_some_videos_are_ntsc_and_some_irregular(scenes):
    rates = Counter((s.timing.rate, s.timing.time_base) for s in scenes)
    assert rates[Fraction(30000, 1001), Fraction(1001, 30000)] >= 5
    assert rates[Fraction(24), Fraction(1, 1000)] >= 5
    assert rates[Fraction(24), Fraction(1, 24)] > 50
    for scene in scenes:
        assert scene.timing.pts[0] == 0
        assert all(before < after for before, after in pairwise(scene.timing.pts))
        if scene.timing.time_base == Fraction(1, 1000):
            assert len(set(np.diff(scene.timing.pts))) > 10


def test_one_more_video_changes_no_other_one():
    few = {s.stem: s for s in plan(DemoDataConfig(videos_per_class=VideosPerClass(test=1)))}
    more = {s.stem: s for s in plan(DemoDataConfig(videos_per_class=VideosPerClass(test=2)))}
    assert len(more) == len(few) + len(CLASSES)
    for stem, scene in few.items():
        assert scene.events == more[stem].events
        assert scene.duration_s == more[stem].duration_s


@cache
def many_events():
    config = DemoDataConfig(videos_per_class=VideosPerClass(train=60, val=1, test=1))
    return [event for scene in plan(config) for event in scene.events]


def appearances(motion):
    return [event for event in many_events() if event.motion == motion]


def path(event):
    span = event.end_s - event.start_s
    return [event.placed(event.start_s + span * Fraction(k, 50)) for k in range(50)]


@pytest.mark.parametrize(
    ("motion", "attribute", "sign"),
    [
        ("left", "x", -1),
        ("right", "x", 1),
        ("up", "y", -1),
        ("down", "y", 1),
        ("growing", "radius", 1),
        ("shrinking", "radius", -1),
    ],
)
def test_an_object_moves_as_its_caption_says(motion, attribute, sign):
    for event in appearances(motion)[:10]:
        steps = np.diff([getattr(placed, attribute) for placed in path(event)])
        assert (sign * steps > 0).all()
        others = {"x", "y", "radius"} - {attribute}
        assert all(len({getattr(p, other) for p in path(event)}) == 1 for other in others)


def test_a_circling_object_comes_round():
    for event in appearances("circling")[:10]:
        one_turn = Fraction(abs(event.turn_s))
        start, later = event.placed(event.start_s), event.placed(event.start_s + one_turn)
        half = event.placed(event.start_s + one_turn / 2)
        assert (later.x, later.y) == pytest.approx((start.x, start.y))
        assert np.hypot(half.x - start.x, half.y - start.y) == pytest.approx(event.travel)


def test_a_single_frame_does_not_tell_the_motion():
    """Over many videos, every motion has objects in the same places and of the same sizes."""
    rng = np.random.default_rng(0)
    found = {
        motion: np.array(
            [
                (abs(p.x), abs(p.y), p.x, p.y, p.radius)
                for event in appearances(motion)
                for p in [path(event)[rng.integers(50)] for _ in range(5)]
            ]
        )
        for motion in MOTIONS
    }
    everywhere = np.concatenate(list(found.values()))
    for motion, places in found.items():
        shift = (places.mean(axis=0) - everywhere.mean(axis=0)) / everywhere.std(axis=0)
        assert np.abs(shift[2:]).max() < 0.3, motion


def test_objects_stay_inside_the_centre_crop(scenes):
    for scene in scenes:
        for one in (*scene.events, *scene.distractors):
            for placed in path(one):
                assert abs(placed.x) + placed.radius < 0.5
                assert abs(placed.y) + placed.radius < 0.5
