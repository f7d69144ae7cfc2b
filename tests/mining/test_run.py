"""Mining real videos whose frames carry their number."""

import hashlib
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.mined import read_mined
from pipeline_lib.datasets.questions import ItemFault, QuestionFile
from pipeline_lib.errors import BatchError, VideoError, WeightsError
from pipeline_lib.mining import spool, watching
from pipeline_lib.mining.items import VideoFolder
from pipeline_lib.mining.run import Miner
from tests.mining.number_backbone import NumberBackbone, cosine
from tests.mining.runs import CONFIG, FPS, mine, question, table, tree
from tests.support.video_files import constant_rate, read_number


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


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


def test_result_depends_on_neither_order_nor_company_nor_workers(videos, tmp_path):
    questions = [question(f"q{k}", 0.4 * k) for k in range(5)]
    questions += [question(f"s{n}", 0.0, video=f"train/a/short{n}.mp4") for n in (3, 6)]
    mine(videos, tmp_path / "first", *questions)
    order = np.random.default_rng(1).permutation(len(questions))
    mine(videos, tmp_path / "shuffled", *[questions[k] for k in order])
    mine(videos, tmp_path / "wide", *questions, backbone=NumberBackbone(batch_size=64))
    for workers in (1, 4):
        shuffled = [questions[k] for k in np.random.default_rng(workers).permutation(order)]
        mine(videos, tmp_path / f"by {workers}", *shuffled, workers=workers)
        assert tree(tmp_path / f"by {workers}") == tree(tmp_path / "first")
    first = tree(tmp_path / "first")
    assert tree(tmp_path / "shuffled") == first
    assert tree(tmp_path / "wide") == first
    mine(videos, tmp_path / "alone", questions[3])
    alone = {name: digest for name, digest in tree(tmp_path / "alone").items() if "q3" in name}
    assert len(alone) > 5
    assert alone.items() <= first.items()


def test_one_decode_a_video_and_never_more_than_a_batch(videos, tmp_path, opened):
    backbone = NumberBackbone(batch_size=4)
    mine(videos, tmp_path, *[question(f"q{k}", 0.4 * k) for k in range(6)], backbone=backbone)
    assert len(opened) == 1
    assert max(backbone.batches) == 4
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_questions_about_a_video_share_its_candidates(videos, tmp_path, opened):
    # 5 parts of 6 candidates each; a true frame that is one of them lets in one more.
    mine(videos, tmp_path, *[question(f"q{k}", 0.1 * k) for k in range(40)])
    assert 30 < opened[0] <= 30 + 2 * 40
    mine(videos, tmp_path / "other", *[question(f"q{k}", 1.0) for k in range(40)])
    assert opened[1] == 31


@pytest.mark.parametrize("strategy", ["random", "hard"])
def test_pixels_beyond_the_budget_are_read_again(videos, tmp_path, monkeypatch, opened, strategy):
    config = replace(CONFIG, strategy=strategy)
    questions = [question(f"q{k}", 0.4 * k) for k in range(3)]
    mine(videos, tmp_path / "roomy", *questions, config=config)
    monkeypatch.setattr(spool.Spool.__init__, "__defaults__", (7 * 96 * 256 * 3,))
    mine(videos, tmp_path / "tight", *questions, config=config)
    assert tree(tmp_path / "tight") == tree(tmp_path / "roomy")
    assert len(opened) == 3
    frames = table(tmp_path / "tight").source_index.nunique()
    assert frames - 7 <= opened[2] <= frames


def test_hard_negatives_are_the_most_similar_that_pass(videos, tmp_path):
    config = replace(CONFIG, strategy="hard", tries_per_segment=20, frames_per_segment=1)
    mine(videos, tmp_path, question("q", 2.0), config=config)
    # All 20 frames of each part are candidates; 18 frames from frame 50 have a cosine of 0.95106.
    negatives = table(tmp_path).query("kind == 'neg'")
    assert negatives.source_index.tolist() == [19, 31, 69, 80]


def test_a_copy_under_another_name_gets_the_same_frames(videos, tmp_path):
    folder = tmp_path / "videos/train/a"
    folder.mkdir(parents=True)
    for name in ("one", "two"):
        shutil.copy(videos / "train/a/long.mp4", folder / f"{name}.mp4")
    items = [question(name, 1.0, video=f"train/a/{name}.mp4") for name in ("one", "two")]
    mine(tmp_path / "videos", tmp_path, *items)
    first, second = (rows.source_index.tolist() for _, rows in table(tmp_path).groupby("id"))
    assert first == second


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


