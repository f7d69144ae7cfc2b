"""Trainings on video files in folders, up to the whole stage."""

import csv
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import av
import pandas as pd
import pytest
import torch

from pipeline_lib.config import (
    AugmentConfig,
    DataConfig,
    Params,
    RuntimeConfig,
    TrainSection,
    VideoListConfig,
)
from pipeline_lib.errors import BatchError, DataError
from pipeline_lib.runtime.progress import SILENT
from pipeline_lib.trainers import TRAINERS
from pipeline_lib.trainers.videomamba.training import train_videomamba
from tests.trainers.videomamba.project import (
    CLASSES,
    SIDE,
    config,
    moving_square,
    outputs,
    places,
)

SPLITS = {"train": 4, "val": 2}


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Videos of both classes in folders, and lists of them with a value each."""
    root = tmp_path_factory.mktemp("clips")
    for split, count in SPLITS.items():
        rows = []
        for number in range(2 * count):
            up = bool(number % 2)
            name = f"{split}/{CLASSES[up]}/{number // 2}.mp4"
            _write(root / "videos" / name, moving_square(number + 100 * (split == "val"), up))
            rows.append((name, 1.0 if up else -1.0))
        with (root / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root


def _write(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def root(tmp_path, written):
    shutil.copytree(written, tmp_path / "data")
    return tmp_path


RUNTIME = RuntimeConfig(device="cpu", threads=1, decode_workers=1)


def run(root, chosen):
    return train_videomamba(chosen, places(root), runtime=RUNTIME)


def test_videos_in_folders_are_trained_on(root):
    trained = run(root, config(augment=AugmentConfig(), epochs=2))
    assert trained.splits.classes == CLASSES
    assert len(trained.splits.train.items) == 8
    assert len(trained.splits.val.items) == 4
    assert trained.splits.listed == 12
    assert trained.run.record.epoch == 2


def test_kept_frames_are_trained_on_again_and_again(root):
    found = []
    for _ in range(2):  # written, then found
        run(root, config(dataset=VideoListConfig(frame_draws=2), epochs=2))
        found.append(outputs(root)["models/videomamba/final/model.safetensors"])
    assert len(list((root / "frames").rglob("*.npy"))) == 12
    assert found[0] == found[1]


def test_values_of_a_list_are_learned(root):
    dataset = VideoListConfig(format="videos", lists=str(root / "data"))
    trained = run(root, config(task="regression", dataset=dataset, epochs=1))
    assert trained.splits.classes is None
    labels = {item.video: item.label for item in trained.splits.val.items}
    assert set(labels.values()) == {-1.0, 1.0}
    assert trained.run.before["val_mse"] > 0.5


def test_windows_are_samples_of_their_own(root):
    dataset = VideoListConfig(trimmed_s=0.5, time_stride_s=0.25)
    trained = run(root, config(model={"frames": 2}, dataset=dataset, epochs=1))
    facts = trained.splits.train.facts()
    assert facts["videos"] == 8
    assert facts["clips"] > 8


def test_videos_that_are_no_videos_are_listed(root, caplog):
    (root / "data" / "videos" / "train" / "up" / "1.mp4").write_bytes(b"no video")
    (root / "data" / "videos" / "val" / "down" / "0.mp4").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        trained = run(root, config(epochs=1))
    table = pd.read_csv(root / "models" / "videomamba" / "failures.csv")
    assert table["split"].tolist() == ["train", "val"]
    assert list(table.columns) == ["split", "id", "path", "reason", "line"]
    assert [Path(path).name for path in table["path"]] == ["1.mp4", "0.mp4"]
    assert (len(trained.splits.train.items), len(trained.splits.val.items)) == (7, 3)
    assert trained.splits.listed == 12


def test_a_class_of_val_alone_is_told_before_any_video_is_decoded(root):
    videos = root / "data" / "videos"
    shutil.copytree(videos / "val" / "up", videos / "val" / "sideways")
    with pytest.raises(DataError, match="'sideways' is not in train"):
        run(root, config())
    assert not (root / "frames").exists()


def test_a_class_without_a_sound_video_is_told(root, caplog):
    for path in (root / "data" / "videos" / "train" / "up").glob("*.mp4"):
        path.write_bytes(b"no video")
    run(root, config(epochs=1))
    assert "no training video is left of class up" in caplog.text


def test_a_split_without_a_sound_video(root):
    for path in (root / "data" / "videos" / "val").rglob("*.mp4"):
        path.write_bytes(b"no video")
    with pytest.raises(DataError, match="None of 4 videos"):
        run(root, config())


def test_videos_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="videos"):
        run(tmp_path, config())


def test_the_whole_stage(root, monkeypatch):
    monkeypatch.chdir(root)
    dataset = VideoListConfig(on_missing="stop")
    params = Params(
        data=DataConfig(root="data"),
        train=TrainSection(videomamba=config(dataset=dataset, epochs=1)),
        runtime=RUNTIME,
    )
    train = TRAINERS.get("videomamba")
    line = train(params, scratch=Path("data/.scratch"), progress=SILENT)
    assert line.startswith("wrote data/models/videomamba: best epoch 1 of 1, val accuracy ")
    assert Path("metrics/plots/videomamba/history.csv").is_file()
    (root / "data" / "videos" / "train" / "up" / "0.mp4").write_bytes(b"")
    with pytest.raises(BatchError, match="1 of 12 videos could not be used"):
        train(params, scratch=Path("data/.scratch"), progress=SILENT)
    assert Path("data/models/videomamba/failures.csv").is_file()
    params = replace(params, data=DataConfig(root="data", exclude=("train/up/0.mp4",)))
    train(params, scratch=Path("data/.scratch"), progress=SILENT)
    assert not Path("data/models/videomamba/failures.csv").exists()
    assert torch.get_num_threads() == 1
