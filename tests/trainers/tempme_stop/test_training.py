import json
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.backbones.retrieval_embedding import embed_texts, embed_videos
from pipeline_lib.backbones.retrieval_model import open_retrieval_model
from pipeline_lib.config import (
    DataConfig,
    ExtractConfig,
    Params,
    RuntimeConfig,
    TrainSection,
)
from pipeline_lib.errors import BatchError, ConfigError, DataError, WeightsError
from pipeline_lib.runtime.progress import SILENT
from pipeline_lib.trainers import TRAINERS
from pipeline_lib.trainers.curves import scalar_tag
from pipeline_lib.trainers.left_out import raise_left_out
from pipeline_lib.trainers.tempme_stop import phases
from pipeline_lib.trainers.tempme_stop.parts import require_unchanged, sha256_of
from pipeline_lib.trainers.tempme_stop.training import train_tempme_stop
from tests.trainers.tempme_stop.project import config, outputs, places, vit

OVERFIT = {"batch_size": 12, "warmup_ratio": 0.1, "tempme_lr": 0.03}
ADAPTERS = "adapters.safetensors"


def run(root, settings):
    return train_tempme_stop(settings, vit(root), places(root), threads=1)


def history(root):
    return pd.read_csv(root / "plots" / "history.csv")


def told(root):
    return json.loads((root / "models" / "tempme_stop" / "config.json").read_text())


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "joint", "epochs": 16, "stop_lr": 0.03},
        {"mode": "tempme_only", "epochs": 16},
        {"mode": "stop_only", "epochs": 40, "stop_lr": 0.1},
        {"mode": "sequential", "epochs": 16, "stop_lr": 0.03},
    ],
    ids=lambda settings: settings["mode"],
)
def test_every_mode_learns_a_tiny_set_by_heart(root, settings):
    trained = run(root, config(**{**OVERFIT, **settings}))
    # The val videos are copies of the training videos.
    assert trained.phases[0].before["val_t2v_r1"] < 50
    assert trained.phases[-1].record.best["val_t2v_r1"] == 100
    assert trained.phases[-1].record.best["val_v2t_r1"] == 100
    # So does whoever opens what was published.
    model = open_retrieval_model(root / "models" / "tempme_stop" / "best", Placement(batch_size=64))
    val = trained.splits.val
    texts, videos = embed_texts(model, val.texts), embed_videos(model, val.store).video
    assert (texts @ videos.T).argmax(1).tolist() == val.text.video_of_text.tolist()


def test_what_is_published(root):
    trained = run(root, config(save_every=2))
    out = root / "models" / "tempme_stop"
    assert sorted(path.name for path in out.iterdir()) == ["best", "config.json", "ep2", "final"]
    table = history(root)
    assert list(table.columns) == [
        "epoch", "phase", "train_loss", "tempme_lr", "stop_lr", "tempme_grad_norm",
        "stop_grad_norm", "logit_scale", "val_loss", "val_t2v_r1", "val_t2v_r5", "val_t2v_r10",
        "val_v2t_r1", "val_v2t_r5", "val_v2t_r10", "val_r_sum",
    ]  # fmt: skip
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["logit_scale"].nunique() == 1
    facts = told(root)
    record = trained.phases[0].record
    assert facts["checkpoints"]["best"]["epoch"] == record.best_epoch
    assert facts["checkpoints"]["best"]["val"]["t2v_r1"] == table["val_t2v_r1"].max()
    assert facts["data"]["train"] | {"fingerprint": ""} == {
        "fingerprint": "", "texts": 12, "videos": 6, "missing": 0,
    }  # fmt: skip
    (phase,) = facts["phases"]
    assert phase["frozen_sha256"]["before"] == phase["frozen_sha256"]["after"]
    assert set(phase["frozen_sha256"]["before"]) == {"clip"}
    folder = json.loads((out / "best" / "config.json").read_text())
    assert folder["training"]["epoch"] == record.best_epoch
    assert [path.name for path in (root / "scratch").iterdir()] == []


class Contrary(phases.TempMeStopTask):
    """Finds the first epoch, whose loss is the highest, the best."""

    def validate(self):
        row = super().validate()
        return {**row, "val_loss": -row["val_loss"]}


