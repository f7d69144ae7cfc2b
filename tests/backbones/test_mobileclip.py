import shutil
import socket

import numpy as np
import pytest
import torch

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.mobileclip import load_mobileclip, published_preprocess
from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.config import ClipConfig, MobileClipConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.networks.mobileclip import MobileClip, reparameterise
from pipeline_lib.networks.text_towers import prompt_text_features, text_tower
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.parity.golden import fill

CASE = fill.manifest("mobileclip_s0")


@pytest.fixture(scope="module")
def tensors():
    return {name: torch.from_numpy(array) for name, array in fill.state_dict(CASE).items()}


@pytest.fixture(scope="module")
def checkpoint(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("mobileclip") / "mobileclip_s0.pt"
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def backbone(checkpoint):
    return load_mobileclip(MobileClipConfig(weights=str(checkpoint)), Placement(batch_size=2))


@pytest.fixture
def frames():
    pictures = fill.picture("frames", (3, 256, 256, 3), cell=1)
    return list((255 * pictures).astype(np.uint8))


def golden_features(backbone):
    pictures = torch.from_numpy(fill.inputs(CASE)["image"])
    with torch.inference_mode():
        return backbone.forward(pictures.to(backbone.dtype)).float().numpy()


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_features_equal_the_published_network(backbone):
    expected = fill.expected("mobileclip_s0")
    error = np.abs(golden_features(backbone) - expected["image_features"]).max()
    assert error <= 1e-4 * np.abs(expected["image_features"]).max()
    assert (backbone.dim, backbone.trained, len(backbone.weights_sha256)) == (512, True, 64)


def test_texts_equal_the_published_network(backbone):
    tower = text_tower(backbone.model, backbone.tokenizer, weights_sha256="")
    expected = torch.from_numpy(fill.expected("mobileclip_s0")["text_features"])
    expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(prompt_text_features(tower, CASE["texts"]), expected)


def test_a_fused_checkpoint_is_loaded_as_well(backbone, tensors, tmp_path):
    network = MobileClip().eval()
    network.load_state_dict(tensors)
    reparameterise(network)
    torch.save(network.state_dict(), tmp_path / "fused.pt")
    config = MobileClipConfig(model="mobileclip-s0", weights=str(tmp_path / "fused.pt"))
    fused = golden_features(load_mobileclip(config, Placement(batch_size=2)))
    np.testing.assert_allclose(fused, golden_features(backbone), rtol=0, atol=1e-3)


def test_bf16_stays_close(backbone, checkpoint):
    config = MobileClipConfig(weights=str(checkpoint))
    half = load_mobileclip(config, Placement(precision="bf16", batch_size=2))
    # These weights' layer scales are as large as the trunk, so rounding adds up as in no trained
    # network; with scales of a fifth the cosine is above 0.9999.
    assert cosines(golden_features(half), golden_features(backbone)).min() > 0.998
    assert half.identity["precision"] == "bf16"


def test_frames_are_scaled_cropped_and_not_normalised(backbone, frames):
    assert backbone.identity["preprocess"] == {
        "size": 256,
        "mode": "shortest",
        "interpolation": "bilinear",
        "crop": 256,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
    }
    with torch.inference_mode():
        pixels = torch.from_numpy(frames[0]).movedim(-1, 0).unsqueeze(0) / 255
        expected = backbone.forward(pixels.expand(2, -1, -1, -1))[0].numpy()
    np.testing.assert_allclose(backbone.encode(frames[:1])[0], expected, rtol=1e-3, atol=1e-3)


def test_a_row_depends_on_its_frame_alone(backbone, frames):
    together = backbone.encode(frames)
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(backbone.encode([frame])[0], together[i])
    np.testing.assert_array_equal(backbone.encode(frames[::-1]), together[::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("logit_scale"), r"1 tensors missing \(logit_scale\)"),
        (lambda t: t.update(extra=torch.zeros(1)), r"1 tensors unexpected \(extra\)"),
        (
            lambda t: t.update({"text_encoder.projection_layer": torch.zeros(512, 256)}),
            r"projection_layer \(512, 256\) instead of \(512, 512\)",
        ),
    ],
)
def test_another_networks_checkpoint_is_refused(change, message, tensors, tmp_path):
    changed = dict(tensors)
    change(changed)
    path = tmp_path / "other.pt"
    torch.save(changed, path)
    with pytest.raises(WeightsError, match=message):
        load_mobileclip(MobileClipConfig(weights=str(path)), Placement())


