"""What the settings of an evaluation change, on the videos and models of ``project.py``."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline_lib.config import EvaluateConfig
from pipeline_lib.evaluation.pos_neg import models as networks
from pipeline_lib.evaluation.pos_neg import watching
from pipeline_lib.evaluation.pos_neg.items import questions_of
from tests.evaluation.pos_neg.project import CONFIG, POS_NEG, evaluate, models, row, write_videos
from tests.support.video_files import constant_rate

ONE = "test/a/one.mp4"


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pos_neg") / "videos"
    write_videos(root, (ONE,))
    return root


def changed(**settings) -> EvaluateConfig:
    return replace(CONFIG, pos_neg=replace(POS_NEG, **settings))


def frames(evaluation, chooser):
    (measured,) = evaluation.measured["test"]
    return [one.source_index.tolist() for one in measured.of(chooser)]


def test_the_timeline_is_cut_as_the_original_does_for_everybody(videos):
    # Of 20 sampled frames, every fifth: 3, 5, 5, and the last 7.
    found = evaluate(videos, row("q", 42), config=changed(segments="original-first3"))
    assert frames(found, "fine_tuned") == [[10, 35, 40, 65]]
    assert frames(found, "zero_shot") == [[10, 35, 60, 65]]  # looks for 62
    assert frames(found, "uniform") == [[5, 25, 50, 80]]
    for first, *others in frames(found, "chance"):
        assert first in (0, 5, 10)
        assert all(a <= frame <= b for frame, (a, b) in
                   zip(others, ((15, 35), (40, 60), (65, 95)), strict=True))  # fmt: skip


def test_frames_are_compared_at_k_and_recall_at_its_own_numbers(videos):
    found = evaluate(videos, row("q", 42), config=changed(recall_at=(8, 1), k=2))
    assert frames(found, "fine_tuned") == [[40, 50]]
    test = found.metrics["test"]
    assert list(test["recall"]) == list(test["precision"]) == ["at_1", "at_8"]
    assert test["precision"] == {"at_1": 1.0, "at_8": 1 / 8}


def test_more_frames_a_second_give_more_to_choose_from(videos):
    found = evaluate(videos, row("q", 42), config=changed(fps=12.5))
    # Every second frame, in parts of 12, 13, 12 and 13.
    assert frames(found, "fine_tuned") == [[22, 42, 50, 74]]


def test_a_smaller_tolerance_finds_less(videos):
    # Frames 40 and 42 are 0.08 s apart.
    recalls = [
        evaluate(videos, row("q", 42), config=changed(tolerance_s=s)).metrics["test"]["recall"]
        for s in (0.07, 0.08)
    ]
    assert [recall["at_4"] for recall in recalls] == [0.0, 1.0]


def test_frames_are_squashed_for_the_network_that_compares_and_for_no_other(videos, monkeypatch):
    asked = []

    def noted(path, backbones, **options):
        asked.append((len(backbones), options.get("squash")))
        return embed_video(path, backbones, **options)

    embed_video = watching.embed_video
    monkeypatch.setattr(watching, "embed_video", noted)
    evaluate(videos, row("q", 42), using=replace(models(), squash=(256, 96)))
    assert asked == [(2, None), (1, (256, 96))]


@pytest.mark.parametrize(
    ("setting", "caption"),
    [("question", "frame 42"), ("choices", "one two"), ("question_choices", "frame 42 one two")],
)
def test_captions_are_said_as_in_training(videos, setting, caption):
    table = pd.DataFrame([row("q", 42)])
    splits = pd.Series(["test"])
    (item,) = questions_of(table, splits, "test", videos, setting).items
    assert item.caption == caption
    assert questions_of(table, splits, "val", videos, setting).items == ()


def test_captions_are_embedded_in_parts(videos, monkeypatch):
    monkeypatch.setattr(networks, "_TEXTS", 2)
    items = [row(f"q{number}", number) for number in (2, 42, 63)]
    found = evaluate(videos, *items).measured["test"]
    best = {one.item.id: one.of("fine_tuned")[0].recall[4] for one in found}
    assert best == {"q2": 1.0, "q42": 1.0, "q63": 1.0}


def test_a_video_is_found_however_its_name_is_spelled(tmp_path):
    constant_rate(tmp_path / unicodedata.normalize("NFD", "test/ngã/é.mp4"), 10, 5)
    found = evaluate(tmp_path, row("q", 3, video=unicodedata.normalize("NFC", "test/ngã/é.mp4")))
    assert found.metrics["test"]["items"] == 1
    assert found.failures == ()