def test_failures_name_their_reason_and_line_and_the_others_are_finished(videos, tmp_path):
    bad = {
        "after": (question("after", 1.0, 4.01, line=11), "beyond_end"),
        "before": (question("before", -1.0, line=12), "negative_time"),
        "broken": (question("broken", 1.0, video="train/a/garbage.mp4", line=13), "unreadable"),
        "gone": (question("gone", 1.0, video="train/a/none.mp4", line=14), "missing_video"),
    }
    fault = ItemFault(
        id="x", video_path="train/a/long.mp4", line=5, reason="missing_field", message="qa.json:5:"
    )
    good = [question("q1", 1.0), question("q2", 4.0)]  # 4.0 s is the end itself
    report = mine(videos, tmp_path, *[item for item, _ in bad.values()], *good, faults=[fault])
    failures = pd.read_csv(tmp_path / "failures.csv")
    assert dict(zip(failures.id, failures.reason, strict=True)) == {
        **{name: reason for name, (_, reason) in bad.items()},
        "x": "missing_field",
    }
    assert failures.line.tolist() == [11, 12, 13, 14, 5]
    assert failures.message[0].startswith(
        "qa.json:11: item 'after': support_frames[1] = 4.01 s, but its video ends at 4 s"
    )
    assert failures.message[2].startswith("qa.json:13: item 'broken': ")
    assert set(table(tmp_path).id) == {"q1", "q2"}
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {"q1.png", "q2.png"}
    assert report.metrics()["items_failed"] == 5
    reasons = ["missing_field", *(reason for _, reason in bad.values())]
    assert report.metrics()["failed_because"] == dict.fromkeys(reasons, 1)
    with pytest.raises(BatchError, match=r"5 of 7 items could not be mined, first: qa\.json:5:"):
        report.raise_failures(tmp_path)


def test_every_item_of_the_file_is_in_the_table_of_items(videos, tmp_path):
    fault = ItemFault(id="", video_path="", line=9, reason="bad_field", message="qa.json:9: …")
    items = [
        question("q", 2.0, 1.0, 2.0, line=2),
        question("none", line=3),
        question("gone", 1.0, video="train/a/none.mp4", line=4),
        question("left", 1.0, video="train/a/short3.mp4", line=5),
    ]
    mine(videos, tmp_path, *items, faults=[fault], exclude=("train/a/short3.mp4",))
    rows = read_mined(tmp_path).items
    assert rows.id.tolist() == ["", "gone", "left", "none", "q"]
    assert rows.line.tolist() == [9, 4, 5, 3, 2]
    assert rows.status.tolist() == ["failed", "failed", "excluded", "no_support_frames", "mined"]
    assert rows.reason.tolist() == [
        "bad_field", "missing_video", "excluded", "no_support_frames", "",
    ]  # fmt: skip
    assert [list(times) for times in rows.support_frames] == [[], [1.0], [1.0], [], [1.0, 2.0]]
    assert [list(words) for words in rows.choices] == [[]] + 4 * [["one", "two"]]
    digest = hashlib.sha256((videos / "train/a/long.mp4").read_bytes()).hexdigest()
    assert rows.video_sha256.tolist() == ["", "", "", digest, digest]
    assert rows.message[4] == ""
    assert rows.message[1].startswith("qa.json:4: item 'gone': there is no video")


def test_times_outside_the_video_are_moved_or_left_out_and_counted(videos, tmp_path):
    config = replace(CONFIG, negative_time="clamp", beyond_end="drop")
    items = [question("q", -1.0, 2.0, 9.0), question("lost", 5.0, 9.0)]
    report = mine(videos, tmp_path, *items, config=config)
    assert table(tmp_path).query("kind == 'true'").source_index.tolist() == [0, 50]
    metrics = report.metrics()
    assert (metrics["times_clamped"], metrics["times_dropped"]) == (1, 3)
    assert [(row.id, row.reason) for row in report.skipped] == [("lost", "no_support_frames")]
    assert "dropped" in report.skipped[0].message
    config = replace(CONFIG, beyond_end="clamp")
    mine(videos, tmp_path / "last", question("q", 9.0), config=config)
    true = table(tmp_path / "last").query("kind == 'true'")
    assert true.source_index.tolist() == [99]
    assert true.requested_s.tolist() == [3.96]


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
    scratch = tmp_path / "scratch"
    report = mine(root, tmp_path / "out", question("q", 1.6), config=config, scratch=scratch)
    assert not report.failures
    assert not (scratch / "mining").exists()  # what it shows may hang on how it is read
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


def test_a_video_that_cannot_be_read_fails_all_its_items(videos, tmp_path):
    items = [question(f"q{k}", 1.0, video="train/a/garbage.mp4") for k in range(3)]
    report = mine(videos, tmp_path, *items)
    assert [row.reason for row in report.failures] == ["unreadable"] * 3
    assert len({row.video_sha256 for row in report.failures}) == 1


def test_a_video_that_breaks_while_it_is_mined_leaves_no_pictures(videos, tmp_path, monkeypatch):
    def broken(self, chosen):
        for number, found in enumerate(pictures(self, chosen)):
            if number == 3:
                raise VideoError("gone", reason="missing")
            yield found

    pictures = watching.WatchedVideo.pictures
    monkeypatch.setattr(watching.WatchedVideo, "pictures", broken)
    report = mine(videos, tmp_path, question("q", 1.0, 2.0))
    assert [row.reason for row in report.failures] == ["missing"]
    assert not list(tmp_path.rglob("*.png"))
    assert not report.mined


def test_the_bar_moves_once_a_video_in_the_main_thread(videos, tmp_path):
    moved = []

    class Bar:
        @contextmanager
        def task(self, title, total):
            yield lambda amount=1, note="": moved.append(
                (total, amount, note, threading.current_thread() is threading.main_thread())
            )

    items = [question(f"s{n}", 0.0, video=f"train/a/short{n}.mp4") for n in range(1, 7)]
    miner = Miner(NumberBackbone(), CONFIG, tmp_path, workers=4)
    miner.run(QuestionFile((*items, *items[:2]), ()), VideoFolder(videos), Bar())
    assert sorted(moved) == [(6, 1, f"short{n}", True) for n in range(1, 7)]
