import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.dinov2 import load_dinov2
from pipeline_lib.backbones.transformers_folder import import_transformers, quiet
from pipeline_lib.config import DinoV2Config
from pipeline_lib.errors import ConfigError, WeightsError

UNTRAINED = DinoV2Config(model="small", weights="untrained")


@pytest.fixture(scope="module")
def backbone():
    return load_dinov2(UNTRAINED, Placement(batch_size=2))


@pytest.fixture(scope="module")
def frames():
    return list(np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8))


@pytest.fixture
def folder(backbone, tmp_path):
    with quiet(import_transformers()):
        backbone.network.save_pretrained(tmp_path)
    return tmp_path


def from_folder(folder, model="small"):
    return load_dinov2(DinoV2Config(model=model, weights=str(folder)), Placement(batch_size=2))


def test_the_feature_is_the_normalised_class_token(backbone, frames):
    rows = backbone.encode(frames)
    assert rows.shape == (3, 384)
    assert rows.dtype == np.float32
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy((np.stack(frames) / 255 - mean) / std).float().movedim(-1, 1)
    with torch.inference_mode():
        embedded = backbone.network.embeddings(pixels)
        # The class token and 16x16 patches, at positions interpolated from 37x37.
        assert embedded.shape == (3, 1 + 16 * 16, 384)
        assert backbone.network.embeddings.position_embeddings.shape == (1, 1 + 37 * 37, 384)
        last = backbone.network.encoder(embedded).last_hidden_state
        expected = backbone.network.layernorm(last)[:, 0].numpy()
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)


def test_a_row_depends_on_its_frame_alone_also_from_threads(backbone, frames):
    together = backbone.encode(frames)
    np.testing.assert_array_equal(backbone.encode(frames[::-1])[::-1], together)
    with ThreadPoolExecutor(2) as pool:
        alone = list(pool.map(lambda frame: backbone.encode([frame])[0], frames))
    np.testing.assert_array_equal(alone, together)


def test_bf16_stays_close(backbone, frames):
    half = load_dinov2(UNTRAINED, Placement(precision="bf16", batch_size=2)).encode(frames)
    full = backbone.encode(frames)
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.999


def test_untrained_weights_follow_their_seed(backbone):
    before = torch.random.get_rng_state()
    again = load_dinov2(UNTRAINED, Placement())
    other = load_dinov2(replace(UNTRAINED, seed=1), Placement())
    assert torch.equal(before, torch.random.get_rng_state())
    assert again.weights_sha256 == backbone.weights_sha256 != other.weights_sha256
    assert not backbone.trained


@pytest.mark.parametrize(
    ("model", "millions", "dim"),
    [
        ("small", 22.06, 384),
        ("base", 86.58, 768),
        ("large", 304.37, 1024),
        ("giant", 1136.48, 1536),
    ],
)
def test_published_sizes(model, millions, dim):
    from pipeline_lib.backbones.dinov2 import _build

    with torch.device("meta"):
        network = _build(model)
    assert network.config.hidden_size == dim
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_folder_of_transformers_is_loaded_and_named_by_its_hash(folder, backbone, frames):
    loaded = from_folder(folder)
    assert loaded.trained
    assert len(loaded.weights_sha256) == 64
    assert not loaded.network.training
    np.testing.assert_array_equal(loaded.encode(frames[:1]), backbone.encode(frames[:1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("layernorm.weight"), "missing keys: layernorm.weight"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "unexpected keys: extra"),
        (
            lambda tensors: tensors.update({"layernorm.bias": torch.zeros(3)}),
            r"mismatched keys: .*layernorm\.bias",
        ),
    ],
)
def test_weights_that_do_not_fit(folder, change, message, capfd):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=message):
        from_folder(folder)
    assert capfd.readouterr().err == ""


def test_folders_that_are_none(folder, tmp_path):
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(WeightsError, match=r"model\.safetensors: does not fit"):
        from_folder(folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"no model\.safetensors") as caught:
        from_folder(folder)
    assert "save_pretrained" in caught.value.hint
    with pytest.raises(WeightsError, match="is no folder"):
        from_folder(tmp_path / "nowhere")


def test_a_folder_of_another_network(folder):
    with pytest.raises(ConfigError, match="another network than model 'base'") as caught:
        from_folder(folder, model="base")
    assert caught.value.hint == "Set extract.dinov2.model: small."
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))
    with pytest.raises(WeightsError, match="model_type is 'vit', not 'dinov2'"):
        from_folder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="not valid JSON"):
        from_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"no config\.json"):
        from_folder(folder)


def test_published_weights_without_network(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match=r"Cannot fetch config\.json of") as caught:
        load_dinov2(DinoV2Config(), Placement())
    assert "huggingface-cli download facebook/dinov2-base" in caught.value.hint
    assert "extract.dinov2.weights" in caught.value.hint
