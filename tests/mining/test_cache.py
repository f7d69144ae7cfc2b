"""Embeddings that are kept between runs."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline_lib.mining.embedding_cache import EmbeddingCache
from tests.mining.number_backbone import NumberBackbone
from tests.mining.runs import CONFIG, mine, question, tree

SHA = "a" * 64


def rows(*positions):
    rng = np.random.default_rng(0)
    return {p: rng.normal(size=2).astype(np.float32) for p in positions}


def same(first, second):
    return first.keys() == second.keys() and all(
        first[k].tobytes() == second[k].tobytes() for k in first
    )


def test_what_was_stored_is_read_back_to_the_bit(tmp_path):
    cache, stored = EmbeddingCache(tmp_path, NumberBackbone()), rows(5, 0, 17)
    assert cache.load(SHA, 18) == {}
    cache.store(SHA, stored)
    assert same(cache.load(SHA, 18), stored)
    assert cache.load("b" * 64, 18) == {}
    assert same(EmbeddingCache(tmp_path, NumberBackbone()).load(SHA, 18), stored)


@pytest.mark.parametrize("change", ["batch", "identity", "device"])
def test_what_changes_an_embedding_changes_its_name(tmp_path, change):
    EmbeddingCache(tmp_path, NumberBackbone()).store(SHA, rows(1))
    other = NumberBackbone(batch_size=5 if change == "batch" else 4)
    if change == "identity":
        other.identity = {"weights_sha256": "new"}
    if change == "device":
        other.device = torch.device("cuda")
    assert EmbeddingCache(tmp_path, other).load(SHA, 2) == {}


def test_without_a_folder_nothing_is_kept():
    cache = EmbeddingCache(None, NumberBackbone())
    cache.store(SHA, rows(1))
    assert cache.load(SHA, 2) == {}


def test_a_damaged_file_is_told_and_never_believed(tmp_path, caplog):
    cache, stored = EmbeddingCache(tmp_path, NumberBackbone()), rows(*range(30))
    cache.store(SHA, stored)
    [path] = tmp_path.iterdir()
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        read = cache.load(SHA, 30)
        assert read == {} or same(read, stored)
        refused += read == {}
    assert refused > 100
    assert "embedded again" in caplog.text
    for cut in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        assert cache.load(SHA, 30) == {}
    path.write_bytes(content)
    assert cache.load(SHA, 20) == {}  # of another video, whose frames are fewer


def test_a_second_run_embeds_nothing_and_reads_only_what_it_saves(videos, tmp_path, opened):
    items = [question(f"q{k}", 0.4 * k) for k in range(4)]
    mine(videos, tmp_path / "first", *items, scratch=tmp_path / "scratch")
    backbone = NumberBackbone()
    report = mine(videos, tmp_path / "second", *items, scratch=tmp_path / "scratch",
                  backbone=backbone)  # fmt: skip
    assert tree(tmp_path / "second") == tree(tmp_path / "first")
    assert backbone.batches == []
    chosen = {frame.source_index for item in report.mined for frame in item.frames}
    assert opened[1:] == [len(chosen)]


@pytest.mark.parametrize(
    "changes",
    [{"strategy": "hard"}, {"threshold": 0.99}, {"seed": 7}, {"tries_per_segment": 9}],
    ids=str,
)
def test_a_run_with_other_settings_gives_what_it_gives_without_a_past(videos, tmp_path, changes):
    items = [question(f"q{k}", 0.4 * k) for k in range(4)]
    mine(videos, tmp_path / "first", *items, scratch=tmp_path / "scratch")
    config, backbone = replace(CONFIG, **changes), NumberBackbone()
    mine(videos, tmp_path / "new", *items, config=config)
    mine(videos, tmp_path / "with past", *items, config=config, backbone=backbone,
         scratch=tmp_path / "scratch")  # fmt: skip
    assert tree(tmp_path / "with past") == tree(tmp_path / "new")
    assert sum(backbone.batches) < 34
    assert bool(backbone.batches) == ("seed" in changes or "tries_per_segment" in changes)


def test_damage_costs_the_embeddings_of_that_video_again(videos, tmp_path, caplog):
    scratch = tmp_path / "scratch"
    mine(videos, tmp_path / "first", question("q", 1.0), scratch=scratch)
    [path] = (scratch / "mining").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    backbone = NumberBackbone()
    with caplog.at_level(logging.WARNING):
        mine(videos, tmp_path / "second", question("q", 1.0), scratch=scratch, backbone=backbone)
    assert "damaged" in caplog.text
    assert sum(backbone.batches) == 31
    assert tree(tmp_path / "second") == tree(tmp_path / "first")
    assert path.read_bytes() == whole


def test_a_killed_run_goes_on_where_it_stopped(videos, tmp_path, opened):
    class Killed(NumberBackbone):
        def encode(self, frames):
            if sum(self.batches) > 31:
                raise KeyboardInterrupt
            return super().encode(frames)

    first, second = "train/a/long.mp4", "train/a/short6.mp4"
    items = [question("q", 1.0, video=first), question("s", 0.0, video=second)]
    scratch = tmp_path / "scratch"
    with pytest.raises(KeyboardInterrupt):
        mine(videos, tmp_path / "killed", *items, scratch=scratch, workers=1,
             backbone=Killed(batch_size=1))  # fmt: skip
    opened.clear()
    backbone = NumberBackbone(batch_size=1)
    report = mine(videos, tmp_path / "again", *items, scratch=scratch, workers=1, backbone=backbone)
    assert len(backbone.batches) == 6  # the frames of the second video
    assert opened == [len(report.mined[0].frames), 6]
    mine(videos, tmp_path / "new", *items, backbone=NumberBackbone(batch_size=1))
    assert tree(tmp_path / "again") == tree(tmp_path / "new")