def test_the_second_phase_starts_from_the_best_of_the_first(root, monkeypatch):
    monkeypatch.setattr(phases, "TempMeStopTask", Contrary)
    trained = run(root, config(mode="sequential", epochs=4, save_every=1, select="loss"))
    out = root / "models" / "tempme_stop"
    first, second = told(root)["phases"]
    assert second["start_sha256"] == first["best_sha256"] != first["start_sha256"]
    start = load_file(out / "phase1" / "best" / ADAPTERS)
    assert sha256_of(start) == second["start_sha256"]
    best = trained.phases[0].record.best_epoch
    assert best < 4
    assert (out / "phase1" / "best" / ADAPTERS).read_bytes() == (
        out / "phase1" / f"ep{best}" / ADAPTERS
    ).read_bytes()
    assert set(second["frozen_sha256"]["after"]) == {"clip", "tempme"}
    assert set(first["frozen_sha256"]["after"]) == {"clip", "stop"}
    # The tensors of the first phase are in the published model, bit for bit.
    end = load_file(out / "final" / ADAPTERS)
    same = {name for name in start if (start[name] == end[name]).all()}
    assert same >= {name for name in start if "TVPt" in name}
    assert set(start) - same
    # It is measured where the first phase's best epoch was measured.
    assert second["val_before"] == {
        name: trained.phases[0].record.best[name] for name in second["val_before"]
    }
    table = history(root)
    assert table["epoch"].tolist() == list(range(1, 9))
    assert table["phase"].tolist() == [1] * 4 + [2] * 4
    assert table["stop_lr"].isna().tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_the_same_training_gives_the_same_bytes(root, mode):
    found = []
    for _ in range(2):
        run(root, config(mode=mode, epochs=2, frame_draws=2))
        found.append(outputs(root))
    assert len(found[0]) == {"joint": 6, "sequential": 10}[mode]
    assert found[0] == found[1]


def test_decoding_in_each_epoch_gives_the_same(root):
    found = []
    for cache in ("disk", "none"):
        run(root, config(cache=cache, epochs=2, frame_draws=2))
        found.append({n: b for n, b in outputs(root).items() if n.endswith((ADAPTERS, ".csv"))})
    assert len(found[0]) == 3
    assert found[0] == found[1]


class Killed(BaseException):
    """Stands for a process that ends here."""


@pytest.mark.parametrize("alike", [1, 3])
@pytest.mark.parametrize("dies_in", [(1, 2), (2, 3)])
def test_a_killed_training_goes_on_in_its_phase(root, monkeypatch, dies_in, alike):
    settings = config(mode="sequential", alike=alike)
    run(root, settings)
    straight = outputs(root)
    trained_epochs = []

    class Mortal(phases.TempMeStopTask):
        dies = True

        def train_epoch(self, epoch):
            place = (1 if self._phase == "tempme_only" else 2, epoch)
            if self.dies and place == dies_in:
                raise Killed
            trained_epochs.append(place)
            return super().train_epoch(epoch)

    monkeypatch.setattr(phases, "TempMeStopTask", Mortal)
    with pytest.raises(Killed):
        run(root, settings)
    Mortal.dies = False
    run(root, settings)
    assert trained_epochs == [(phase, epoch) for phase in (1, 2) for epoch in (1, 2, 3)]
    assert outputs(root) == straight


def test_equal_recalls_are_decided_by_the_loss(root):
    trained = run(root, config(**OVERFIT, epochs=16, stop_lr=0.03))
    table = history(root)
    ties = table[table["val_t2v_r1"] == table["val_t2v_r1"].max()]
    assert len(ties) > 1
    assert trained.phases[0].record.best_epoch == ties.loc[ties["val_loss"].idxmin(), "epoch"]


def test_videos_that_are_no_videos_are_listed(root, caplog):
    (root / "data" / "videos" / "train" / "1.mp4").write_bytes(b"no video")
    (root / "data" / "videos" / "val" / "2.mp4").unlink()
    with caplog.at_level(logging.WARNING):
        trained = run(root, config(epochs=1))
    table = pd.read_csv(root / "models" / "tempme_stop" / "failures.csv")
    assert table["split"].tolist() == ["train", "val"]
    assert list(table.columns) == ["split", "id", "path", "reason", "line"]
    assert [Path(path).name for path in table["path"]] == ["1.mp4", "2.mp4"]
    assert told(root)["data"]["train"]["missing"] == told(root)["data"]["val"]["missing"] == 1
    assert (len(trained.splits.train.texts), len(trained.splits.val.texts)) == (10, 10)
    owners = trained.splits.train.text.video_of_text
    assert owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert trained.splits.train.rows.tolist() == [0, 2, 3, 4, 5]
    assert "untrained weights" in caplog.text
    out, splits = places(root).out, trained.splits
    with pytest.raises(BatchError, match=r"2 of 12 videos could not be used(.|\n)*failures\.csv"):
        raise_left_out(splits.missing, splits.listed, out, "train.tempme_stop")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "tempme_only", "lora_dim": 0, "frame_pos": False}, "lora_dim"),
        ({"mode": "joint", "lora_dim": 0, "frame_pos": False}, "mode: stop_only"),
        (
            {
                "mode": "sequential",
                "spatial_prompt": False,
                "global_prompts": 0,
                "temporal_prompts": 0,
            },
            "spatial_prompt",
        ),
    ],
)
def test_a_part_without_parameters_cannot_be_trained(root, changes, said):
    with pytest.raises(ConfigError, match=rf"has no parameters(.|\n)*{said}"):
        run(root, config(**changes))
    assert not (root / "frames").exists(), "videos are decoded for a training that cannot be"


