from pathlib import Path

import pytest

from pipeline_lib.evaluation.coop.evaluate import CoopEvaluation
from tests.evaluation.coop.project import evaluate, train_project


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after training."""
    return train_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="package")
def evaluation(project: Path) -> CoopEvaluation:
    """The evaluation of that project, without any option."""
    return evaluate(project)
