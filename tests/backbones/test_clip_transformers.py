"""CLIPs in transformers' format give what transformers gives."""

import json
import socket

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.backbones.transformers_folder import import_transformers, quiet
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.networks.text_towers import text_tower

PREPROCESSOR = {
    "size": {"shortest_edge": 40},
    "crop_size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "rescale_factor": 1 / 255,
}


def write(folder, hidden_act="quick_gelu", eps=1e-5, **text):
    """A tiny random CLIPModel, saved; weights large enough for every part to matter."""
    transformers = import_transformers()
    shared = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": hidden_act,
        "layer_norm_eps": eps,
    }
    config = transformers.CLIPConfig(
        projection_dim=16,
        text_config={"hidden_size": 32, "intermediate_size": 64, **shared, **text},
        vision_config={
            "hidden_size": 48,
            "intermediate_size": 96,
            "image_size": 32,
            "patch_size": 8,
            **shared,
        },
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.CLIPModel(config).eval().requires_grad_(False)
        for parameter in model.parameters():
            if parameter.dim() > 0:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    with quiet(transformers):
        model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return model


@pytest.fixture
def model(tmp_path):
    return write(tmp_path)


def load(folder, **options):
    return load_clip(ClipConfig(model=f"local-dir:{folder}", **options), Placement(batch_size=4))


def projected(output):
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def relative(made, expected):
    return float((made - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("hidden_act", "eps"), [("quick_gelu", 1e-5), ("gelu", 1e-2)])
def test_both_towers_equal_transformers(tmp_path, hidden_act, eps):
    model = write(tmp_path, hidden_act, eps)
    clip = load(tmp_path)
    assert clip.trained
    assert clip.dim == 16
    frames = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))
    pixels = torch.from_numpy(np.stack(frames)).movedim(-1, 1) / 255
    mean, std = (
        torch.tensor(PREPROCESSOR[key]).view(3, 1, 1) for key in ("image_mean", "image_std")
    )
    with torch.inference_mode():
        images = projected(model.get_image_features(pixel_values=(pixels - mean) / std))
        ids = clip.tokenizer(["a dog on a road", "somebody falls", "x"])
        texts = projected(model.get_text_features(input_ids=ids))
        assert relative(torch.from_numpy(clip.encode(frames)), images) <= 1e-5
        assert relative(clip.model.encode_text(ids), texts) <= 1e-5
    assert clip.model.logit_scale.item() == model.logit_scale.item()


def test_prompt_learning_takes_its_text_tower(model, tmp_path):
    clip = load(tmp_path)
    tower = text_tower(clip.model, clip.tokenizer, weights_sha256=clip.weights_sha256)
    ids = tower.tokenize(["a dog on a road"])
    with torch.inference_mode():
        made = tower.encode(tower.embed(ids), tower.eot(ids))
        assert relative(made, projected(model.get_text_features(input_ids=ids))) <= 1e-5


def test_preprocessing_is_the_folders(model, tmp_path):
    clip = load(tmp_path)
    assert (clip.resize.size, clip.resize.mode, clip.resize.crop) == (40, "shortest", 32)
    assert clip.resize.interpolation == "bicubic"
    assert clip.preprocess.mean == (0.5, 0.4, 0.3)
    assert clip.preprocess.std == (0.2, 0.3, 0.4)
    older = PREPROCESSOR | {"size": 32, "crop_size": 32, "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(older))
    clip = load(tmp_path)
    assert (clip.resize.size, clip.resize.crop) == (32, 32)
    assert clip.resize.interpolation == "bilinear"


def test_pickled_weights_of_older_versions(model, tmp_path):
    first = load(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    tensors["logit_scale"] = tensors["logit_scale"].reshape(1)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    again = load(tmp_path)
    assert again.weights_sha256 != first.weights_sha256
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, first.model.state_dict()[name]), name


def test_untrained_weights_follow_their_seed(model, tmp_path):
    (tmp_path / "model.safetensors").unlink()
    first, again = (load(tmp_path, weights="untrained") for _ in range(2))
    other = load(tmp_path, weights="untrained", seed=1)
    assert first.weights_sha256 == again.weights_sha256 != other.weights_sha256
    assert not first.trained
    with pytest.raises(WeightsError, match="holds no weights"):
        load(tmp_path)


def test_weights_that_do_not_fit(model, tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["vision_model.encoder.layers.1.self_attn.k_proj.weight"]
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"missing \(visual\..*1\.attn\.in_proj_weight\)"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="brings its own weights"):
        load(tmp_path, weights="openai")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_center_crop": False}, "without do_center_crop"),
        ({"size": {"height": 32, "width": 32}}, "size = .*height.* is not supported"),
        ({"crop_size": {"height": 32, "width": 40}}, "crop_size = .* is not supported"),
        ({"crop_size": 24}, "crop_size 24 do not give the 32 pixels"),
        ({"size": 24}, "size 24 and crop_size 32 do not give"),
        ({"resample": 1}, "resample = 1 is not supported"),
        ({"image_mean": [0.5]}, r"image_mean = \[0.5\] is not three numbers"),
        ({"image_std": None}, "image_std = None is not three numbers"),
    ],
)
def test_other_preprocessing_is_refused(model, tmp_path, change, message):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | change))
    with pytest.raises(ConfigError, match=message):
        load(tmp_path)


def test_missing_preprocessing_is_not_guessed(model, tmp_path):
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(WeightsError, match=r"no preprocessor_config\.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("tower", "change", "message"),
    [
        ("text_config", {"hidden_act": "gelu"}, "hidden_act gelu and quick_gelu"),
        ("text_config", {"vocab_size": 21128}, "vocab_size 21128"),
        ("text_config", {"eos_token_id": 7}, "eos_token_id 7"),
        (None, {"model_type": "siglip"}, "model_type is 'siglip', not 'clip'"),
    ],
)
def test_other_networks_are_refused(model, tmp_path, tower, change, message):
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    (content[tower] if tower else content).update(change)
    path.write_text(json.dumps(content))
    with pytest.raises((ConfigError, WeightsError), match=message):
        load(tmp_path)


def test_a_model_of_the_hub_without_network(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    config = ClipConfig(model="transformers:openai/clip-vit-base-patch32")
    with pytest.raises(WeightsError, match=r"config\.json of openai/clip-vit-base") as caught:
        load_clip(config, Placement())
    assert "preprocessor_config.json" in caught.value.hint
    assert "local-dir:" in caught.value.hint


def test_a_model_of_the_hub_comes_from_its_cache(model, tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    snapshot = cache / "models--org--tiny" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    for path in list(tmp_path.glob("*.*")):
        path.rename(snapshot / path.name)
    references = cache / "models--org--tiny" / "refs"
    references.mkdir()
    (references / "main").write_text("0")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    clip = load_clip(ClipConfig(model="transformers:org/tiny"), Placement())
    assert clip.weights_id == "transformers:org/tiny"
    assert clip.trained
