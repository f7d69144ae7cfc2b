import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pipeline_lib.retrieval as retrieval
from pipeline_lib.config import RuntimeConfig
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.retrieval.command import Asked, embed_folder, read_queries, retrieve
from pipeline_lib.retrieval.files import EmbedOptions
from tests.retrieval.tiny_model import DIM, configuration, random_clip
from tests.support.video_files import constant_rate, garbage

ROOT = Path(__file__).parent.parent.parent
RUNTIME = RuntimeConfig(device="cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    configuration(folder / "c.json", random_clip(folder / "clip"))
    constant_rate(folder / "videos" / "a.mp4", 40)
    constant_rate(folder / "videos" / "sub" / "a.mp4", 5)
    return folder


@pytest.fixture
def config(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # without data/models
    return place / "c.json"


@pytest.fixture
def asked(config):
    return Asked(config=config, allow_untrained=True)


def test_importing_needs_no_torch():
    code = (
        "import sys\n"
        "from pipeline_lib.retrieval import UnifiedModelConfig\n"
        "UnifiedModelConfig()\n"
        "assert 'torch' not in sys.modules and 'faiss' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_weights_is_an_error_and_never_noise(config):
    with pytest.raises(WeightsError, match=r"best: no such folder of a trained model"):
        retrieval.create_unified_model()
    with pytest.raises(WeightsError, match=r"nowhere: no such folder of a trained model"):
        retrieval.create_unified_model(config, weights="nowhere", allow_untrained=True)
    with pytest.raises(WeightsError, match=r"names no trained model[\s\S]*--allow-untrained"):
        retrieval.create_unified_model(config)
    with pytest.raises(WeightsError, match="names no trained model"):
        retrieval.extract_directory_embeddings(config.parent / "videos", "out", config=config)
    assert not Path("out").exists()


def test_refused_fields_are_told_before_weights_are_read(tmp_path):
    (tmp_path / "c.json").write_text('{"stop": {"freeze_clip": false}}')
    with pytest.raises(ConfigError, match="freeze_clip"):
        retrieval.create_unified_model(tmp_path / "c.json")


def test_the_documented_calls(config, place):
    video = place / "videos" / "a.mp4"
    model = retrieval.create_unified_model(str(config), allow_untrained=True)
    embedding = model.extract_video_embedding(str(video))
    assert embedding.shape == (DIM,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    scores, frames = model.forward(str(video), "a red square")
    assert scores.shape == frames.shape == (12,)
    assert frames.tolist() == [int((i + 0.5) * 40 / 12) for i in range(12)]
    moments = model.retrieve_event(str(video), "a red square", top_k=3)
    assert len(moments) == 3
    assert moments[0].score == scores.max()
    assert moments[0].source_frame == frames[scores.argmax()]
    assert len(model.retrieve_event(video, "a red square")) == 2  # top_k of the configuration
    moved = model.to("cpu").eval()
    assert np.array_equal(moved.extract_video_embedding(video), embedding)


def test_a_batch_goes_on_after_a_failure(config, place, tmp_path):
    queries = [
        {"video_path": str(place / "videos" / "a.mp4"), "query": "a red square"},
        {"video_path": str(garbage(tmp_path / "bad.mp4")), "query": "a red square"},
        {"video_path": str(place / "videos" / "a.mp4")},
        1,
    ]
    results = retrieval.batch_retrieve_events(
        queries, config_path=str(config), top_k=4, device="cpu", allow_untrained=True
    )
    assert [result["status"] for result in results] == ["success", *["failed"] * 3]
    assert len(results[0]["frames"]) == 4
    assert results[0]["inference_time"] > 0
    assert "not a readable video" in results[1]["error"]
    assert [one["error"] for one in results[2:]] == [
        "query is missing.",
        '1 is no query: {"video_path": …, "query": …}.',
    ]
    assert results[0].keys() == results[1].keys()


def test_the_documented_folder(config, place, tmp_path):
    results = retrieval.extract_directory_embeddings(
        video_dir=str(place / "videos"),
        output_dir=str(tmp_path / "out"),
        save_format="both",
        consolidated=True,
        config=config,
        allow_untrained=True,
    )
    assert (results["processed"], results["embedded"], results["kept"]) == (2, 2, 0)
    content = json.loads((tmp_path / "out" / "a_embedding.json").read_text())
    assert content["shape"] == [DIM]
    assert content["model"]["trained"] is False
    alone = retrieval.extract_video_embedding(
        place / "videos" / "sub" / "a.mp4", config, allow_untrained=True
    )
    assert np.array_equal(np.load(tmp_path / "out" / "sub" / "a_embedding.npy"), alone)


def test_commands(asked, place, tmp_path):
    out = tmp_path / "out"
    report = embed_folder(place / "videos", out, asked, EmbedOptions(), RUNTIME)
    assert report.line() == f"{out}: 2 embedded, 0 kept, 0 pruned, 0 failed"
    video = place / "videos" / "a.mp4"
    one = retrieve(video, "red", None, asked, RUNTIME, top_k=1)
    assert len(one.as_json()["frames"]) == 1
    assert f"{video}: 'red': score" in one.lines()[0]
    # The folder knows which model made it; that it is untrained has to be asked for again.
    with pytest.raises(WeightsError, match="--allow-untrained"):
        retrieve(out, "red", None, Asked(), RUNTIME)
    many = retrieve(out, "red", None, Asked(allow_untrained=True), RUNTIME, moments=1)
    assert len(many.as_json()) == 2
    assert [len(result["frames"]) for result in many.as_json()] == [1, 1]
    many.save(tmp_path / "results")
    assert json.loads((tmp_path / "results" / "results.json").read_text()) == many.as_json()


@pytest.mark.parametrize(
    ("target", "query", "queries", "words"),
    [
        (None, None, None, "No query"),
        ("videos", None, None, "No query"),
        ("videos", "red", "q.json", "--queries goes without"),
        ("videos", "red", None, "a folder without embeddings"),
        ("videos/a.mp4", " ", None, "query is empty"),
        ("videos/a.mp4", "\udce4", None, "not valid Unicode"),
        ("videos/no.mp4", "red", None, "no such file"),
        (None, None, "no.json", "No file of queries"),
    ],
)
def test_mistakes(asked, place, target, query, queries, words):
    target = place / target if target else None
    with pytest.raises(Exception, match=words):
        retrieve(target, query, place / queries if queries else None, asked, RUNTIME)


@pytest.mark.parametrize("text", ["{}", "[]", "[", '[{"query": "x"},]'])
def test_files_of_queries_that_are_none(tmp_path, text):
    (tmp_path / "q.json").write_text(text)
    with pytest.raises(DataError, match=r"q.json"):
        read_queries(tmp_path / "q.json")


def test_counts_below_one(asked, place):
    with pytest.raises(ConfigError, match="top_k = 0"):
        retrieve(place / "videos" / "a.mp4", "red", None, asked, RUNTIME, top_k=0)


def test_a_trained_model_needs_no_configuration(config, place, monkeypatch, tmp_path):
    video = place / "videos" / "a.mp4"
    new = retrieval.create_unified_model(config, allow_untrained=True)
    monkeypatch.chdir(tmp_path)
    new.model.save(tmp_path / "data" / "models" / "tempme_stop" / "best")
    expected = new.extract_video_embedding(video)
    for trained in (
        retrieval.create_unified_model(),
        retrieval.create_unified_model(config),
        retrieval.create_unified_model(weights="data/models/tempme_stop/best"),
    ):
        assert trained.model.trained
        assert trained.extract_video_embedding(video) == pytest.approx(expected, abs=1e-6)
    embed_folder(place / "videos", tmp_path / "out", Asked(), EmbedOptions(), RUNTIME)
    assert len(retrieve(tmp_path / "out", "red", None, Asked(), RUNTIME).results) == 2
    content = json.loads((tmp_path / "out" / "a_embedding.json").read_text())
    assert content["model"]["trained"] is True


def test_a_checkpoint_of_tempme_needs_its_schedule(tmp_path):
    (tmp_path / "best.pth").write_bytes(b"x")
    with pytest.raises(WeightsError, match="does not say how its network merges") as caught:
        retrieval.create_unified_model(weights=tmp_path / "best.pth")
    assert "tempme.pretrained_path" in caught.value.hint


def test_no_moments_of_a_folder(asked, tmp_path):
    with pytest.raises(ConfigError, match="--moments 0"):
        retrieve(tmp_path, "red", None, asked, RUNTIME, moments=0)


def test_openais_weights_are_named_in_the_configurations_words(config, monkeypatch):
    def offline(*_: object) -> None:
        raise WeightsError("Cannot fetch the weights openai.", hint="Copy ViT-B-32.pt here.")

    monkeypatch.setattr("pipeline_lib.retrieval.models.load_retrieval_model", offline)
    with pytest.raises(WeightsError, match="Cannot fetch") as caught:
        retrieval.create_unified_model(retrieval.UnifiedModelConfig(), allow_untrained=True)
    assert "stop.pretrained_dir" in caught.value.hint