def test_a_batch_of_one_caption_has_no_negatives(root):
    with pytest.raises(ConfigError, match=r"batch_size = 1(.|\n)*2 or more"):
        run(root, config(batch_size=1, accumulate=8))
    assert not (root / "frames").exists()


def test_weights_that_are_no_numbers_are_told_before_the_training(root):
    section = vit(root)
    weights = load_clip(section, Placement()).model.state_dict()
    weights["visual.proj"][0, 0] = torch.nan
    save_file(weights, root / "clip" / "open_clip_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"/clip: not finite: .*visual\.proj"):
        train_tempme_stop(config(), replace(section, weights=None), places(root), threads=1)


def test_val_captions_choose_the_best_epoch_or_none_do(root):
    items = json.loads((root / "data" / "captions.json").read_text())["data"]
    train = [item for item in items if item["video_path"].startswith("train")]
    (root / "data" / "captions.json").write_text(json.dumps(train))
    with pytest.raises(ConfigError, match=r"no val captions(.|\n)*val_ratio(.|\n)*select: last"):
        run(root, config({"val_ratio": 0}))
    trained = run(root, config({"val_ratio": 0}, select="last"))
    assert trained.phases[0].record.best_epoch == 3
    assert history(root)["val_loss"].isna().all()
    # A third of the videos are kept for validation.
    assert len(run(root, config({"val_ratio": 0.34}, epochs=1)).splits.val.rows) == 2


def test_tensorboard_shows_the_history(root):
    run(root, config(epochs=2))
    (folder,) = (root / "tensorboard").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    table = history(root)
    for column in table.columns.drop(["epoch", "phase"]):
        shown = [event.value for event in events.Scalars(scalar_tag(column))]
        assert shown == pytest.approx(table[column].tolist()), column


def test_a_run_that_diverges_names_its_rates(root):
    with pytest.raises(ConfigError, match=r"diverged(.|\n)*tempme_lr and (train\.\S+)?stop_lr"):
        run(root, config(tempme_lr=1e30, stop_lr=1e30, clip_grad_norm=None, warmup_ratio=0.0))


def test_changed_frozen_weights_are_an_error():
    require_unchanged({"clip": "a"}, {"clip": "a"})
    with pytest.raises(WeightsError, match="Frozen weights changed during training: clip"):
        require_unchanged({"clip": "a", "stop": "b"}, {"clip": "c", "stop": "b"})


def test_a_clip_that_changes_stops_the_training(root, monkeypatch):
    class Careless(phases.TempMeStopTask):
        def train_epoch(self, epoch):
            self._model.network.clip.visual.proj.data += 1e-4
            return super().train_epoch(epoch)

    monkeypatch.setattr(phases, "TempMeStopTask", Careless)
    with pytest.raises(WeightsError, match="clip"):
        run(root, config(epochs=1))
    assert not (root / "models").exists()


def test_captions_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"captions\.json"):
        run(tmp_path, config())


def test_the_whole_stage(root, monkeypatch):
    monkeypatch.chdir(root)
    settings = config({"on_missing": "stop"}, epochs=1, backbone="clip")
    params = Params(
        data=DataConfig(root="data"),
        extract=ExtractConfig(clip=vit(root / "weights")),
        train=TrainSection(tempme_stop=settings),
        runtime=RuntimeConfig(device="cpu", threads=1),
    )
    train = TRAINERS.get("tempme_stop")
    line = train(params, scratch=Path("data/.scratch"), progress=SILENT)
    assert line.startswith("wrote data/models/tempme_stop: best epoch 1 of 1, val text-to-video")
    assert Path("metrics/plots/tempme_stop/history.csv").is_file()
    Path("data/videos/train/0.mp4").write_bytes(b"")
    with pytest.raises(BatchError, match="1 of 12 videos could not be used"):
        train(params, scratch=Path("data/.scratch"), progress=SILENT)
    assert Path("data/models/tempme_stop/failures.csv").is_file()