def test_the_published_file_is_taken_from_the_cache(checkpoint, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(checkpoint, tmp_path / "checkpoints" / "mobileclip_s0.pt")
    assert load_mobileclip(MobileClipConfig(), Placement(batch_size=1)).weights_id == "apple"


def test_without_network_the_file_and_its_licence_are_named(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match="Cannot fetch the weights 'apple'") as caught:
        load_mobileclip(MobileClipConfig(), Placement())
    assert "MobileCLIP-S0/resolve/main/mobileclip_s0.pt" in caught.value.hint
    assert "research only" in caught.value.hint
    assert "set extract.mobileclip.weights" in caught.value.hint


def test_untrained_weights_follow_their_seed():
    def load(seed):
        config = MobileClipConfig(weights="untrained", seed=seed)
        return load_mobileclip(config, Placement(batch_size=1))

    before = torch.random.get_rng_state()
    first, again, other = load(0), load(0), load(1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.weights_sha256 == again.weights_sha256 != other.weights_sha256
    assert first.weights_sha256.startswith("untrained-")
    assert not first.trained


@pytest.mark.parametrize(
    ("config", "error", "message", "hint"),
    [
        (MobileClipConfig(model="MobileCLIP-S5"), ConfigError, "no such MobileCLIP", "MobileCLIP-"),
        (MobileClipConfig(model="ViT-B-32"), ConfigError, "no such MobileCLIP", "MobileCLIP-S0"),
        (MobileClipConfig(weights="aple"), WeightsError, "neither a file", "'apple'"),
        (MobileClipConfig(model="MobileCLIP-S1"), WeightsError, "'apple' is neither", "datacompdr"),
    ],
)
def test_wrong_names_are_refused_with_the_right_one(config, error, message, hint):
    with pytest.raises(error, match=message) as caught:
        load_mobileclip(config, Placement())
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "size", "interpolation", "normalised"),
    [
        ("MobileCLIP-S1", 256, "bilinear", False),
        ("MobileCLIP-S2", 256, "bilinear", False),
        ("MobileCLIP-B", 224, "bilinear", False),
        ("MobileCLIP2-S0", 256, "bilinear", False),
        ("MobileCLIP2-S2", 256, "bilinear", False),
        ("MobileCLIP2-B", 224, "bilinear", False),
        ("MobileCLIP2-S3", 256, "bilinear", True),
        ("MobileCLIP2-S4", 256, "bilinear", True),
        ("MobileCLIP2-L-14", 224, "bicubic", True),
    ],
)
def test_preprocessing_of_each_model(name, size, interpolation, normalised):
    preprocess = published_preprocess(name)
    resize = preprocess.resize
    assert (resize.size, resize.mode, resize.crop) == (size, "shortest", size)
    assert resize.interpolation == interpolation
    openai = import_open_clip().constants
    expected = (openai.OPENAI_DATASET_MEAN, openai.OPENAI_DATASET_STD)
    assert (preprocess.mean, preprocess.std) == (expected if normalised else ((0,) * 3, (1,) * 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileCLIP-S1", "MobileCLIP2-S0", "MobileCLIP-B"])
def test_models_of_open_clip(name, frames):
    size = published_preprocess(name).resize.size
    config = MobileClipConfig(model=name.lower(), weights="untrained")
    backbone = load_mobileclip(config, Placement(batch_size=1))
    plain = load_open_clip(ClipConfig(model=name, weights="untrained"))
    assert backbone.weights_sha256 == plain.source.sha256
    with torch.inference_mode():
        pixels = torch.rand(1, 3, size, size)
        expected = plain.model.encode_image(pixels)
        torch.testing.assert_close(backbone.forward(pixels), expected, rtol=1e-4, atol=1e-5)
    assert backbone.resize.size == size
    assert backbone.identity["preprocess"]["mean"] == [0, 0, 0]
    assert backbone.identity["network"] == f"{name} image tower, fused"
    assert backbone.encode([frames[0][:size, :size]]).shape == (1, 512) == (1, backbone.dim)
    tower = text_tower(backbone.model, backbone.tokenizer, weights_sha256="")
    assert prompt_text_features(tower, ["a cat"]).shape == (1, 512)


def test_it_is_registered():
    assert BACKBONES.get("mobileclip") is load_mobileclip
