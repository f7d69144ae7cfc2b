"""What is opened and decoded for the questions about a video, counted where FFmpeg is called."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline_lib.video.decoders.pyav_stream import TrackReader
from tests.mining.number_backbone import NumberBackbone
from tests.mining.runs import CONFIG, mine, question, tree

FRAMES = 100  # of long.mp4


@pytest.fixture
def counted(monkeypatch):
    """How often each file is opened, and how many frames come out of all of them."""
    counts = Counter()
    opening, decoding = av.open, TrackReader.decode

    def opened(file, *args, **options):
        counts[Path(file).name] += 1
        return opening(file, *args, **options)

    def decoded(self, packet, failed):
        frames = decoding(self, packet, failed)
        counts["frames"] += len(frames)
        return frames

    monkeypatch.setattr(av, "open", opened)
    monkeypatch.setattr(TrackReader, "decode", decoded)
    return counts


@pytest.mark.parametrize("strategy", ["random", "hard"])
def test_a_video_is_decoded_once_whatever_is_asked_about_it(videos, tmp_path, counted, strategy):
    config = replace(CONFIG, strategy=strategy)
    opened, decoded = [], []
    for number in (1, 3, 24):
        questions = [question(f"q{k}", 0.1 * k, 3.9 - 0.1 * k) for k in range(number)]
        counted.clear()
        mine(videos, tmp_path / str(number), *questions, config=config)
        opened.append(counted["long.mp4"])
        decoded.append(counted["frames"])
    # Its packets tell the times, for which one frame is decoded; then one pass serves all items.
    assert len(set(opened)) == 1
    assert opened[0] <= 3
    assert 1 < decoded[0] <= decoded[1] <= decoded[2] <= FRAMES + 1


def test_what_is_known_is_neither_decoded_nor_embedded_again(videos, tmp_path, counted):
    items = [question(f"q{k}", 0.4 * k) for k in range(3)]
    mine(videos, tmp_path / "first", *items, scratch=tmp_path / "scratch")
    first = counted["frames"]
    counted.clear()
    backbone = NumberBackbone()
    mine(videos, tmp_path / "second", *items, scratch=tmp_path / "scratch", backbone=backbone)
    assert backbone.batches == []
    assert 0 < counted["frames"] <= first
    assert tree(tmp_path / "second") == tree(tmp_path / "first")


def test_hard_negatives_depend_on_neither_order_nor_workers(videos, tmp_path):
    config = replace(CONFIG, strategy="hard")
    questions = [question(f"q{k}", 0.5 * k, 0.3) for k in range(4)]
    questions += [question(f"s{n}", 0.0, video=f"train/a/short{n}.mp4") for n in (2, 5, 6)]
    mine(videos, tmp_path / "first", *questions, config=config, workers=1)
    for workers in (2, 4):
        order = np.random.default_rng(workers).permutation(len(questions))
        shuffled = [questions[k] for k in order]
        mine(videos, tmp_path / str(workers), *shuffled, config=config, workers=workers)
        assert tree(tmp_path / str(workers)) == tree(tmp_path / "first")
