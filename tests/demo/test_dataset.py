"""The rendered data set: exact truth, the same bytes again, files that other stages can read."""

import dataclasses
import json
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline_lib.annotations.folder import read_event_tables
from pipeline_lib.config import DemoDataConfig, DemoMotionsConfig, KindsPerSplit, VideosPerClass
from pipeline_lib.datasets.questions import read_questions
from pipeline_lib.demo.dataset import write_demo_data
from pipeline_lib.demo.encoding import write_mp4
from pipeline_lib.demo.filming import Film
from pipeline_lib.demo.scenes import plan
from pipeline_lib.demo.vocabulary import (
    CLASSES,
    COLOURS,
    EVENT_CLASSES,
    SHAPES,
    VISITORS,
)
from pipeline_lib.errors import DataError
from pipeline_lib.video.probe import timestamps

CONFIG = DemoDataConfig(
    seed=3,
    seconds=6.0,
    videos_per_class=VideosPerClass(train=2, val=1, test=1),
    motions=DemoMotionsConfig(kinds=KindsPerSplit(train=1, val=1, test=1), repeats=1, seconds=1.0),
)
SIZE = (CONFIG.width, CONFIG.height)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    return root, write_demo_data(root, CONFIG)


def contents(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_same_seed_gives_the_same_bytes(written, tmp_path):
    root, _ = written
    write_demo_data(tmp_path, CONFIG)
    assert contents(tmp_path) == contents(root)


def test_another_seed_gives_other_pixels_and_other_times(written):
    _, scenes = written
    others = plan(dataclasses.replace(CONFIG, seed=4))
    first = next(scene for scene in scenes if scene.events)
    other = next(scene for scene in others if scene.stem == first.stem)
    assert other.events != first.events
    start = Film(first, 3, *SIZE).frame(Fraction(0))
    assert (Film(first, 4, *SIZE).frame(Fraction(0)) != start).any()


def test_the_layout(written):
    root, scenes = written
    videos = {p.relative_to(root / "videos").as_posix() for p in (root / "videos").rglob("*.mp4")}
    assert videos == {scene.video_path for scene in scenes}
    assert {path.split("/")[1] for path in videos} == set(CLASSES)
    tables = {path.name for path in (root / "annotations").iterdir()}
    assert tables == {f"{name}_timestamp.csv" for name in EVENT_CLASSES}


def test_every_video_is_h264_of_the_promised_frames(written):
    root, scenes = written
    for scene in scenes:
        path = root / "videos" / scene.video_path
        with av.open(str(path)) as container:
            (stream,) = container.streams
            assert stream.codec_context.name == "h264"
            assert (stream.width, stream.height) == SIZE
            assert "creation_time" not in container.metadata
            frames = [frame.pts * stream.time_base for frame in container.decode(stream)]
        assert frames == scene.timing.times_s
        assert timestamps(path) == pytest.approx([float(t) for t in scene.timing.times_s])


def object_is_seen(frame, kind):
    """Whether a patch of the object's strong colour is in the frame; the ground has none."""
    red, green, blue = (frame[..., channel].astype(int) for channel in range(3))
    margin = {
        "red": red - np.maximum(green, blue),
        "green": green - np.maximum(red, blue),
        "yellow": np.minimum(red, green) - blue,
    }[kind.colour]
    return (margin > 55).sum() > 60


def test_the_object_is_in_exactly_the_frames_of_its_event(tmp_path):
    with_events = [scene for scene in plan(CONFIG) if scene.events]
    clocks = {scene.timing.time_base: scene for scene in with_events}
    assert len(clocks) == 3
    for scene in (with_events[0], *clocks.values()):
        alone = dataclasses.replace(scene, distractors=())
        path = tmp_path / f"{scene.stem}.mp4"
        write_mp4(path, Film(alone, CONFIG.seed, *SIZE).frames(), scene.timing, SIZE)
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                expected = any(e.start_s <= frame.pts * frame.time_base < e.end_s
                               for e in scene.events)  # fmt: skip
                seen = object_is_seen(frame.to_ndarray(format="rgb24"), scene.events[0].kind)
                assert seen == expected, (scene.stem, frame.time)


def test_annotations_read_back_as_the_truth(written):
    root, scenes = written
    tables = read_event_tables(root / "annotations", CLASSES)
    read = sorted(
        (row.file_name.removesuffix(".mp4"), row.start_s, row.end_s)
        for table in tables.values()
        for row in table.rows
    )
    truth = sorted(
        (scene.stem, float(event.start_s), float(event.end_s))
        for scene in scenes
        for event in scene.events
    )
    assert read == truth


def test_annotations_write_times_in_several_ways(written):
    root, _ = written
    text = "".join(path.read_text() for path in sorted((root / "annotations").iterdir()))
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("file_name")]
    assert {":" in start for _, start, _ in rows} == {True, False}
    assert {name.endswith(".mp4") for name, _, _ in rows} == {True, False}


def test_questions_point_at_what_they_ask_for(written):
    root, scenes = written
    by_path = {scene.video_path: scene for scene in scenes}
    questions = read_questions(root / "qa.json").questions
    words = [{VISITORS[visit.kind] for visit in scene.distractors} for scene in scenes]
    assert len(questions) == sum(map(len, words)) > 0
    for question in questions:
        scene = by_path[question.video_path]
        word = question.id.removeprefix(f"{scene.stem}_")
        seen = [visit for visit in scene.distractors if VISITORS[visit.kind] == word]
        assert question.question == f"When does the {word} pass by?"
        assert len(set(question.choices)) == 4
        assert len(seen) <= len(question.support_frames) <= 2 * len(seen)
        for visit in seen:
            assert any(visit.visible(Fraction(time)) for time in question.support_frames)
        for time in question.support_frames:
            assert any(visit.visible(Fraction(time)) for visit in seen)


def test_questions_are_not_asked_in_the_words_of_captions(written):
    root, _ = written
    text = " ".join(q.question for q in read_questions(root / "qa.json").questions)
    told = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    assert [words for words in told if words in text] == []


def test_one_caption_an_event(written):
    root, scenes = written
    captions = json.loads((root / "captions.json").read_text())["data"]
    assert len({caption["id"] for caption in captions}) == len(captions)
    events = [event for scene in scenes for event in scene.events]
    assert len(captions) == len(events)
    for caption, event in zip(captions, events, strict=True):
        assert caption["caption"].startswith(f"a {caption['colour']} {caption['shape']} ")
        assert caption["motion"] == event.motion
        assert caption["start_s"] == float(event.start_s)
        assert caption["end_s"] == float(event.end_s)
        assert (root / "videos" / caption["video_path"]).is_file()


def test_foreign_videos_are_not_mixed_in(tmp_path):
    stranger = tmp_path / "videos/train/cat/mine.mp4"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"precious")
    with pytest.raises(DataError, match=r"mine\.mp4: not a video of this demo data set"):
        write_demo_data(tmp_path, CONFIG)
    assert contents(tmp_path) == {"videos/train/cat/mine.mp4": b"precious"}
