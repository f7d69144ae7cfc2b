"""One item, with frames made up: no video is read."""

import numpy as np

from pipeline_lib.config import MineConfig
from pipeline_lib.mining.candidates import Candidate, ItemPlan
from pipeline_lib.mining.items import SupportTimes
from pipeline_lib.mining.mine_item import mine_item
from pipeline_lib.mining.watching import SeenFrame
from tests.mining.number_backbone import cosine
from tests.mining.runs import question

# Frame 41 is not shown: the damaged video still shows 40, a true frame, and then 60 for 61.
SHOWN = {10: 10, 40: 40, 41: 40, 60: 60, 61: 60, 80: 80}


def seen(number):
    angle = np.radians(number)
    return SeenFrame(number, number / 25, np.array([np.cos(angle), np.sin(angle)]))


def mined(**settings):
    times = SupportTimes((0.4, 1.6))
    drawn = tuple(Candidate(frame // 20, frame) for frame in (41, 60, 61, 80))
    plan = ItemPlan(question("q", 0.4, 1.6), times, {10: 0.4, 40: 1.6}, drawn)
    frames = {position: seen(number) for position, number in SHOWN.items()}
    return mine_item(plan, frames, MineConfig(segments=5, frames_per_segment=9, **settings))


def test_a_true_frame_or_an_earlier_one_in_a_candidates_place_is_no_candidate():
    item = mined(threshold=0.999)
    assert [(frame.kind, frame.source_index) for frame in item.frames] == [
        ("true", 10), ("true", 40), ("neg", 60), ("neg", 80),
    ]  # fmt: skip
    np.testing.assert_allclose(item.drawn_cosines, [cosine(40, 60), cosine(40, 80)], atol=1e-6)
    assert [frame.max_cosine for frame in item.frames[2:]] == list(item.drawn_cosines)


def test_a_part_without_negative_is_empty_whatever_was_drawn_there():
    assert mined(threshold=0.999).empty_segments == (0, 1, 2)
    # cos 20 degrees is 0.94: 60 is too much like 40, and 80 is not.
    assert mined(threshold=0.9).empty_segments == (0, 1, 2, 3)
