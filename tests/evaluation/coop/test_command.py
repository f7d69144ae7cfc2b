from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline_lib.config import DataConfig, Params
from pipeline_lib.evaluation import Outputs, Request
from pipeline_lib.runtime.progress import Progress
from stages.evaluate import app as evaluate_app
from stages.summary import app as summary_app


class FakeEvaluation:
    def __init__(self) -> None:
        control = {"chance": {"frame": {"accuracy": 0.25}}}
        self.metrics: dict[str, Any] = {"test": {"frame": {"accuracy": 0.75}, "control": control}}
        self.asked: list[Request] = []
        self.written: list[Outputs] = []

    def write(self, outputs: Outputs) -> None:
        self.written.append(outputs)

    def raise_failures(self, outputs: Outputs | None) -> None:
        assert (outputs is not None) == bool(self.written)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEvaluation:
    """The evaluator `coop`, replaced by one that only remembers."""
    evaluation = FakeEvaluation()

    def evaluator(params: Params, request: Request, progress: Progress) -> FakeEvaluation:
        assert params.data == DataConfig(root="videos")
        evaluation.asked.append(request)
        return evaluation

    monkeypatch.setattr("pipeline_lib.evaluation.coop.evaluate.evaluate_coop", evaluator)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("data:\n  root: videos\n")
    return evaluation


def test_without_options_it_is_the_pipelines_stage(fake: FakeEvaluation) -> None:
    result = CliRunner().invoke(evaluate_app, ["coop"], catch_exceptions=False)
    assert fake.asked == [Request()]
    assert fake.written == [Outputs.of_pipeline("coop")]
    assert "0.750" in result.output
    assert "wrote metrics/coop.json" in result.output


def test_an_own_evaluation_leaves_the_pipelines_files_alone(fake: FakeEvaluation) -> None:
    options = ["coop", "--checkpoint", "mine.safetensors", "--split", "test"]
    result = CliRunner().invoke(evaluate_app, options, catch_exceptions=False)
    assert fake.asked == [Request(checkpoint=Path("mine.safetensors"), splits=("test",))]
    assert fake.written == []
    assert "0.750" in result.output
    CliRunner().invoke(evaluate_app, [*options, "--out", "mine"], catch_exceptions=False)
    assert fake.written == [Outputs.under(Path("mine"), "coop")]


def test_summary_names_metrics_controls_and_pictures(tmp_path: Path) -> None:
    (tmp_path / "coop.json").write_text(
        '{"test": {"n": 4, "frame": {"accuracy": null},'
        ' "control": {"chance": {"frame": {"accuracy": 0.25}}}}}'
    )
    (tmp_path / "confusion.png").touch()
    options = ["--metrics", str(tmp_path), "--pictures", str(tmp_path)]
    shown = CliRunner().invoke(summary_app, options, catch_exceptions=False).output
    assert "undefined" in shown
    assert "0.250" in shown
    assert "test.n" not in shown
    assert str(tmp_path / "confusion.png") in shown
    every = CliRunner().invoke(summary_app, [*options, "--every"], catch_exceptions=False).output
    assert "test.n" in every
