"""dvc.lock, params.yaml, the code and the committed metrics belong together."""

import pytest
from ruamel.yaml import YAML

from tests.support.lock import disagreements
from tests.support.project import ROOT, checkout, edit


def test_the_pipeline_was_run_with_this_code_and_these_parameters():
    found = disagreements(ROOT)
    assert not found, "\n".join(["run `dvc repro`, then commit dvc.lock and metrics/:", *found])


@pytest.mark.slow
def test_a_clone_without_data_shows_what_was_changed_after_the_run(tmp_path):
    folder = checkout(tmp_path, params={}).folder
    before = set(disagreements(folder))
    edit(folder / "params.yaml", {"mine": {"threshold": 0.5}})
    (folder / "pipeline_lib" / "windowing.py").write_text("edited = True\n")
    (folder / "metrics" / "pos_neg.json").write_text("{}\n")
    edit(folder / "dvc.yaml", {"stages": {"pack-windows": {"cmd": "python stages/other.py"}}})
    _change_lock(folder / "dvc.lock")
    assert set(disagreements(folder)) - before == {
        "mine: mine: modified",
        "annotate-filter: pipeline_lib/windowing.py: modified",
        "evaluate-pos-neg: metrics/pos_neg.json: modified",
        "pack-windows: another command",
        "evaluate-tempme-stop: not in dvc.lock",
        "evaluate-coop: data/models/coop: not what its stage has written",
        "report: data/models/coop: not what its stage has written",
        "report: metrics/pos_neg.json: modified",
    }


def _change_lock(path):
    """Without one stage, and with another output of a second."""
    yaml = YAML()
    lock = yaml.load(path)
    del lock["stages"]["evaluate-tempme-stop"]
    lock["stages"]["train-coop"]["outs"][0]["md5"] = f"{0:032x}.dir"
    yaml.dump(lock, path)
