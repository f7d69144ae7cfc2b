"""Rules of the house that no linter knows."""

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.config import ExtractConfig, WindowConfig
from pipeline_lib.datasets.video_text import VIDEO_TEXT
from pipeline_lib.evaluation import EVALUATORS
from pipeline_lib.metrics import METRICS
from pipeline_lib.registry import Registry
from pipeline_lib.trainers import TRAINERS

ROOT = Path(__file__).parent.parent


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT, text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_stages_stay_thin():
    thick = {p.name: length(p) for p in (ROOT / "stages").glob("[a-z]*.py") if length(p) > 60}
    assert thick == {}


def test_files_have_one_reason_to_exist():
    long = {str(p): length(p) for p in tracked("*.py") if length(p) > 400}
    assert long == {}


@pytest.mark.parametrize(
    "registry", [BACKBONES, TRAINERS, EVALUATORS, METRICS, VIDEO_TEXT], ids=lambda r: r.kind
)
def test_every_registered_name_can_be_loaded(registry: Registry):
    assert list(registry)
    for name in registry:
        assert callable(registry.get(name))


def test_every_backbone_has_its_section():
    sections = {field.name for field in fields(ExtractConfig)}
    assert set(BACKBONES) <= sections


def test_every_parameter_of_a_stage_is_tracked_by_dvc():
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load(ROOT / "params.yaml")
    graph = (ROOT / "dvc.yaml").read_text()
    tracked_keys = set(re.findall(r"^\s+- ([a-z_]+(?:\.[a-z_${}]+)*)$", graph, re.MULTILINE))
    whole = {"demo_data", "demo_clip", "mine"}
    assert whole <= tracked_keys
    missing = [
        f"{section}.{key}"
        for section in ("extract", "train", "evaluate")
        for key in params[section]
        if f"{section}.{key}" not in tracked_keys
        # Through templating, and the list that the stages are made from.
        and (section, key) not in {("extract", name) for name in (*BACKBONES, "backbones")}
    ]
    assert missing == []


def test_window_parameters_rerun_the_windows():
    graph = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    listed = set(graph["annotate-filter"]["params"])
    assert {f"train.{field.name}" for field in fields(WindowConfig)} <= listed


def test_the_demo_clip_is_small_enough_for_git():
    weights = tracked("data/weights/demo_clip")
    assert {path.suffix for path in weights} == {".json", ".safetensors"}
    assert sum(path.stat().st_size for path in weights) <= 8_000_000
