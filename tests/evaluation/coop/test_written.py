import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.config import EvaluateConfig
from pipeline_lib.datasets.window_store import open_store
from pipeline_lib.evaluation import Outputs
from pipeline_lib.evaluation.coop.evaluate import CoopEvaluation
from pipeline_lib.metrics.anomaly import ranking
from pipeline_lib.storage.tables import read_parquet
from pipeline_lib.trainers.checkpoints import read_checkpoint, write_checkpoint
from tests.evaluation.coop.project import CLASSES, evaluate, logits_of, make_windows, pack


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, evaluation: CoopEvaluation) -> Path:
    folder = tmp_path_factory.mktemp("written")
    evaluation.write(Outputs.under(folder, "coop"))
    return folder


def test_files_are_the_same_bytes_again(project: Path, written: Path, tmp_path: Path) -> None:
    evaluate(project).write(Outputs.under(tmp_path, "coop"))
    files = sorted(str(p.relative_to(written)) for p in written.rglob("*.*"))
    assert files == [
        "context_words.csv",
        "coop.json",
        "per_class.csv",
        "plots/anomaly_curves.png",
        "plots/confusion_frame.csv",
        "plots/confusion_frame.png",
        "plots/confusion_video.csv",
        "plots/confusion_video.png",
        "plots/precision_recall.csv",
        "plots/prompt_map.png",
        "plots/recall_per_class.csv",
        "plots/roc.csv",
        "plots/timelines/test__fire__v0.png",
        "plots/timelines/test__fire__v2.png",
        "plots/timelines/test__normal__v1.png",
        "plots/timelines/test__road_fall__v1.png",
        "second_scores.parquet",
        "text_features.npz",
        "video_predictions.parquet",
        "window_predictions.parquet",
    ]
    for file in files:
        assert (written / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_tables_agree_with_the_metrics(written: Path) -> None:
    metrics = json.loads((written / "coop.json").read_text())
    columns = ("video", "split", "label", "predicted", *(f"probability.{c}" for c in CLASSES))
    for level, name in (("frame", "window"), ("video", "video")):
        table = read_parquet(written / f"{name}_predictions.parquet", columns)
        table = table[table["split"] == "test"]
        right = (table["label"] == table["predicted"]).mean()
        assert right == pytest.approx(metrics["test"][level]["accuracy"])
        assert table.filter(like="probability.").sum(axis=1).to_numpy() == pytest.approx(1)
        pairs = pd.read_csv(written / "plots" / f"confusion_{level}.csv")
        assert list(pairs.columns) == ["actual", "predicted"]
        assert (pairs["actual"] == pairs["predicted"]).mean() == pytest.approx(right)
    recall = pd.read_csv(written / "plots" / "recall_per_class.csv", index_col="class")
    assert list(recall.columns) == ["frame", "event_frame", "video"]
    assert recall.loc["fire", "frame"] == metrics["test"]["frame"]["recall"]["fire"]
    assert np.isnan(recall.loc["normal", "event_frame"])


def test_single_classes_stand_in_a_table(written: Path) -> None:
    metrics = json.loads((written / "coop.json").read_text())["test"]
    assert [k for k, v in metrics["frame"].items() if isinstance(v, dict)] == ["recall"]
    assert not any(isinstance(v, dict) for v in metrics["control"]["majority"]["frame"].values())
    table = pd.read_csv(written / "per_class.csv")
    measured = ["auc", "average_precision", "f1", "precision", "recall"]
    assert list(table.columns) == ["split", "level", "model", "class", *measured]
    assert set(table["model"]) == {"coop", *metrics["control"]} - {"chance"}
    own = table.query("split == 'test' and level == 'frame' and model == 'coop'")
    assert own.set_index("class")["recall"].to_dict() == pytest.approx(
        {k: np.nan if v is None else v for k, v in metrics["frame"]["recall"].items()}, nan_ok=True
    )


def test_second_scores_give_the_areas_again(written: Path) -> None:
    metrics = json.loads((written / "coop.json").read_text())
    columns = ("video", "split", "start_s", "end_s", "overlaps_event", "score", "log_odds")
    table = read_parquet(written / "second_scores.parquet", columns)
    assert list(table.columns) == list(columns)
    for split, seconds in table.groupby("split", observed=True):
        found = ranking(seconds["overlaps_event"].to_numpy(), seconds["log_odds"].to_numpy())
        assert metrics[split]["anomaly"].items() >= found.items()
    first = table[table["video"] == "test/fire/v1"]
    assert first["start_s"].tolist() == [0, 1, 2, 3, 4, 5]
    assert first["end_s"].tolist() == [1, 2, 3, 4, 5, 6]
    assert first["overlaps_event"].tolist() == [False] * 4 + [True] * 2


def test_exported_text_features_name_the_windows_without_a_text_tower(
    project: Path, written: Path, evaluation: CoopEvaluation
) -> None:
    with np.load(written / "text_features.npz", allow_pickle=False) as archive:
        text, names, scale = (archive[k] for k in ("text_features", "class_names", "logit_scale"))
    assert names.tolist() == list(CLASSES)
    assert text.dtype == np.float32
    assert np.linalg.norm(text, axis=1) == pytest.approx(1, abs=1e-6)
    features = open_store(project / "windows" / "clip").split("test", CLASSES).features
    logits = scale * features @ text.T
    own = evaluation.lineup.model.logits("test")
    assert np.abs(logits - own).max() <= 1e-4
    table = read_parquet(written / "window_predictions.parquet", ("split", "predicted"))
    predicted = table.loc[table["split"] == "test", "predicted"]
    assert names[logits.argmax(axis=1)].tolist() == list(predicted)


def test_a_videos_mean_logit_is_that_of_its_mean_normalised_feature(
    project: Path, evaluation: CoopEvaluation
) -> None:
    windows = open_store(project / "windows" / "clip").split("test", CLASSES)
    text = evaluation.lineup.text_features
    own = evaluation.lineup.model.logits("test")
    for video in range(len(windows.video_ids)):
        of_video = windows.video_of_window == video
        mean_feature = windows.features[of_video].mean(axis=0)
        expected = logits_of(mean_feature[None], text)[0]
        assert np.abs(own[of_video].mean(axis=0) - expected).max() <= 1e-4


def test_the_nearest_words_of_a_context_are_named(written: Path) -> None:
    words = pd.read_csv(written / "context_words.csv", keep_default_na=False)
    assert list(words.columns) == ["class", "position", "rank", "word", "distance"]
    assert set(words["class"]) == {""}
    assert words["position"].drop_duplicates().tolist() == [1, 2]


def test_curves_have_a_column_for_the_model_and_two_controls(written: Path) -> None:
    names = ["coop", "zero_shot", "linear_probe"]
    roc = pd.read_csv(written / "plots" / "roc.csv")
    assert list(roc.columns) == ["false_positive_rate", *names]
    assert (roc[names].iloc[-1] == 1).all()
    assert (roc[names].diff().dropna() >= 0).all().all()
    precision = pd.read_csv(written / "plots" / "precision_recall.csv")
    assert list(precision.columns) == ["recall", *names]
    assert len(roc) == len(precision) == 201


def test_without_a_normal_class_every_file_is_there(project: Path, tmp_path: Path) -> None:
    tensors, metadata = read_checkpoint(project / "coop" / "coop_best.safetensors")
    write_checkpoint(tmp_path / "mine.safetensors", tensors, {**metadata, "normal_class": "idle"})
    evaluation = evaluate(project, checkpoint=tmp_path / "mine.safetensors")
    assert "anomaly" not in evaluation.metrics["test"]
    evaluation.write(Outputs.under(tmp_path / "out", "coop"))
    assert read_parquet(tmp_path / "out" / "second_scores.parquet", ("score",)).empty
    assert pd.read_csv(tmp_path / "out" / "plots" / "roc.csv").empty
    assert (tmp_path / "out" / "plots" / "anomaly_curves.png").is_file()


def test_plots_show_the_last_split_that_has_windows(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    store = pack(project, tmp_path / "windows", table[table["split"] != "test"])
    config = EvaluateConfig(timelines=0, video_pooling="vote")
    evaluate(project, windows=store, config=config).write(Outputs.under(tmp_path, "coop"))
    assert len(pd.read_csv(tmp_path / "plots" / "confusion_video.csv")) == 6
    assert list((tmp_path / "plots" / "timelines").iterdir()) == []
