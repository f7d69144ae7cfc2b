"""Short clips in which only motion differs."""

import json
from collections import Counter

import pytest
from pydantic import ValidationError

from pipeline_lib.config import DemoDataConfig, DemoMotionsConfig, KindsPerSplit, VideosPerClass
from pipeline_lib.demo.dataset import write_demo_data
from pipeline_lib.demo.motion_clips import kinds_of_splits, plan_clips
from pipeline_lib.demo.vocabulary import MOTIONS
from pipeline_lib.video.probe import timestamps

CONFIG = DemoMotionsConfig(kinds=KindsPerSplit(train=2, val=1, test=1), repeats=2, seconds=1.0)


def test_no_object_is_in_two_splits():
    kinds = kinds_of_splits(DemoMotionsConfig(), seed=7)
    everything = [kind for split in kinds.values() for kind in split]
    assert len(everything) == len(set(everything)) == 72
    assert [len(kinds[split]) for split in ("train", "val", "test")] == [52, 8, 12]


def test_every_object_of_a_split_is_seen_in_every_motion():
    clips = plan_clips(CONFIG, seed=7)
    counted = Counter((clip.split, clip.class_name) for clip in clips)
    assert set(counted) == {(s, m) for s in ("train", "val", "test") for m in MOTIONS}
    assert {n for (split, _), n in counted.items() if split == "train"} == {4}
    assert {n for (split, _), n in counted.items() if split != "train"} == {1}
    for clip in clips:
        (event,) = clip.events
        assert event.motion == clip.class_name
        assert (event.start_s, event.end_s) == (0, clip.duration_s)


def test_one_more_object_changes_no_other_clip():
    more = DemoMotionsConfig(kinds=KindsPerSplit(train=2, val=1, test=2), repeats=2, seconds=1.0)
    before = {(c.split, c.stem): c.events for c in plan_clips(CONFIG, seed=7)}
    after = {(c.split, c.stem): c.events for c in plan_clips(more, seed=7)}
    assert before.items() <= after.items()


def test_more_objects_than_there_are_cannot_be_asked_for():
    with pytest.raises(ValidationError, match="only 72 colours and shapes"):
        DemoMotionsConfig(kinds=KindsPerSplit(train=60, val=8, test=12))


def test_every_test_clip_has_a_caption_of_its_own(tmp_path):
    config = DemoDataConfig(
        seconds=6.0, videos_per_class=VideosPerClass(train=1, val=1, test=1), motions=CONFIG
    )
    write_demo_data(tmp_path, config)
    items = json.loads((tmp_path / "clips" / "captions.json").read_text())["data"]
    said = [item["caption"] for item in items if item["video_path"].startswith("test/")]
    assert len(said) == len(set(said)) == len(MOTIONS)
    for item in items:
        path = tmp_path / "clips" / "videos" / item["video_path"]
        assert len(timestamps(path)) > 10
        assert item["motion"] in item["video_path"]
