import threading

import numpy as np
import pytest
import torch

from pipeline_lib.datasets.video_clips.augment import TrainView
from pipeline_lib.datasets.video_clips.mixing import Mix, mix_batch
from pipeline_lib.runtime.distributed import ALONE, Group
from pipeline_lib.trainers.videomamba.batches import Planned, TrainBatches, label_tensor
from tests.trainers.videomamba.project import clips, config, settings


def batches(split, group=ALONE, **changes):
    view = TrainView(settings(config()).augment, 32)
    options = {"batch_size": 4, "accumulate": 1, "repeats": 1, "seed": 0, "workers": 0}
    return TrainBatches(split, view, group=group, **options | changes)


def process(rank, world):
    return Group(torch.device("cpu"), rank, world)


@pytest.mark.parametrize("views", [1, 2, 5, 8, 9])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_each_process_has_whole_pairs(views, world):
    planned = Planned(0, np.arange(views), 1)
    shares = [planned.own(process(rank, world)).tolist() for rank in range(world)]
    assert sorted(row for share in shares for row in share) == list(range(views))
    for share in shares:
        assert share == sorted(share)
        # Whose partner is the one as far from the other end, in the share as in the batch.
        assert [views - 1 - row for row in share] == share[::-1]


def test_processes_mix_as_one_does():
    views, targets = torch.randn(7, 3, 2, 4, 4), torch.rand(7, 2)
    whole = mix_batch(Mix(0.3, (0, 2, 1, 3)), views, targets)
    for rank in range(2):
        own = Planned(0, np.arange(7), 1).own(process(rank, 2))
        mixed = mix_batch(Mix(0.3, (0, 2, 1, 3)), views[own], targets[own])
        assert torch.equal(mixed[0], whole[0][own])
        assert torch.equal(mixed[1], whole[1][own])


def test_an_epoch_has_every_clip_once_in_an_order_of_its_own():
    made = batches(clips("train", 10), batch_size=3, accumulate=2)
    assert made.steps == 2
    plan = made.plan(1)
    assert [[len(batch.clips) for batch in step] for step in plan] == [[3, 3], [3, 1]]
    assert [batch.number for step in plan for batch in step] == [0, 1, 2, 3]
    order = [clip for step in plan for batch in step for clip in batch.clips.tolist()]
    assert sorted(order) == list(range(10))
    again = [clip for step in made.plan(2) for batch in step for clip in batch.clips.tolist()]
    assert order != again
    assert sorted(again) == list(range(10))


def flat(made, epoch):
    return [batch for step in made.plan(epoch) for batch in step]


def test_views_stand_side_by_side_with_the_label_of_their_clip():
    split = clips("train", 5)
    made = batches(split, repeats=2)
    planned = flat(made, 1)
    loaded = list(made.load(planned, 1))
    assert [len(batch.rows) for batch in loaded] == [8, 2]
    assert loaded[0].views.shape == (8, 3, 4, 32, 32)
    labels = [split.items[clip].label for clip in planned[0].clips for _ in range(2)]
    assert loaded[0].labels.tolist() == labels
    # Two views of one clip differ, but are of the same frames of the same square.
    first, second = loaded[0].views[:2]
    assert not torch.equal(first, second)
    assert float((first.mean((0, 2, 3)) - second.mean((0, 2, 3))).abs().max()) < 0.2


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_a_view_depends_on_seed_epoch_and_clip_alone(workers, world):
    split = clips("train", 7)
    made = batches(split, repeats=2)
    whole = [batch.views for batch in made.load(flat(made, 3), 3)]
    found = [torch.zeros_like(views) for views in whole]
    for rank in range(world):
        own = batches(split, process(rank, world), repeats=2, workers=workers)
        for place, batch in enumerate(own.load(flat(own, 3), 3)):
            found[place][torch.from_numpy(batch.rows)] = batch.views
    assert all(torch.equal(a, b) for a, b in zip(whole, found, strict=True))
    other = list(made.load(flat(made, 3), 4))
    assert not torch.equal(other[0].views, whole[0])


def test_a_clip_is_read_once_for_all_its_views(monkeypatch):
    split, read = clips("train", 6), []
    original = type(split.store).read

    def counted(store, item, indices):
        read.append((item, threading.get_ident()))
        return original(store, item, indices)

    monkeypatch.setattr(type(split.store), "read", counted)
    made = batches(split, repeats=3, workers=2)
    list(made.load(flat(made, 1), 1))
    assert sorted(item for item, _ in read) == list(range(6))
    assert threading.get_ident() not in {thread for _, thread in read}


def test_a_process_may_have_no_view_of_a_batch():
    sizes = []
    for rank in range(2):
        made = batches(clips("train", 5), process(rank, 2))
        sizes.append([len(batch.rows) for batch in made.load(flat(made, 1), 1)])
    assert sizes == [[2, 0], [2, 1]]


def test_labels():
    assert label_tensor(clips("train", 3)).tolist() == [0, 1, 0]
    assert label_tensor(clips("train", 3)).dtype == torch.int64
    values = label_tensor(clips("train", 3, values=True))
    assert values.tolist() == [-1.0, 1.0, -1.0]
    assert values.dtype == torch.float32
