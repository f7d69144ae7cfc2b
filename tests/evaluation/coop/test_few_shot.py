import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline_lib.config import EvaluateConfig, FewShotConfig, TrainConfig
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.evaluation.coop import few_shot
from pipeline_lib.evaluation.coop.few_shot import FewShotPlaces, few_shot_curve
from pipeline_lib.trainers.coop.runs import train_prompts
from tests.evaluation.coop.project import TOWER, WORDS, make_windows, pack
from tests.evaluation.coop.word_tower import WordTower

CONFIG = TrainConfig(n_ctx=2, epochs=3, lr=0.05)
POINTS = FewShotConfig(shots=(1, 4), seeds=(1, 2))
METRICS = ("balanced_accuracy", "accuracy", "video_accuracy")
LEARNED = ("prompts", "linear_probe", "shuffled")


def places(project: Path, out: Path) -> FewShotPlaces:
    return FewShotPlaces(
        windows=project / "windows",
        metrics=out / "few_shot.json",
        plots=out / "plots",
        scratch=out / "scratch",
    )


def draw(
    project: Path,
    out: Path,
    *,
    config: TrainConfig = CONFIG,
    points: FewShotConfig = POINTS,
    evaluate: EvaluateConfig | None = None,
    tower: WordTower = TOWER,
) -> pd.DataFrame:
    where = places(project, out)
    return few_shot_curve(config, points, evaluate or EvaluateConfig(), tower, where)


def tree_of(out: Path) -> dict:
    return json.loads((out / "few_shot.json").read_text())["test"]


