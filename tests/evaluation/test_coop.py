import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.config import EvaluateConfig, TrainConfig
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.evaluation import EVALUATORS, Outputs, Request
from pipeline_lib.evaluation.coop import CoopEvaluation, evaluate_prompts
from pipeline_lib.networks.text_towers import prompt_text_features
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.storage.features import (
    ClipRows,
    Manifest,
    write_features,
    write_manifest,
)
from pipeline_lib.storage.tables import read_parquet, write_parquet
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop import Places, train_coop
from tests.evaluation.tables import window_row, windows_table
from tests.evaluation.word_tower import WordTower

CLASSES = ("fire", "normal", "road_fall")
SHA = {"clip": "a" * 64, "clip_untrained": "untrained-b"}
TOWER = WordTower(["a", "photo", "of", "fire", "normal", "road", "fall"], SHA["clip"])
VIDEOS = [
    f"{split}/{name}/v{i}"
    for split, count in (("train", 4), ("val", 2), ("test", 3))
    for name in CLASSES
    for i in range(count)
]
SECONDS = 6
CONFIG = TrainConfig(
    control_backbone="clip_untrained", n_ctx=2, epochs=3, lr=0.05, save_every=0, patience=0
)


def in_event(video: str, second: int) -> bool:
    return "normal" not in video and second >= 4


def make_windows() -> pd.DataFrame:
    """Events fill the last two of six seconds; what precedes them is normal."""
    rows = []
    for video in VIDEOS:
        for second in range(SECONDS):
            label = None if in_event(video, second) else "normal"
            rows.append(window_row(video, second, label=label, overlaps=in_event(video, second)))
    return windows_table(*rows)


