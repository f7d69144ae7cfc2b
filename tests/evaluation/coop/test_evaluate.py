import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.config import DataConfig, EvaluateConfig, Params, TrainConfig
from pipeline_lib.datasets.window_store import open_store
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.evaluation import EVALUATORS, Outputs, Request
from pipeline_lib.evaluation.coop.evaluate import CoopEvaluation, evaluate_coop
from pipeline_lib.evaluation.coop.scoring import LEVELS
from pipeline_lib.metrics.logits import affine_logits
from pipeline_lib.trainers.checkpoints import read_checkpoint, write_checkpoint
from tests.evaluation.coop.project import (
    CLASSES,
    TOWER,
    WORDS,
    evaluate,
    make_features,
    make_windows,
    pack,
    with_windows,
)
from tests.evaluation.coop.word_tower import WordTower

CONTROLS = ["chance", "majority", "zero_shot", "linear_probe", "shuffled", "random_init"]


def test_metrics_have_their_names_and_controls_in_a_fixed_order(
    evaluation: CoopEvaluation,
) -> None:
    metrics = evaluation.metrics
    assert list(metrics) == ["val", "test"]
    test = metrics["test"]
    measured = [*LEVELS, "video_pooling", "anomaly"]
    assert list(test) == ["videos_without_windows", *measured, "seeds", "control"]
    assert list(test["control"]) == CONTROLS
    assert [test[level]["n"] for level in LEVELS] == [54, 12, 9]
    counts = {"seconds": 54, "uncovered_seconds": 0, "unknown_videos": 0}
    assert test["anomaly"].items() >= counts.items()
    for control in CONTROLS[1:]:
        assert set(test["control"][control]) == set(measured)
        assert set(test["control"][control]["frame"]) == set(test["frame"]) - {"n"}
        assert set(test["control"][control]["anomaly"]) == set(test["anomaly"]) - set(counts)


