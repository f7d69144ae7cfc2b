import tracemalloc

import numpy as np
import pytest
import torch

from pipeline_lib.datasets.window_store import WindowFeatures
from pipeline_lib.errors import DataError
from pipeline_lib.trainers.coop.feature_rows import FeatureRows
from pipeline_lib.trainers.coop.samples import samples

CPU = torch.device("cpu")


def windows(matrix, ids=("train/a/1", "train/b.c/2")):
    half = len(matrix) // 2
    which = np.repeat(np.arange(2), [half, len(matrix) - half])
    return WindowFeatures(matrix, which, which, ids, None)


@pytest.fixture
def mapped(tmp_path):
    """A matrix of 64 MiB on disk."""
    path = tmp_path / "features.npy"
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, (1 << 18, 64))
    matrix[:, 0] = np.arange(len(matrix))
    matrix.flush()
    return np.load(path, mmap_mode="r")


def test_rows_in_the_order_asked_for(mapped):
    rows = FeatureRows(mapped, CPU)
    assert rows.take(np.array([5, 2, 100_000]))[:, 0].tolist() == [5, 2, 100_000]
    wide = rows.widened(10, 12)
    assert (wide.dtype, wide[:, 0].tolist()) == (torch.float64, [10, 11])
    assert len(rows) == 1 << 18


def test_a_mapped_matrix_is_never_copied_as_a_whole(mapped):
    tracemalloc.start()
    split = samples(windows(mapped), ("a", "b.c"), CPU)
    for start in range(0, len(split), 4096):
        split.rows.take(np.arange(start, start + 4096))
        split.rows.widened(start, start + 4096)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < mapped.nbytes / 4


def test_videos_are_labelled_by_their_directory(mapped):
    assert samples(windows(mapped), ("a", "b.c"), CPU).video_labels.tolist() == [0, 1]
    with pytest.raises(DataError, match=r"Class 'b\.c' is no class of the model"):
        samples(windows(mapped), ("a", "b"), CPU)


def test_a_few_windows():
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    whole = samples(windows(matrix), ("a", "b.c"), CPU)
    few = whole.chosen(np.array([1, 4]), CPU)
    assert few.rows.matrix.tolist() == [[2, 3], [8, 9]]
    assert (few.labels.tolist(), few.video_of_window.tolist()) == ([0, 1], [0, 1])
    assert whole.chosen(np.arange(6), CPU) is whole


def test_the_digest_follows_labels_and_videos():
    matrix = np.zeros((4, 2), dtype=np.float32)
    whole = samples(windows(matrix), ("a", "b.c"), CPU)
    again = samples(windows(matrix), ("a", "b.c"), CPU)
    other = whole.relabelled(whole.labels[::-1].copy())
    assert whole.sha256() == again.sha256() != other.sha256()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("free", [1 << 40, 0])
def test_a_matrix_that_fits_is_held_by_the_gpu_and_others_come_in_batches(
    mapped, monkeypatch, free
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    before = torch.cuda.memory_allocated()
    rows = FeatureRows(mapped, torch.device("cuda"))
    assert (torch.cuda.memory_allocated() - before >= mapped.nbytes) is bool(free)
    assert rows.take(np.array([5, 2]))[:, 0].tolist() == [5, 2]
    assert rows.take(np.array([5, 2])).is_cuda
    assert rows.widened(10, 12)[:, 0].tolist() == [10, 11]
