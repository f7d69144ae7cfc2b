"""Numbers worked out by hand, on videos of 100 frames of which every fifth is sampled.

With k = 4 the parts of the timeline hold frames 0-20, 25-45, 50-70 and 75-95; their middles are 10,
35, 60 and 85.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline_lib.config import EvaluateConfig, SimMConfig
from pipeline_lib.errors import BatchError, WeightsError
from pipeline_lib.evaluation import Outputs
from pipeline_lib.evaluation.pos_neg import watching
from pipeline_lib.runtime.lanes import Lanes
from tests.evaluation.pos_neg.project import (
    POS_NEG,
    NumberClip,
    broken,
    evaluate,
    models,
    row,
    write_videos,
)
from tests.mining.number_backbone import cosine
from tests.support.video_files import constant_rate


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pos_neg") / "videos"
    write_videos(root, ("test/a/one.mp4", "test/a/two.mp4", "val/a/three.mp4"))
    broken(root, "test/a/garbage.mp4")
    return root


def chosen(evaluation, name, chooser, split="test"):
    found = {item.item.id: item for item in evaluation.measured[split]}
    return found[name].of(chooser)


def frames_of(evaluation, name, chooser):
    return [frames.source_index.tolist() for frames in chosen(evaluation, name, chooser)]


def test_who_chooses_which_frames(videos):
    evaluation = evaluate(videos, row("q1", 42), row("q2", 12, video="test/a/two.mp4"))
    assert frames_of(evaluation, "q1", "fine_tuned") == [[20, 40, 50, 75]]
    assert frames_of(evaluation, "q1", "zero_shot") == [[20, 45, 60, 75]]  # it looks for 62
    assert frames_of(evaluation, "q1", "uniform") == [[10, 35, 60, 85]]
    assert frames_of(evaluation, "q1", "shuffled") == [[10, 25, 50, 75]]  # asked for 12
    assert frames_of(evaluation, "q2", "shuffled") == [[20, 40, 50, 75]]
    draws = frames_of(evaluation, "q1", "chance")
    assert len(draws) == 3
    for draw in draws:
        assert [frame // 25 for frame in draw] == [0, 1, 2, 3]
    assert len(set(map(tuple, draws))) > 1
    (frames,) = chosen(evaluation, "q1", "fine_tuned")
    np.testing.assert_allclose(frames.pts_s, [0.8, 1.6, 2.0, 3.0])
    np.testing.assert_allclose(frames.scores, [cosine(f, 42) for f in (20, 40, 50, 75)], atol=1e-6)
    assert chosen(evaluation, "q1", "uniform")[0].scores is None


def test_metrics_by_hand(videos):
    # Frame 40 is near 42; before, 45 is three frames away. Of two moments only 42 is found.
    tree = evaluate(videos, row("q1", 42), row("q2", 42, 28, video="test/a/two.mp4", about=42))
    test = tree.metrics["test"]
    assert (test["items"], test["videos"]) == (2, 2)
    assert test["recall"] == {"at_1": 0.75, "at_4": 0.75}
    assert test["precision"] == {"at_1": 1.0, "at_4": 0.25}
    zero_shot = test["control"]["zero_shot"]
    # One frame of the whole timeline: 60, the first of the two next to 62.
    assert zero_shot["recall"] == {"at_1": 0.0, "at_4": 0.0}
    assert zero_shot["precision"] == {"at_1": 0.0, "at_4": 0.0}
    assert test["control"]["uniform"]["recall"] == {"at_1": 0.0, "at_4": 0.0}
    # cos 2 degrees is 0.9994, cos 3 degrees 0.9986, and frame 28 is 8 away from any chosen one.
    assert test["sim_m"] == {"m99_8": 0.5, "m99_9": 0.5, "mean": 0.5}
    assert zero_shot["sim_m"] == {"m99_8": 0.5, "m99_9": 0.0, "mean": 0.25}
    # Differences 1 and 0.5: mean 0.75, standard deviation sqrt(1/8), two videos.
    assert test["gain"]["recall"]["at_4"] == {"mean": 0.75, "se": pytest.approx(0.25)}
    assert test["gain"]["sim_m"]["m99_9"] == {"mean": 0.5, "se": pytest.approx(0.5)}


def test_chance_is_the_mean_of_its_draws(videos):
    config = EvaluateConfig(
        pos_neg=replace(POS_NEG, random_draws=40), sim_m=SimMConfig(thresholds=(0.998,))
    )
    evaluation = evaluate(
        videos, row("q1", 42), row("q2", 12, video="test/a/two.mp4"), config=config
    )
    hits, similar = [], []
    for name, true in (("q1", 42), ("q2", 12)):
        draws = frames_of(evaluation, name, "chance")
        hits.append(np.mean([any(abs(f - true) <= 2.5 for f in draw) for draw in draws]))
        similar.append(np.mean([max(cosine(f, true) for f in draw) >= 0.998 for draw in draws]))
    chance = evaluation.metrics["test"]["control"]["chance"]
    assert chance["recall"]["at_4"] == pytest.approx(np.mean(hits))
    assert chance["sim_m"]["m99_8"] == pytest.approx(np.mean(similar))
    assert 0.05 < chance["recall"]["at_4"] < 0.4  # one frame of five is near


def test_the_same_model_gains_nothing(videos):
    test = evaluate(videos, row("q1", 42), row("q2", 12, 60), using=models(wrong=0)).metrics["test"]
    for group in ("recall", "precision", "sim_m"):
        assert test[group] == test["control"]["zero_shot"][group]
        assert {gain["mean"] for gain in test["gain"][group].values()} == {0.0}
    assert {gain["se"] for gain in test["gain"]["recall"].values()} == {None}  # a single video


def test_with_one_caption_nothing_can_be_exchanged(videos):
    items = [row("q1", 42), row("q2", 42, video="test/a/two.mp4")]
    evaluation = evaluate(
        videos, *items, row("v", 12, video="val/a/three.mp4"), splits=("val", "test")
    )
    shuffled = evaluation.metrics["test"]["control"]["shuffled"]
    assert shuffled["recall"] == {"at_1": None, "at_4": None}
    assert shuffled["sim_m"] == {"m99_8": None, "m99_9": None, "mean": None}


def test_items_that_take_no_part_are_counted(videos):
    items = [
        row("q1", 42),
        row("none", about=3, status="no_support_frames"),
        row("left", 3, status="excluded"),
        row("bad", 3, status="failed"),
        row("bytes", 3, video="test/a/garbage.mp4"),
        row("gone", 3, video="test/a/gone.mp4"),
        row("elsewhere", 3, video="train/a/one.mp4"),
    ]
    evaluation = evaluate(videos, *items, splits=("val", "test"))
    test = evaluation.metrics["test"]
    counts = {name: value for name, value in test.items() if isinstance(value, int)}
    assert counts == {
        "items": 1,
        "items_without_true_frames": 1,
        "items_excluded": 1,
        "items_failed": 3,
        "videos": 1,
    }
    assert [(f.id, f.reason) for f in evaluation.failures] == [
        ("bytes", "unreadable"),
        ("gone", "missing"),
    ]
    with pytest.raises(BatchError, match=r"2 of 3 items could not be measured.*'bytes'"):
        evaluation.raise_failures(None)
    assert evaluation.metrics["val"]["items"] == 0
    assert evaluation.metrics["val"]["recall"] == {"at_1": None, "at_4": None}
    assert evaluation.metrics["val"]["gain"]["recall"]["at_4"] == {"mean": None, "se": None}


def test_if_no_video_can_be_read_that_is_the_error(videos):
    with pytest.raises(BatchError, match="1 of 1 items could not be measured"):
        evaluate(videos, row("bytes", 3, video="test/a/garbage.mp4"))


def test_a_video_is_read_twice_whatever_is_asked_of_it(videos, monkeypatch):
    asked = []

    def counting(path, backbones, **options):
        asked.append((path.name, len(backbones), sorted(options)))
        return embed_video(path, backbones, **options)

    embed_video = watching.embed_video
    monkeypatch.setattr(watching, "embed_video", counting)
    evaluate(videos, *[row(f"q{number}", number) for number in (3, 42, 77)])
    assert asked == [("one.mp4", 2, ["every_s"]), ("one.mp4", 1, ["squash", "times_s"])]


def test_numbers_depend_on_neither_order_nor_lanes(videos):
    items = [row("q1", 42), row("q2", 12, video="test/a/two.mp4"), row("q3", 77, 3)]
    with Lanes(torch.device("cpu"), 2) as lanes:
        first = evaluate(videos, *items, lanes=lanes)
    other = evaluate(videos, *items[::-1])
    assert other.metrics == first.metrics
    for a, b in zip(first.measured["test"], other.measured["test"], strict=True):
        assert [f.source_index.tolist() for f in a.chosen] == [
            f.source_index.tolist() for f in b.chosen
        ]


def test_fewer_frames_than_parts(videos, tmp_path):
    constant_rate(tmp_path / "test/a/short.mp4", 2, 5)
    evaluation = evaluate(tmp_path, row("q", 0, video="test/a/short.mp4"))
    assert frames_of(evaluation, "q", "fine_tuned") == [[0, 1]]
    assert evaluation.metrics["test"]["precision"]["at_4"] == 0.5


def test_an_item_says_why_its_network_is_useless(videos):
    class Blind(NumberClip):
        def encode(self, frames):
            return 0 * super().encode(frames)

    with pytest.raises(WeightsError, match="embedding of length 0"):
        evaluate(videos, row("q1", 42), using=replace(models(), after=Blind()))


def test_what_compared_the_frames_stands_in_the_metrics(videos):
    using = replace(models(), squash=(1920, 1080))
    facts = using.embedder_facts()
    assert facts == {
        "backbone": "clip",
        "weights": "numbers",
        "weights_sha256": "numbers",
        "trained": True,
        "independent": True,
        "frames": "1920x1080",
    }
    assert evaluate(videos, row("q1", 42)).metrics["embedder"]["frames"] == "in their own shape"
    same = replace(models(), embedder=models().before)
    assert same.embedder_facts()["independent"] is False


def test_the_table_tells_every_number(videos, tmp_path):
    evaluation = evaluate(videos, row("q1", 42), row("q2", 12, 60, video="test/a/two.mp4"))
    evaluation.write(Outputs.under(tmp_path, "pos_neg"))
    rows = pd.read_parquet(tmp_path / "items.parquet")
    assert len(rows) == 2 * (4 + 3)
    test = evaluation.metrics["test"]
    for chooser, tree in {"fine_tuned": test, **test["control"]}.items():
        of_chooser = rows[rows.chooser == chooser]
        means = of_chooser.groupby("id").mean(numeric_only=True).mean()
        assert tree["recall"]["at_4"] == pytest.approx(means["recall_at_4"])
        assert tree["precision"]["at_1"] == pytest.approx(means["precision_at_1"])
        similar = (of_chooser.weakest_match >= 0.998).groupby(of_chooser.id).mean().mean()
        assert tree["sim_m"]["m99_8"] == pytest.approx(similar)
    one = rows[(rows.id == "q1") & (rows.chooser == "fine_tuned")].iloc[0]
    assert one.source_index.tolist() == [20, 40, 50, 75]
    assert one.weakest_match == pytest.approx(cosine(40, 42), abs=1e-6)
    assert rows[rows.chooser == "uniform"].score.isna().all()