def test_controls_are_what_they_claim(project: Path, evaluation: CoopEvaluation) -> None:
    test = evaluation.metrics["test"]
    control = test["control"]
    assert control["chance"]["frame"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert control["majority"]["frame"]["accuracy"] == pytest.approx(42 / 54)
    assert control["majority"]["frame"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert control["majority"]["video"]["accuracy"] == pytest.approx(1 / 3)
    assert control["majority"]["event_frame"]["accuracy"] == 0.0
    assert control["majority"]["anomaly"]["auc"] == 0.5
    assert control["zero_shot"]["frame"]["balanced_accuracy"] > 0.9
    assert control["linear_probe"]["frame"]["balanced_accuracy"] > 0.9
    shuffled = project / "coop" / "control_shuffled_labels" / "coop_best.safetensors"
    alone = evaluate(project, checkpoint=shuffled, splits=("test",)).metrics["test"]
    assert control["shuffled"]["frame"] == {
        name: value for name, value in alone["frame"].items() if name != "n"
    }
    assert control["random_init"]["frame"]["balanced_accuracy"] < 0.5
    assert test["anomaly"]["auc"] > 0.9


@pytest.mark.parametrize("which", ["best", "final"])
def test_the_stored_validation_metrics_are_reproduced_exactly(project: Path, which: str) -> None:
    _, metadata = read_checkpoint(project / "coop" / f"coop_{which}.safetensors")
    config = EvaluateConfig(checkpoint=which)  # type: ignore[arg-type]
    val = evaluate(project, config=config, splits=("val",)).metrics["val"]
    assert val["frame"]["accuracy"] == metadata["val"]["accuracy"]
    assert val["frame"]["balanced_accuracy"] == metadata["val"]["balanced_accuracy"]
    assert val["video"]["accuracy"] == metadata["val"]["video_accuracy"]


def test_results_do_not_depend_on_the_batch_nor_on_cached_text_features(
    project: Path, evaluation: CoopEvaluation
) -> None:
    features = open_store(project / "windows" / "clip").split("test", CLASSES).features
    weights = TOWER.logit_scale * evaluation.lineup.text_features.astype(np.float64)
    found = {
        size: affine_logits(features, weights, np.zeros(len(CLASSES)), size)
        for size in (1, 32, 4096)
    }
    own = evaluation.lineup.model.logits("test")
    for logits in found.values():
        assert logits == pytest.approx(own, abs=1e-9)
        predicted = evaluation.splits["test"].scores.frame.predicted
        assert (logits.argmax(axis=1) == predicted).all()


def test_one_split_can_be_evaluated_without_training_or_validation_data(
    project: Path, tmp_path: Path, evaluation: CoopEvaluation
) -> None:
    table = make_windows()
    alone = with_windows(project, tmp_path, table[table["split"] == "test"])
    whole = evaluation.metrics["test"]
    assert alone.metrics["test"]["video"] == whole["video"]
    assert list(alone.metrics["test"]["control"]) == CONTROLS
    assert alone.metrics["val"]["frame"]["accuracy"] is None
    only = evaluate(project, splits=("test",)).metrics
    assert list(only) == ["test"]
    assert only["test"]["frame"] == whole["frame"]


def test_features_of_the_test_split_alone_can_be_measured(
    project: Path, tmp_path: Path, evaluation: CoopEvaluation
) -> None:
    shutil.copytree(project / "features" / "clip", tmp_path / "features" / "clip")
    path = tmp_path / "features" / "clip" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["videos"] = {
        video: entry for video, entry in manifest["videos"].items() if video.startswith("test/")
    }
    path.write_text(json.dumps(manifest))
    table = make_windows()
    windows = pack(tmp_path, tmp_path / "windows", table[table["split"] == "test"])
    found = evaluate(project, windows=windows, splits=("test",)).metrics["test"]
    assert found["frame"] == evaluation.metrics["test"]["frame"]
    with pytest.raises(DataError, match="No window of the train split"):
        open_store(windows).split("train", CLASSES)


def test_the_anomaly_threshold_comes_from_val(project: Path) -> None:
    found = evaluate(project, splits=("test", "val")).metrics
    assert list(found) == ["test", "val"]
    chosen = found["val"]["anomaly"]["at_youden"]["threshold"]
    assert found["test"]["anomaly"]["at_youden"]["threshold"] == chosen
    only = evaluate(project, splits=("test",)).metrics["test"]
    assert set(only["anomaly"]["at_youden"].values()) == {None}
    assert only["anomaly"]["at_half"] == found["test"]["anomaly"]["at_half"]


def test_a_class_absent_from_a_split_keeps_the_others_in_place(
    project: Path, tmp_path: Path, evaluation: CoopEvaluation
) -> None:
    table = make_windows()
    gone = (table["split"] == "val") & (table["class_name"] == "fire")
    val = with_windows(project, tmp_path, table[~gone]).metrics["val"]
    for name in ("recall", "f1", "auc", "average_precision"):
        assert val["frame"][name]["fire"] is None
        assert list(val["frame"][name]) == list(CLASSES)
    assert val["video"]["recall"]["fire"] is None
    assert val["frame"]["macro_auc"] is not None
    whole = evaluation.metrics["val"]
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
    assert test["anomaly"]["uncovered_seconds"] == 6
    assert "1 videos of the test split have no kept window" in caplog.text
    assert "test/fire/v0" in caplog.text


@pytest.mark.parametrize("pooling", ["mean", "max", "vote"])
def test_pooling_changes_videos_only(
    project: Path, evaluation: CoopEvaluation, pooling: str
) -> None:
    config = EvaluateConfig(video_pooling=pooling)  # type: ignore[arg-type]
    found = evaluate(project, config=config, splits=("test",)).metrics["test"]
    other = evaluation.metrics["test"]
    assert found["frame"] == other["frame"]
    assert found["video_pooling"] == other["video_pooling"]
    assert found["video"]["accuracy"] == found["video_pooling"][pooling]["accuracy"]
    # Four of six seconds of an event video are normal, so votes go to normal.
    assert pooling != "vote" or found["video"]["recall"]["fire"] == 0.0


def test_seeds_are_the_model_and_those_beside_it(project: Path, evaluation: CoopEvaluation) -> None:
    values = [evaluation.metrics["test"]["frame"]["accuracy"]]
    for seed in (2, 3):
        path = project / "coop" / f"seed_{seed}" / "coop_best.safetensors"
        alone = evaluate(project, checkpoint=path, splits=("test",)).metrics["test"]
        assert "seeds" not in alone
        assert "linear_probe" not in alone["control"]
        values.append(alone["frame"]["accuracy"])
    found = evaluation.metrics["test"]["seeds"]
    assert found["n"] == 3
    assert found["frame"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert found["frame"]["accuracy"]["std"] == pytest.approx(np.std(values, ddof=1))
    assert set(found) == {"n", *LEVELS, "anomaly"}


def test_controls_and_seeds_are_of_the_checkpoints_own_kind(project: Path) -> None:
    asked = EvaluateConfig(checkpoint="final", timelines=4)
    expected = evaluate(project, config=asked, splits=("test",)).metrics["test"]
    final = project / "coop" / "coop_final.safetensors"
    found = evaluate(project, checkpoint=final, splits=("test",)).metrics["test"]
    assert found == expected
    assert found["seeds"]["n"] == 3


def test_controls_that_are_not_there_are_left_out_and_told(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(project / "coop" / "coop_best.safetensors", tmp_path / "mine.safetensors")
    with caplog.at_level(logging.INFO):
        found = evaluate(
            project, checkpoint=tmp_path / "mine.safetensors", splits=("test",)
        ).metrics["test"]
    assert list(found["control"]) == ["chance", "majority", "zero_shot"]
    assert "the control linear_probe is not there and left out" in caplog.text
    assert "seeds" not in found


def test_an_untrained_control_needs_its_windows_and_the_same_ones(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = pack(project, tmp_path / "alone", make_windows())
    found = evaluate(project, windows=alone).metrics["test"]
    assert "random_init" not in found["control"]
    assert "the control random_init cannot be measured" in caplog.text
    pack(project, tmp_path / "other", make_windows(), "clip_untrained")
    other = pack(project, tmp_path / "other", make_windows().iloc[1:])
    with pytest.raises(DataError, match=r"clip_untrained: holds other windows than"):
        evaluate(project, windows=other)


def test_a_control_of_an_earlier_version_is_refused(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "coop", tmp_path / "coop")
    seed = tmp_path / "coop" / "seed_2" / "coop_best.safetensors"
    tensors, metadata = read_checkpoint(seed)
    del metadata["config"]
    write_checkpoint(seed, tensors, metadata)
    with pytest.raises(WeightsError, match=r"seed_2.*does not say its config"):
        evaluate(project, checkpoint=tmp_path / "coop" / "coop_best.safetensors")


def test_a_probe_of_another_size_is_refused(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "coop", tmp_path / "coop")
    probe = tmp_path / "coop" / "control_linear_probe.safetensors"
    tensors, metadata = read_checkpoint(probe)
    write_checkpoint(probe, {**tensors, "bias": tensors["bias"][:2]}, metadata)
    with pytest.raises(WeightsError, match="'bias' should be 3, not 2"):
        evaluate(project, checkpoint=tmp_path / "coop" / "coop_best.safetensors")


def test_a_zero_shot_prompt_that_is_too_long_is_told_with_its_parameter(project: Path) -> None:
    config = EvaluateConfig(zero_shot_prompt="{} " * 30)
    with pytest.raises(ConfigError, match=r"evaluate\.zero_shot_prompt: Text 'fire fire"):
        evaluate(project, config=config)


def test_another_text_tower_is_refused(project: Path) -> None:
    other = WordTower(WORDS, "c" * 64)
    with pytest.raises(WeightsError, match=r"trained with text tower aaaa.*at hand is cccc"):
        evaluate(project, tower=other)


def test_features_of_other_weights_are_refused(project: Path) -> None:
    with pytest.raises(WeightsError, match=r"features of weights untrained-b.*of aaaa"):
        evaluate(project, windows=project / "windows" / "clip_untrained")


def test_windows_pooled_in_another_way_are_refused(project: Path, tmp_path: Path) -> None:
    config = TrainConfig(control_backbone="clip_untrained", temporal_agg="max")
    other = pack(project, tmp_path, make_windows(), config=config)
    with pytest.raises(DataError, match=r"windows pooled by max; .* on windows pooled by mean"):
        evaluate(project, windows=other)


def test_an_unknown_class_is_refused_by_name(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    table.loc[table["video"] == "test/fire/v0", "label"] = "fires"
    with pytest.raises(DataError, match="'fires' of the test split"):
        with_windows(project, tmp_path, table)


def test_windows_longer_than_trained_on_are_refused(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    last = table["start_row"] == 5
    table = table[~last]
    table.loc[table["split"] == "test", ["n_rows", "end_s"]] += 1
    with pytest.raises(DataError, match="windows of 2 rows; the model was trained on windows of 1"):
        with_windows(project, tmp_path, table)


def test_nothing_to_measure_is_an_error(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    with pytest.raises(DataError, match="no kept window of val or test"):
        with_windows(project, tmp_path, table[table["split"] == "train"])


@pytest.mark.parametrize("missing", ["temporal_agg", "recipe", "class_names", "weights_sha256"])
def test_a_checkpoint_of_an_earlier_version_is_refused(
    project: Path, tmp_path: Path, missing: str
) -> None:
    tensors, metadata = read_checkpoint(project / "coop" / "coop_best.safetensors")
    del metadata[missing]
    write_checkpoint(tmp_path / "old.safetensors", tensors, metadata)
    with pytest.raises(WeightsError, match=f"does not say its {missing}"):
        evaluate(project, checkpoint=tmp_path / "old.safetensors")


def test_what_is_no_coop_checkpoint_is_refused(project: Path) -> None:
    with pytest.raises(WeightsError, match="not a CoOp checkpoint"):
        evaluate(project, checkpoint=project / "coop" / "control_linear_probe.safetensors")


def test_a_control_of_other_classes_is_refused(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "coop", tmp_path / "coop")
    probe = tmp_path / "coop" / "control_linear_probe.safetensors"
    tensors, metadata = read_checkpoint(probe)
    write_checkpoint(probe, tensors, {**metadata, "class_names": ["fire", "normal", "fall"]})
    with pytest.raises(WeightsError, match="has classes fire, normal, fall; the model"):
        evaluate(project, checkpoint=tmp_path / "coop" / "coop_best.safetensors")


def test_features_extracted_otherwise_are_told(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_features(tmp_path / "features" / "clip", trained=True)
    manifest = tmp_path / "features" / "clip" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("f" * 16, "0" * 16))
    other = pack(tmp_path, tmp_path / "windows", make_windows())
    evaluate(project, windows=other, splits=("test",))
    assert "extracted with other settings (fingerprint 0000000000000000)" in caplog.text


def test_mistyped_options_are_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match="Unknown split 'tset'") as caught:
        evaluate(project, splits=("tset",))
    assert caught.value.hint == "Did you mean 'test'?"
    with pytest.raises(ConfigError, match="zero_shot_prompt = 'a photo' has no place"):
        evaluate(project, config=EvaluateConfig(zero_shot_prompt="a photo"))


def test_the_text_tower_runs_in_the_precision_it_was_trained_with(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, metadata = read_checkpoint(project / "coop" / "coop_best.safetensors")
    metadata["recipe"]["precision"] = "bf16"
    write_checkpoint(tmp_path / "coop_best.safetensors", tensors, metadata)
    asked = []

    def prepared(params: Params, backbone: str, precision: str) -> WordTower:
        asked.append((backbone, precision))
        return TOWER

    monkeypatch.setattr("pipeline_lib.evaluation.coop.evaluate.prepared_tower", prepared)
    params = Params(data=DataConfig(root="videos"))
    request = Request(
        checkpoint=tmp_path / "coop_best.safetensors",
        windows=project / "windows" / "clip",
        splits=("val",),
    )
    found = evaluate_coop(params, request)
    assert asked == [("clip", "bf16")]
    assert found.metrics["val"]["frame"]["accuracy"] == metadata["val"]["accuracy"]


def test_an_imported_checkpoint_says_little_and_is_measured(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors, metadata = read_checkpoint(project / "coop" / "coop_best.safetensors")
    metadata |= {"seed": None, "train_windows_per_class": None, "recipe": {"precision": "fp32"}}
    metadata["features"] = {**metadata["features"], "fingerprint": None}
    write_checkpoint(tmp_path / "imported.safetensors", tensors, metadata)
    found = evaluate(project, checkpoint=tmp_path / "imported.safetensors", splits=("test",))
    assert list(found.metrics["test"]["control"]) == ["chance", "zero_shot"]
    assert "extracted with other settings" not in caplog.text
    found.write(Outputs.under(tmp_path / "out", "coop"))


@pytest.mark.parametrize("name", list(EVALUATORS))
def test_every_evaluator_can_be_imported(name: str) -> None:
    assert callable(EVALUATORS.get(name))
