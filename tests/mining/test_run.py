"""Mining real videos whose frames carry their number."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import BatchError, WeightsError
from pipeline_lib.mining import run as mining_run
from pipeline_lib.mining import watching
from pipeline_lib.mining.items import VideoFolder
from pipeline_lib.mining.run import Miner
from tests.mining.number_backbone import NumberBackbone, cosine
from tests.support.video_files import constant_rate, garbage, read_number

FPS = 25
# Frames more than 18 degrees, so more than 18 frames, away from every true frame pass.
CONFIG = MineConfig(segments=5, frames_per_segment=2, tries_per_segment=6, threshold=0.951)


def question(name, *times, video="train/a/long.mp4"):
    return Question(
        id=name,
        question=f"What is {name}?",
        choices=("one", "two"),
        video_path=video,
        support_frames=tuple(map(float, times)),
    )


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "videos"
    constant_rate(root / "train/a/long.mp4", 100, FPS)
    for n in range(1, 7):
        constant_rate(root / f"train/a/short{n}.mp4", n, FPS)
    garbage(root / "train/a/garbage.mp4")
    return root


def mine(videos, out, *questions, config=CONFIG, backbone=None, exclude=()):
    out.mkdir(parents=True, exist_ok=True)
    miner = Miner(backbone or NumberBackbone(), config, out)
    report = miner.run(questions, VideoFolder(videos, exclude))
    report.write_tables(out)
    return report


def table(out):
    return pd.read_parquet(out / "mined.parquet")


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def tree(out):
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_saved_frames_are_what_their_rows_say(videos, tmp_path):
    mine(videos, tmp_path, question("q", 2.0, 0.5))
    rows = table(tmp_path)
    for row in rows.itertuples():
        image = picture(tmp_path / row.path)
        assert image.shape == (96, 256, 3)
        assert read_number(image) == row.source_index
        assert row.pts_s == pytest.approx(row.source_index / FPS)
    true = rows[rows.kind == "true"]
    assert true.path.tolist() == [
        "frames_true/q/q_true00_f000012.png",
        "frames_true/q/q_true01_f000050.png",
    ]
    assert true.requested_s.tolist() == [0.5, 2.0]
    assert true.segment.tolist() == [-1, -1]
    assert true.max_cosine.isna().all()
    negatives = rows[rows.kind == "neg"]
    assert negatives.requested_s.isna().all()
    for row in negatives.itertuples():
        name = f"q_neg_seg{row.segment:02d}_f{row.source_index:06d}.png"
        assert row.path == f"frames_neg/q/{name}"
        assert row.segment == row.source_index // 20
    assert set(rows.question) == {"What is q?"}
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("frames_*/*/*.png")}
    assert files == set(rows.path)


def test_every_saved_negative_rescores_below_the_threshold(videos, tmp_path):
    questions = [question(f"q{k}", *(0.3 * k, 0.3 * k + 0.8)) for k in range(8)]
    mine(videos, tmp_path, *questions)
    rows = table(tmp_path)
    checked = 0
    for _, item in rows.groupby("id"):
        true = [read_number(picture(tmp_path / p)) for p in item.path[item.kind == "true"]]
        for row in item[item.kind == "neg"].itertuples():
            number = read_number(picture(tmp_path / row.path))
            scores = [cosine(number, other) for other in true]
            assert max(scores) < CONFIG.threshold
            assert row.max_cosine == pytest.approx(max(scores), abs=1e-6)
            checked += 1
    assert checked > 30


def test_a_part_where_all_look_true_gives_no_negative(videos, tmp_path):
    report = mine(videos, tmp_path, question("q", 0.5))  # frame 12: all of part 0 within 18 frames
    assert 0 in report.mined[0].empty_segments
    assert 4 not in report.mined[0].empty_segments
    assert report.metrics()["segments_without_negative"] == len(report.mined[0].empty_segments)


def test_result_depends_on_neither_order_nor_company(videos, tmp_path):
    questions = [question(f"q{k}", 0.4 * k) for k in range(5)]
    questions += [question(f"s{n}", 0.0, video=f"train/a/short{n}.mp4") for n in (3, 6)]
    mine(videos, tmp_path / "first", *questions)
    order = np.random.default_rng(1).permutation(len(questions))
    mine(videos, tmp_path / "shuffled", *[questions[k] for k in order])
    mine(videos, tmp_path / "wide", *questions, backbone=NumberBackbone(batch_size=64))
    first = tree(tmp_path / "first")
    assert tree(tmp_path / "shuffled") == first
    assert tree(tmp_path / "wide") == first
    mine(videos, tmp_path / "alone", questions[3])
    alone = {name: digest for name, digest in tree(tmp_path / "alone").items() if "q3" in name}
    assert len(alone) > 5
    assert alone.items() <= first.items()


def test_one_decode_a_video_and_never_more_than_a_batch(videos, tmp_path, monkeypatch):
    opened = []

    def counting(path):
        opened.append(path)
        return open_video(path)

    open_video = watching.open_video
    monkeypatch.setattr(watching, "open_video", counting)
    backbone = NumberBackbone(batch_size=4)
    mine(videos, tmp_path, *[question(f"q{k}", 0.4 * k) for k in range(6)], backbone=backbone)
    assert len(opened) == 1
    assert max(backbone.batches) == 4
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_times_of_one_frame_make_one_true_frame(videos, tmp_path):
    mine(videos, tmp_path, question("q", 1.01, 1.0, 1.039, 1.04))
    true = table(tmp_path).query("kind == 'true'")
    assert true.source_index.tolist() == [25, 26]
    assert true.requested_s.tolist() == [1.0, 1.04]


@pytest.mark.parametrize("n", range(1, 7))
def test_very_short_videos(videos, tmp_path, n):
    item = question("q", 0.0, video=f"train/a/short{n}.mp4")
    report = mine(videos, tmp_path, item, config=MineConfig(threshold=0.99999))
    rows = table(tmp_path)
    assert rows.source_index.tolist() == list(range(n))  # no part has two of them to choose from
    assert (rows.kind == "true").sum() == 1
    parts = {k * 5 // n for k in range(1, n)}
    assert sorted(rows[rows.kind == "neg"].segment) == sorted(parts)
    assert report.mined[0].empty_segments == tuple(sorted(set(range(5)) - parts))
    assert (tmp_path / "sheets/q.png").exists()


def test_failures_name_their_reason_and_the_others_are_finished(videos, tmp_path):
    bad = {
        "after": (question("after", 1.0, 4.01), "beyond_end"),
        "before": (question("before", -1.0), "negative_time"),
        "broken": (question("broken", 1.0, video="train/a/garbage.mp4"), "unreadable"),
        "gone": (question("gone", 1.0, video="train/a/none.mp4"), "missing"),
        "out": (question("out", 1.0, video="../qa.json"), "unsafe_path"),
        "x/y": (question("x/y", 1.0), "unsafe_id"),
    }
    good = [question("q1", 1.0), question("q2", 4.0)]  # 4.0 s is the end itself
    report = mine(videos, tmp_path, *[item for item, _ in bad.values()], *good)
    failures = pd.read_csv(tmp_path / "failures.csv")
    assert dict(zip(failures.id, failures.reason, strict=True)) == {
        name: reason for name, (_, reason) in bad.items()
    }
    assert "support frame at 4.01 s, but train/a/long.mp4 ends at 4 s" in failures.message[0]
    assert set(table(tmp_path).id) == {"q1", "q2"}
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {"q1.png", "q2.png"}
    assert report.metrics()["items_failed"] == 6
    with pytest.raises(BatchError, match=r"6 of 8 items could not be mined, first: Item 'after'"):
        report.raise_failures(tmp_path)


def test_items_that_ask_for_nothing_are_listed_and_are_no_failures(videos, tmp_path):
    items = [question("empty"), question("left", 1.0, video="train/a/garbage.mp4")]
    report = mine(videos, tmp_path, *items, question("q", 1.0), exclude=("train/a/garbage.mp4",))
    skipped = pd.read_csv(tmp_path / "skipped.csv")
    assert skipped.id.tolist() == ["empty", "left"]
    assert skipped.reason.tolist() == ["no_support_frames", "excluded"]
    assert not (tmp_path / "failures.csv").exists()
    report.raise_failures(tmp_path)
    assert report.metrics()["items_without_support"] == 1


def test_counts_and_the_control(videos, tmp_path):
    report = mine(videos, tmp_path, question("q1", 0.0), question("q2", 3.9))
    metrics = report.metrics()
    rows = table(tmp_path)
    assert (metrics["items"], metrics["items_mined"], metrics["true_frames"]) == (2, 2, 2)
    assert metrics["neg_frames"] == (rows.kind == "neg").sum()
    assert metrics["negatives"]["mean_cosine"] == pytest.approx(rows.max_cosine.mean())
    random = metrics["negatives"]["control"]["random"]["mean_cosine"]
    assert random > metrics["negatives"]["mean_cosine"]
    assert sum(len(item.drawn_cosines) for item in report.mined) == 60


def test_without_negatives_their_cosine_is_undefined(videos, tmp_path):
    config = MineConfig(threshold=-1.0)
    metrics = mine(videos, tmp_path, question("q", 1.0), config=config).metrics()
    assert metrics["negatives"]["mean_cosine"] is None
    assert metrics["segments_without_negative"] == 5
    assert metrics["negatives"]["control"]["random"]["mean_cosine"] is not None


def test_no_items_give_an_empty_table_with_all_columns(videos, tmp_path):
    metrics = mine(videos, tmp_path).metrics()
    assert metrics["negatives"] == {
        "mean_cosine": None,
        "control": {"random": {"mean_cosine": None}},
    }
    rows = table(tmp_path)
    assert len(rows) == 0
    assert rows.dtypes.astype(str).to_dict()["segment"] == "int64"


def test_a_damaged_video_gives_no_frame_twice(videos, tmp_path, caplog):
    root = tmp_path / "videos"
    path = constant_rate(root / "train/a/long.mp4", 100, FPS, gop=100)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    size = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    content[start + size // 3 : start + size // 2] = bytes(size // 2 - size // 3)
    path.write_bytes(content)
    config = MineConfig(segments=5, frames_per_segment=20, tries_per_segment=20, threshold=1.0)
    report = mine(root, tmp_path / "out", question("q", 1.6), config=config)
    assert not report.failures
    rows = table(tmp_path / "out")
    assert rows.source_index.is_unique
    assert len(rows) < 100  # frames are missing, or this test damages nothing
    assert "corrupt packets" in caplog.text


def test_an_embedding_without_direction_stops_the_run(videos, tmp_path):
    class Blind(NumberBackbone):
        def encode(self, frames):
            return 0 * super().encode(frames)

    with pytest.raises(WeightsError, match="embedding of length 0"):
        mine(videos, tmp_path, question("q", 1.0), backbone=Blind())


def test_a_video_that_cannot_be_read_fails_all_its_items(videos, tmp_path, monkeypatch):
    items = [question(f"q{k}", 1.0, video="train/a/garbage.mp4") for k in range(3)]
    monkeypatch.setattr(mining_run, "mine_item", None)
    report = mine(videos, tmp_path, *items)
    assert [row.reason for row in report.failures] == ["unreadable"] * 3
