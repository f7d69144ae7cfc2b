from pathlib import Path

import pytest

from pipeline_lib.config import DataConfig, ExtractConfig, Params
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.trainers.coop.prompts import load_text_tower
from pipeline_lib.trainers.coop_import import importing as import_coop
from pipeline_lib.trainers.coop_import.importing import ImportOptions, import_prompts
from tests.support.tiny_clip import untrained_clip
from tests.trainers.coop_import.checkpoints import CPU, described, pack, save


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    untrained_clip(folder)
    return folder


@pytest.fixture(scope="module")
def params(weights) -> Params:
    extract = ExtractConfig(clip=untrained_clip(weights))
    return Params(data=DataConfig(root="data"), extract=extract)


@pytest.fixture(scope="module")
def tower(params) -> TextTower:
    made = load_text_tower(params.extract, "clip", CPU)
    vocabulary = made.vocabulary()
    made.vocabulary = lambda: vocabulary
    return made


@pytest.fixture
def take(params, tower, tmp_path, monkeypatch):
    monkeypatch.setattr(import_coop, "load_text_tower", lambda *_: tower)

    def run(content: object, **changes) -> dict:
        path = save(tmp_path / "foreign.pth", content)
        options = ImportOptions(
            **{"out": tmp_path / "out", "windows": tmp_path / "windows", **changes}
        )
        import_prompts(path, params, options)
        return described(tmp_path / "out")

    return run


@pytest.fixture
def directories(tmp_path, monkeypatch):
    """Packed windows of these class directories."""

    def put(*names: str) -> None:
        pack(tmp_path / "windows" / "clip", list(names))
        store = type("Store", (), {"info": type("Info", (), {"class_names": names})})
        monkeypatch.setattr(import_coop, "open_store", lambda path: store)

    return put
