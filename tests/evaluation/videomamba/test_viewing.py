"""What contenders are shown."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline_lib.errors import VideoError, WeightsError
from pipeline_lib.evaluation.videomamba.models import reverse, shuffle
from pipeline_lib.evaluation.videomamba.viewing import (
    Contender,
    Views,
    answer,
    read_segments,
)
from pipeline_lib.runtime.lanes import Lanes
from tests.evaluation.videomamba.splits import answered

SIZE, FRAMES = 4, 3
CPU = torch.device("cpu")


class CountingStore:
    """Frame i of window r is as bright as 40 r + 5 i; the third window is twice as wide as high."""

    def __init__(self, windows, broken=()):
        self.items = answered([0] * windows, [[1.0]] * windows).clips.items
        self.broken, self.read_rows = broken, []

    def test_indices(self, row, segment=0, segments=1):
        return np.array([0, 1, 2]) + segment

    def read(self, row, indices):
        if row in self.broken:
            raise VideoError("v.mp4: damaged.", reason="corrupt")
        self.read_rows.append((row, indices.tolist()))
        bright = (40 * row + 5 * np.asarray(indices)).astype(np.uint8)
        width = SIZE * (2 if row == 2 else 1)
        frames = np.broadcast_to(bright[:, None, None, None], (len(indices), SIZE, width, 3))
        return np.ascontiguousarray(frames)


class Watcher:
    """Its outputs are the mean of each frame, and it keeps what it was shown."""

    def __init__(self, poison=False):
        self.shape, self.poison = SimpleNamespace(image_size=SIZE), poison

    def logits(self, clip):
        if self.poison:
            return torch.full((len(clip), 2), torch.nan)
        return clip.mean(dim=(1, 3, 4))


def watch(store, contenders, views, classify=False):
    with Lanes(CPU, 2) as lanes:
        return answer(store, contenders, views, lanes, classify=classify)


def brightness(row, index):
    mean = np.array([0.485, 0.456, 0.406])
    std = np.array([0.229, 0.224, 0.225])
    return float((((40 * row + 5 * index) / 255 - mean) / std).mean())


def test_every_view_has_its_row_and_each_video_is_read_once():
    store = CountingStore(3)
    found, failed = watch(store, {"own": Contender(Watcher())}, Views(2, 3, 4))
    own = found["own"]
    assert failed == ()
    assert own.videos == tuple(f"v{row}" for row in range(3) for _ in range(6))
    assert own.views[:4] == ("v0 0 0", "v0 0 1", "v0 0 2", "v0 1 0")
    assert len(set(own.views)) == 18
    # The first output is the first frame, which the second clip begins one later.
    wanted = [brightness(row, segment) for row in range(3) for segment in (0, 0, 0, 1, 1, 1)]
    assert own.rows[:, 0] == pytest.approx(wanted, abs=1e-6)
    assert sorted(store.read_rows) == [(row, [0, 1, 2, 3]) for row in range(3)]


def test_batches_change_nothing():
    everyone = {"own": Contender(Watcher()), "reversed": Contender(Watcher(), reverse)}
    first, _ = watch(CountingStore(3), everyone, Views(2, 1, 1))
    for size in (2, 5, 99):
        again, _ = watch(CountingStore(3), everyone, Views(2, 1, size))
        for name, answers in again.items():
            assert answers.views == first[name].views
            assert answers.rows == pytest.approx(first[name].rows, abs=1e-6)


def test_frames_in_another_order():
    orders = {"own": None, "reversed": reverse, "shuffled": shuffle}
    everyone = {name: Contender(Watcher(), order) for name, order in orders.items()}
    found, _ = watch(CountingStore(3), everyone, Views(2, 3, 5))
    last = [brightness(row, segment + 2) for row in range(3) for segment in (0, 0, 0, 1, 1, 1)]
    assert found["reversed"].rows[:, 0] == pytest.approx(last, abs=1e-6)
    # Crops of one clip share an order, and each clip has its own.
    by_clip = found["shuffled"].rows.reshape(6, 3)
    assert (by_clip == by_clip[:, :1]).all()
    names = [(row, segment) for row in range(3) for segment in range(2)]
    orders = [shuffle(f"v{row} {segment}", FRAMES) for row, segment in names]
    first = [brightness(r, s + order[0]) for (r, s), order in zip(names, orders, strict=True)]
    assert by_clip[:, 0] == pytest.approx(first, abs=1e-6)
    again, _ = watch(CountingStore(3), everyone, Views(2, 3, 2))
    assert again["shuffled"].rows.tolist() == found["shuffled"].rows.tolist()


def test_orders_are_permutations():
    assert reverse("a", 4).tolist() == [3, 2, 1, 0]
    orders = [tuple(shuffle(f"clip {number}", 8)) for number in range(20)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len(set(orders)) == 20
    assert tuple(shuffle("clip 3", 8)) == orders[3]


def test_logits_become_probabilities():
    found, _ = watch(CountingStore(1), {"own": Contender(Watcher())}, Views(1, 1, 1), classify=True)
    assert found["own"].rows.shape == (1, FRAMES)
    assert found["own"].rows.sum() == pytest.approx(1)


def test_what_cannot_be_read_is_told_and_answered_by_nobody():
    found, failed = watch(
        CountingStore(3, broken=(1,)), {"own": Contender(Watcher())}, Views(1, 1, 1)
    )
    assert found["own"].videos == ("v0", "v2")
    assert [(one.id, one.reason) for one in failed] == [("v1", "v.mp4: damaged.")]
    nothing, failed = watch(
        CountingStore(1, broken=(0,)), {"own": Contender(Watcher())}, Views(1, 1, 1)
    )
    assert nothing["own"].videos == ()
    assert len(failed) == 1


def test_a_network_without_numbers_is_an_error():
    with pytest.raises(WeightsError, match="The network own gives NaN"):
        watch(CountingStore(1), {"own": Contender(Watcher(poison=True))}, Views(1, 1, 1))


def test_segments_share_their_frames():
    clips = read_segments(CountingStore(1), 0, 3)
    assert [clip[:, 0, 0, 0].tolist() for clip in clips] == [[0, 5, 10], [5, 10, 15], [10, 15, 20]]


class WideStore(CountingStore):
    """Frames three times as wide as high, whose thirds are dark, grey and bright."""

    def read(self, row, indices):
        frames = np.repeat(np.array([0, 100, 200], np.uint8), SIZE)
        return np.broadcast_to(frames[:, None], (len(indices), SIZE, 3 * SIZE, 3)).copy()


def test_crops_lie_along_the_longer_side():
    found, _ = watch(WideStore(1), {"own": Contender(Watcher())}, Views(1, 3, 2))
    wanted = [brightness(0, shade / 5) for shade in (0, 100, 200)]
    assert found["own"].rows[:, 0] == pytest.approx(wanted, abs=1e-6)