def written(out: Path) -> dict[str, str]:
    """Hash of every result; the scratch is none."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "scratch" not in path.parts
    }


@pytest.fixture(scope="module")
def drawn(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("drawn")
    return out, draw(project, out)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, int | None, int]]:
    """Shots, epochs and windows of each training of prompts, in their order."""
    calls = []

    def counted(config, tower, data, seed, keep="best"):
        calls.append((config.shots, config.epochs, len(data.train)))
        return train_prompts(config, tower, data, seed, keep=keep)

    monkeypatch.setattr(few_shot, "train_prompts", counted)
    return calls


def test_one_row_a_model_and_number_of_shots(drawn: tuple[Path, pd.DataFrame]) -> None:
    _, table = drawn
    assert set(zip(table["model"], table["shots"], strict=True)) == {
        (model, shots) for model in LEARNED for shots in (1, 4)
    }
    assert table[list(METRICS)].to_numpy().min() >= 0
    assert table[list(METRICS)].to_numpy().max() <= 1
    assert table[[f"{name}_std" for name in METRICS]].notna().all(axis=None)


def test_the_metrics_stand_beside_their_controls(drawn: tuple[Path, pd.DataFrame]) -> None:
    out, table = drawn
    tree = tree_of(out)
    controls = tree["control"]
    assert set(controls) == {
        "linear_probe", "shuffled", "zero_shot", "majority", "chance",
    }  # fmt: skip
    for name in controls:
        assert list(controls[name]) == ["shots_1", "shots_4"]
    for model in LEARNED:
        branch = tree if model == "prompts" else controls[model]
        row = table[(table["model"] == model) & (table["shots"] == 4)].iloc[0]
        for name in (*METRICS, "accuracy_std"):
            assert branch["shots_4"][name] == row[name]
    # 9 test videos of 6 windows; two thirds of them show an event in their last two seconds.
    assert controls["majority"]["shots_1"]["accuracy"] == pytest.approx(42 / 54)
    assert controls["majority"]["shots_1"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert controls["majority"]["shots_1"]["video_accuracy"] == pytest.approx(1 / 3)
    assert controls["chance"]["shots_4"]["balanced_accuracy"] == pytest.approx(1 / 3)
    # The features were drawn around the plain prompt's.
    assert controls["zero_shot"]["shots_1"]["balanced_accuracy"] > 0.9


def test_the_table_is_the_curve_and_the_picture_is_there(drawn: tuple[Path, pd.DataFrame]) -> None:
    out, table = drawn
    curve = pd.read_csv(out / "plots" / "curve.csv")
    assert list(curve.columns) == ["shots", *LEARNED]
    assert curve["shots"].tolist() == [1, 4]
    prompts = table[table["model"] == "prompts"].sort_values("shots")
    assert curve["prompts"].tolist() == pytest.approx(prompts["balanced_accuracy"].tolist())
    assert (out / "plots" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_mean_and_deviation_are_over_the_seeds(
    project: Path, tmp_path: Path, drawn: tuple[Path, pd.DataFrame]
) -> None:
    _, both = drawn
    alone = [
        draw(project, tmp_path / str(seed), points=FewShotConfig(shots=(4,), seeds=(seed,)))
        for seed in (1, 2)
    ]
    values = pd.concat(alone)
    values = values[values["model"] == "prompts"]["accuracy"]
    row = both[(both["model"] == "prompts") & (both["shots"] == 4)].iloc[0]
    assert row["accuracy"] == pytest.approx(values.mean())
    assert row["accuracy_std"] == pytest.approx(values.std(ddof=1))


def test_one_seed_has_no_deviation(project: Path, tmp_path: Path) -> None:
    draw(project, tmp_path, points=FewShotConfig(shots=(2,), seeds=(1, 1)))
    point = tree_of(tmp_path)["shots_2"]
    assert point["balanced_accuracy"] is not None
    assert [point[f"{name}_std"] for name in METRICS] == [None, None, None]


def test_a_repeated_number_is_drawn_once(project: Path, tmp_path: Path, trained: list) -> None:
    table = draw(project, tmp_path, points=FewShotConfig(shots=(4, 1, 4), seeds=(2, 2)))
    assert len(table) == 2 * len(LEARNED)
    assert [shots for shots, _, _ in trained] == [1, 1, 4, 4]  # prompts, then shuffled labels


def test_the_same_inputs_give_the_same_bytes(
    project: Path, tmp_path: Path, drawn: tuple[Path, pd.DataFrame]
) -> None:
    draw(project, tmp_path)
    assert written(tmp_path) == written(drawn[0])


def test_a_killed_run_goes_on_with_the_next_point(
    project: Path,
    tmp_path: Path,
    drawn: tuple[Path, pd.DataFrame],
    trained: list,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = few_shot.train_prompts

    def killed(*arguments, **options):
        if len(trained) == 3:
            raise KeyboardInterrupt
        return counted(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(few_shot, "train_prompts", killed)
        with pytest.raises(KeyboardInterrupt):
            draw(project, tmp_path)
    assert written(tmp_path) == {}
    del trained[:]
    draw(project, tmp_path)
    # One of four points was finished; each of the others trains prompts and shuffled labels.
    assert len(trained) == 6
    assert written(tmp_path) == written(drawn[0])
    del trained[:]
    draw(project, tmp_path)
    assert trained == []
    draw(project, tmp_path, config=replace(CONFIG, lr=0.04))
    assert len(trained) == 8


def test_a_damaged_point_is_told(project: Path, tmp_path: Path) -> None:
    points = FewShotConfig(shots=(1,), seeds=(1,))
    draw(project, tmp_path, points=points)
    (kept,) = (tmp_path / "scratch" / "few-shot").iterdir()
    kept.write_text("{")
    with pytest.raises(DataError, match=rf"{kept.name}: .* is damaged(.|\n)*Delete it"):
        draw(project, tmp_path, points=points)


@pytest.mark.parametrize(
    ("config", "epochs"),
    [
        (replace(CONFIG, epochs=None), {1: 50, 2: 100, 4: 100}),
        (replace(CONFIG, epochs=2), {1: 2, 2: 2, 4: 2}),
        (replace(CONFIG, epochs=None, preset="fast"), {1: None, 2: None, 4: None}),
    ],
)
def test_epochs_grow_with_the_shots_unless_they_are_given(
    project: Path, tmp_path: Path, trained: list, config: TrainConfig, epochs: dict
) -> None:
    draw(project, tmp_path, config=config, points=FewShotConfig(shots=(1, 2, 4), seeds=(1,)))
    assert {shots: found for shots, found, _ in trained} == epochs
    assert {shots: windows for shots, _, windows in trained} == {1: 3, 2: 6, 4: 12}


def test_the_last_epoch_counts_and_patience_does_not(
    project: Path, tmp_path: Path, drawn: tuple[Path, pd.DataFrame]
) -> None:
    draw(project, tmp_path, config=replace(CONFIG, patience=1, seeds=(7, 8), shots=3))
    assert written(tmp_path) == written(drawn[0])


def test_a_class_gives_all_it_has(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, trained: list
) -> None:
    with caplog.at_level(logging.INFO):
        draw(project, tmp_path, points=FewShotConfig(shots=(10,), seeds=(1,)))
    # 4 training videos of each event class with 2 windows of the event.
    assert "class 'fire' has only 8 of 10 shots" in caplog.text
    assert {windows for _, _, windows in trained} == {8 + 8 + 10}


def test_a_zero_shot_prompt_without_a_place_is_told_before_training(
    project: Path, tmp_path: Path, trained: list
) -> None:
    with pytest.raises(ConfigError, match="has no place for the class name"):
        draw(project, tmp_path, evaluate=EvaluateConfig(zero_shot_prompt="a photo"))
    assert trained == []


def test_inputs_that_cannot_be_used(project: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no packed windows(.|\n)*dvc repro pack-windows"):
        draw(tmp_path, tmp_path)
    with pytest.raises(WeightsError, match=r"weights aaaa.*the text tower has cccc"):
        draw(project, tmp_path, tower=WordTower(WORDS, "c" * 64))
    untrained, config = WordTower(WORDS, "untrained-b"), replace(CONFIG, backbone="clip_untrained")
    with pytest.raises(WeightsError, match="untrained weights"):
        draw(project, tmp_path, config=config, tower=untrained)
    with pytest.raises(ConfigError, match="Training diverged"):
        draw(project, tmp_path, config=replace(CONFIG, lr=1e30))
    assert written(tmp_path) == {}


def test_a_project_without_test_windows(project: Path, tmp_path: Path) -> None:
    table = make_windows()
    pack(project, tmp_path / "windows", table[table["split"] != "test"])
    with pytest.raises(DataError, match="No window of the test split"):
        draw(tmp_path, tmp_path / "out")
