import json

import pytest

from tests.retrieval.tiny_model import configuration, random_clip
from tests.stages.test_commands import clipline
from tests.support.video_files import constant_rate, garbage


@pytest.fixture
def place(tmp_path):
    configuration(tmp_path / "c.json", random_clip(tmp_path / "clip"))
    constant_rate(tmp_path / "videos" / "a.mp4", 30)
    return tmp_path


@pytest.mark.slow
def test_embed_and_retrieve(place):
    garbage(place / "videos" / "bad.mp4")
    model = ["--config", "c.json", "--allow-untrained"]
    done = clipline("embed", "videos", "--out", "emb", "--summary", *model, cwd=place)
    assert done.returncode == 2, done.stderr
    assert "emb: 1 embedded, 0 kept, 0 pruned, 1 failed" in done.stdout
    assert "bad.mp4: not a readable video" in done.stderr
    assert (place / "emb" / "processing_summary.json").exists()
    (place / "q.json").write_text('[{"video_path": "videos/a.mp4", "query": "red"}]')
    done = clipline(
        "retrieve", "--queries", "q.json", "--json", "--out", "r", *model, cwd=place
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)
    assert result["status"] == "success"
    assert (place / "r" / "strip_01.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("embed", "videos", "--out", "o"), ("best: no such folder of a trained model",)),
        (("embed", "clip", "--out", "o"), ("clip: holds no videos", ".mp4")),
        (("embed", "videos", "--out", "o", "--format", "nyp"), ("no format 'nyp'", "'npy'")),
        (("embed", "videos", "--out", "o", "--config", "c.json"), ("--allow-untrained",)),
        (("retrieve", "videos/a.mp4"), ("No query is given",)),
        (("retrieve", "videos", "red"), ("a folder without embeddings", "clipline embed")),
        (("import-config", "no.json"), ("No parameter file params.yaml",)),
    ],
)
@pytest.mark.slow
def test_mistakes_get_one_clear_message(place, arguments, words):
    done = clipline(*arguments, cwd=place)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
