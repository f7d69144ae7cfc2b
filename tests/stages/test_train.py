"""The command `train`."""

import pytest
from typer.testing import CliRunner

from pipeline_lib import trainers
from stages import train


@pytest.fixture
def evaluated(monkeypatch):
    """Names of models that are evaluated instead of doing so; training writes what it returns."""
    names = []
    monkeypatch.setattr(train, "evaluate", lambda name, *_: names.append(name))
    return names


def start(monkeypatch, wrote, *arguments):
    trainer = lambda params, **_: wrote  # noqa: E731
    monkeypatch.setattr(type(trainers.TRAINERS), "get", lambda registry, name: trainer)
    return CliRunner().invoke(train.app, ["videomamba", *arguments])


def test_the_best_epoch_is_evaluated_where_that_is_asked_for(monkeypatch, evaluated):
    done = start(monkeypatch, "wrote data/models/videomamba", "--test-best")
    assert done.exit_code == 0, done.output
    assert "wrote data/models/videomamba" in done.output
    assert evaluated == ["videomamba"]


def test_nothing_is_evaluated_where_it_is_not(monkeypatch, evaluated):
    assert start(monkeypatch, "wrote").exit_code == 0
    assert not evaluated


def test_only_the_process_that_wrote_evaluates(monkeypatch, evaluated):
    assert start(monkeypatch, "", "--test-best").exit_code == 0
    assert not evaluated