def make_features(directory: Path, *, trained: bool) -> None:
    """Each second shows its class near the zero-shot prompt, or noise where untrained."""
    names = [name.replace("_", " ") for name in CLASSES]
    text = prompt_text_features(TOWER, [f"a photo of a {name}." for name in names]).numpy()
    entries = {}
    for video in VIDEOS:
        rng = numpy_stream("features", video)
        shown = [
            CLASSES.index(video.split("/")[1] if in_event(video, s) else "normal")
            for s in range(SECONDS)
        ]
        rows = rng.normal(0, 0.08, (SECONDS, TOWER.dim)) + (text[shown] if trained else 0)
        clip = ClipRows(
            rows[:1].astype(np.float32), np.zeros(1), np.ones(1), np.ones(1, int), np.ones(1)
        )
        meta = {
            "source_sha256": "0", "rows": SECONDS, "clips": 1, "dim": TOWER.dim,
            "duration_s": float(SECONDS), "decode_errors": 0,
        }  # fmt: skip
        entries[video] = write_features(directory, video, rows.astype(np.float32), clip, meta)
    write_manifest(
        directory,
        Manifest(
            backbone=directory.name,
            fingerprint="f" * 16,
            weights_id="words",
            weights_sha256=SHA[directory.name],
            trained=trained,
            dim=TOWER.dim,
            every_s=1.0,
            videos=entries,
        ),
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after training."""
    root = tmp_path_factory.mktemp("project")
    make_features(root / "features" / "clip", trained=True)
    make_features(root / "features" / "clip_untrained", trained=False)
    write_parquet(root / "windows.parquet", make_windows())
    places = Places(
        windows=root / "windows.parquet",
        features=root / "features",
        out=root / "coop",
        history=root / "history.csv",
        tensorboard=root / "tensorboard",
        scratch=root / "scratch",
    )
    train_coop(CONFIG, TOWER, places)
    return root


def evaluate(
    root: Path,
    tower: WordTower = TOWER,
    *,
    config: EvaluateConfig | None = None,
    **changes: object,
) -> CoopEvaluation:
    request = Request(
        checkpoint=root / "coop" / "coop_best.safetensors",
        features=root / "features" / "clip",
        windows=root / "windows.parquet",
    )
    request = dataclasses.replace(request, **changes)  # type: ignore[arg-type]
    assert request.checkpoint is not None
    return evaluate_prompts(request.checkpoint, tower, request, config or EvaluateConfig())


def with_windows(root: Path, folder: Path, table: pd.DataFrame) -> CoopEvaluation:
    write_parquet(folder / "windows.parquet", table)
    return evaluate(root, windows=folder / "windows.parquet")


def test_metrics_have_their_names_and_controls_in_a_fixed_order(project: Path) -> None:
    metrics = evaluate(project).metrics
    assert list(metrics) == ["val", "test"]
    levels = ["frame", "event_frame", "video", "event_detection"]
    assert list(metrics["test"]) == ["videos_without_windows", *levels, "control"]
    assert list(metrics["test"]["control"]) == ["chance", "majority", "zero_shot", "random_init"]
    assert metrics["test"]["frame"]["n"] == 54
    assert metrics["test"]["event_frame"]["n"] == 12
    assert metrics["test"]["video"]["n"] == 9
    own = set(metrics["test"]["frame"]) - {"n"}
    for control in ("majority", "zero_shot", "random_init"):
        assert set(metrics["test"]["control"][control]["frame"]) == own


def test_controls_are_what_they_claim(project: Path) -> None:
    test = evaluate(project).metrics["test"]
    control = test["control"]
    assert control["chance"]["frame"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert control["majority"]["frame"]["accuracy"] == pytest.approx(42 / 54)
    assert control["majority"]["frame"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert control["majority"]["video"]["accuracy"] == pytest.approx(1 / 3)
    assert control["majority"]["event_frame"]["accuracy"] == 0.0
    assert control["zero_shot"]["frame"]["balanced_accuracy"] > 0.9
    assert control["random_init"]["frame"]["balanced_accuracy"] < 0.5
    assert test["event_detection"]["auc"] > 0.9


def test_the_stored_validation_metrics_are_reproduced_exactly(project: Path) -> None:
    _, metadata = read_checkpoint(project / "coop" / "coop_best.safetensors")
    frame = evaluate(project).metrics["val"]["frame"]
    assert frame["accuracy"] == metadata["val"]["accuracy"]
    assert frame["balanced_accuracy"] == metadata["val"]["balanced_accuracy"]


def test_written_files_are_the_same_bytes_again(project: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        evaluate(project).write(Outputs.under(tmp_path / name, "coop"))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert [str(file) for file in files] == [
        "coop.json",
        "plots/confusion_frame.csv",
        "plots/confusion_frame.png",
        "plots/confusion_video.csv",
        "plots/confusion_video.png",
        "plots/recall_per_class.csv",
        "video_predictions.parquet",
        "window_predictions.parquet",
    ]
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_written_tables_agree_with_the_metrics(project: Path, tmp_path: Path) -> None:
    evaluate(project).write(Outputs.under(tmp_path, "coop"))
    metrics = json.loads((tmp_path / "coop.json").read_text())
    columns = ("video", "split", "label", "predicted", *(f"probability.{c}" for c in CLASSES))
    for level, name in (("frame", "window"), ("video", "video")):
        table = read_parquet(tmp_path / f"{name}_predictions.parquet", columns)
        table = table[table["split"] == "test"]
        right = (table["label"] == table["predicted"]).mean()
        assert right == pytest.approx(metrics["test"][level]["accuracy"])
        assert table.filter(like="probability.").sum(axis=1).to_numpy() == pytest.approx(1)
        pairs = pd.read_csv(tmp_path / "plots" / f"confusion_{level}.csv")
        assert list(pairs.columns) == ["actual", "predicted"]
        assert (pairs["actual"] == pairs["predicted"]).mean() == pytest.approx(right)
    recall = pd.read_csv(tmp_path / "plots" / "recall_per_class.csv", index_col="class")
    assert list(recall.columns) == ["frame", "event_frame", "video"]
    assert recall.loc["fire", "frame"] == metrics["test"]["frame"]["recall"]["fire"]
    assert np.isnan(recall.loc["normal", "event_frame"])


def test_one_split_can_be_evaluated_without_training_data(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    alone = with_windows(project, tmp_path, table[table["split"] == "test"])
    assert "majority" not in alone.metrics["test"]["control"]
    whole = evaluate(project).metrics["test"]
    assert alone.metrics["test"]["video"] == whole["video"]
    assert alone.metrics["val"]["frame"]["accuracy"] is None
    only = evaluate(project, splits=("test",)).metrics
    assert only == {"test": whole}


def test_a_class_absent_from_a_split_keeps_the_others_in_place(
    project: Path, tmp_path: Path
) -> None:
    table = make_windows()
    gone = (table["split"] == "val") & (table["class_name"] == "fire")
    val = with_windows(project, tmp_path, table[~gone]).metrics["val"]
    assert val["frame"]["recall"]["fire"] is None
    assert val["frame"]["auc"]["fire"] is None
    assert val["video"]["recall"]["fire"] is None
    whole = evaluate(project).metrics["val"]
    assert val["frame"]["recall"]["road_fall"] == whole["frame"]["recall"]["road_fall"]


def test_a_video_without_windows_is_counted(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = make_windows()
    table.loc[table["video"] == "test/fire/v0", ["kept", "label"]] = [False, ""]
    with caplog.at_level(logging.WARNING):
        test = with_windows(project, tmp_path, table).metrics["test"]
    assert test["videos_without_windows"] == 1
    assert test["video"]["n"] == 8
    assert "1 videos of the test split have no kept window" in caplog.text
    assert "test/fire/v0" in caplog.text


@pytest.mark.parametrize("pooling", ["mean", "max", "vote"])
def test_pooling_changes_videos_only(project: Path, pooling: str) -> None:
    config = EvaluateConfig(video_pooling=pooling)  # type: ignore[arg-type]
    found = evaluate(project, config=config).metrics["test"]
    assert found["frame"] == evaluate(project).metrics["test"]["frame"]
    # Four of six seconds of an event video are normal, so votes go to normal.
    assert pooling != "vote" or found["video"]["recall"]["fire"] == 0.0


def test_without_a_trained_control_it_is_left_out(project: Path, tmp_path: Path) -> None:
    shutil.copy(project / "coop" / "coop_best.safetensors", tmp_path / "mine.safetensors")
    found = evaluate(project, checkpoint=tmp_path / "mine.safetensors").metrics["test"]
    assert list(found["control"]) == ["chance", "majority", "zero_shot"]


def test_another_text_tower_is_refused(project: Path) -> None:
    other = WordTower(["a", "photo", "of", "fire", "normal", "road", "fall"], "c" * 64)
    with pytest.raises(WeightsError, match=r"trained with text tower aaaa.*at hand is cccc"):
        evaluate(project, other)


def test_features_of_other_weights_are_refused(project: Path) -> None:
    with pytest.raises(WeightsError, match=r"features of weights untrained-b.*of aaaa"):
        evaluate(project, features=project / "features" / "clip_untrained")


def test_an_unknown_class_is_refused_by_name(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    table.loc[table["video"] == "test/fire/v0", "label"] = "fires"
    with pytest.raises(DataError, match="class 'fires' of the test split"):
        with_windows(project, tmp_path, table)


def test_windows_longer_than_trained_on_are_refused(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    table.loc[0, "n_rows"] = 1
    table.loc[table["split"] == "test", "n_rows"] = 2
    with pytest.raises(DataError, match="windows of 2 rows; the model was trained on windows of 1"):
        with_windows(project, tmp_path, table)


def test_nothing_to_measure_is_an_error(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    with pytest.raises(DataError, match="no kept window of val or test"):
        with_windows(project, tmp_path, table[table["split"] == "train"])


def test_mistyped_options_are_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match="Unknown split 'tset'") as caught:
        evaluate(project, splits=("tset",))
    assert caught.value.hint == "Did you mean 'test'?"
    with pytest.raises(ConfigError, match="zero_shot_prompt = 'a photo' has no place"):
        evaluate(project, config=EvaluateConfig(zero_shot_prompt="a photo"))


@pytest.mark.parametrize("name", list(EVALUATORS))
def test_every_evaluator_can_be_imported(name: str) -> None:
    assert callable(EVALUATORS.get(name))
