import shutil
from pathlib import Path

import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.params_file import load_params
from pipeline_lib.retrieval.config_import import import_config
from tests.retrieval.test_unified_config import DOCUMENTED, TRAINING, write

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def params(tmp_path):
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


def test_the_values_are_written_and_all_comments_stay(tmp_path, params):
    before = params.read_text()
    changed = import_config(write(tmp_path / "c.json", DOCUMENTED), params)
    assert "extract.clip_vit.model: ViT-B-32-quickgelu" in changed
    loaded = load_params(params)
    section = loaded.train.tempme_stop
    assert (section.backbone, section.clips, section.merge_layer) == ("clip_vit", 12, (6, 8, 10))
    assert (section.merge_across, section.merge_within) == (0.3, 0.7)
    assert loaded.extract.clip_vit.weights == "openai"
    assert loaded.extract.clip == load_params(ROOT / "params.yaml").extract.clip
    after = params.read_text()
    comments = [line.split("#", 1)[1].strip() for line in before.splitlines() if "#" in line]
    assert [words for words in comments if words not in after] == []
    assert import_config(tmp_path / "c.json", params) == []
    assert params.read_text() == after


def test_training_is_left_alone_where_the_configuration_has_none(tmp_path, params):
    before = load_params(params).train.tempme_stop
    import_config(write(tmp_path / "c.json", DOCUMENTED), params)
    after = load_params(params).train.tempme_stop
    for name in ("epochs", "tempme_lr", "batch_size", "mode", "dataset", "seed"):
        assert getattr(after, name) == getattr(before, name)


def test_training_is_taken_over(tmp_path, params):
    before = load_params(params).train.tempme_stop
    import_config(write(tmp_path / "c.json", TRAINING), params)
    after = load_params(params).train.tempme_stop
    assert (after.epochs, after.tempme_lr, after.batch_size) == (20, 1e-4, 8)
    assert after.dataset.kind == "msrvtt"
    assert (after.seed, after.dataset.videos) == (before.seed, before.dataset.videos)


def test_a_section_that_is_not_there_is_made(tmp_path):
    params = write(tmp_path / "params.yaml", "data:\n  root: data  # mine\n")
    import_config(write(tmp_path / "c.json", DOCUMENTED), params)
    assert params.read_text().startswith("data:\n  root: data  # mine\n")
    assert load_params(params).train.tempme_stop.clips == 12


def test_refused_fields_change_nothing(tmp_path, params):
    before = params.read_bytes()
    source = write(tmp_path / "c.json", '{"stop": {"freeze_clip": false}, "video_size": 3}')
    with pytest.raises(ConfigError, match="2 fields"):
        import_config(source, params)
    assert params.read_bytes() == before
