import copy
import json
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.video.scaling import resize_image
from tests.support.tiny_clip import CONFIG, untrained_clip

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return load_clip(untrained_clip(tmp_path_factory.mktemp("clip")), Placement(batch_size=4))


@pytest.fixture
def uncut():
    return list(np.random.default_rng(0).integers(0, 256, (7, 32, 40, 3), dtype=np.uint8))


@pytest.fixture
def frames(clip, uncut):
    return [clip.resize.cut(frame) for frame in uncut]


def test_features_equal_open_clips_own_path(clip, frames, uncut):
    from PIL import Image

    from pipeline_lib.runtime.torchvision_ops import import_open_clip

    preprocess = import_open_clip().transform.image_transform_v2(
        import_open_clip().transform.PreprocessCfg(**clip.model.visual.preprocess_cfg), False
    )
    with torch.inference_mode():
        pixels = torch.stack([preprocess(Image.fromarray(frame)) for frame in uncut])
        expected = clip.model.encode_image(pixels).numpy()
    np.testing.assert_allclose(clip.encode(frames), expected, rtol=1e-4, atol=1e-6)


def test_scaling_is_close_to_open_clips(clip):
    from PIL import Image

    blocks = np.random.default_rng(1).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    image = blocks.repeat(20, axis=0).repeat(20, axis=1)
    ours = resize_image(image, clip.resize).astype(int)
    theirs = np.asarray(Image.fromarray(image).resize((56, 32), Image.Resampling.BICUBIC))[:, 12:44]
    assert ours.shape == theirs.shape == (32, 32, 3)
    assert np.abs(ours - theirs).mean() < 2


def test_a_row_depends_on_its_frame_alone(clip, frames):
    together = clip.encode(frames)
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(clip.encode([frame])[0], together[i])
    np.testing.assert_array_equal(clip.encode(frames[::-1]), together[::-1])
    assert clip.encode([]).shape == (0, 16)


def test_untrained_weights_follow_their_seed_and_leave_the_global_stream_alone(tmp_path):
    config = untrained_clip(tmp_path)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again = load_open_clip(config), load_open_clip(config)
    other = load_open_clip(replace(config, seed=1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.source.sha256 == again.source.sha256 != other.source.sha256
    assert first.source.trained is False
    assert not any(p.requires_grad for p in first.model.parameters())
    assert not first.model.training


def test_a_checkpoint_is_loaded_and_named_by_its_hash(tmp_path, frames):
    made = load_open_clip(untrained_clip(tmp_path))
    save_file(made.model.state_dict(), tmp_path / "open_clip_model.safetensors")
    config = ClipConfig(model=f"local-dir:{tmp_path}")
    clip = load_clip(config, Placement())
    assert clip.trained
    assert len(clip.weights_sha256) == 64
    for name, tensor in clip.model.state_dict().items():
        assert torch.equal(tensor, made.model.state_dict()[name]), name


def test_bf16_stays_close(tmp_path, frames):
    config = untrained_clip(tmp_path)
    full = load_clip(config, Placement()).encode(frames)
    half = load_clip(config, Placement(precision="bf16")).encode(frames)
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert half.dtype == np.float32
    assert cosine.min() > 0.999


@pytest.mark.parametrize(
    ("config", "error", "message", "hint"),
    [
        (ClipConfig(model="ViT-B-33", weights="x"), ConfigError, "no model 'ViT-B-33'", "ViT-B-32"),
        (ClipConfig(model="ViT-B-32"), ConfigError, "No weights given", "openai"),
        (ClipConfig(model="ViT-B-32", weights="openai"), ConfigError, "GELU", "-quickgelu"),
        (ClipConfig(model="ViT-B-32", weights="laion2b"), WeightsError, "neither", "laion2b_e16"),
        (ClipConfig(model="local-dir:x", weights="openai"), ConfigError, "own weights", "empty"),
        (ClipConfig(model="local-dir:nowhere"), WeightsError, "open_clip_config.json", "git"),
    ],
)
def test_wrong_names_are_refused_with_the_right_one(config, error, message, hint):
    with pytest.raises(error, match=message) as caught:
        load_open_clip(config)
    assert hint in caught.value.hint


def test_weights_that_do_not_fit_or_are_damaged(tmp_path):
    untrained_clip(tmp_path)
    with pytest.raises(WeightsError, match="holds no weights"):
        load_open_clip(ClipConfig(model=f"local-dir:{tmp_path}"))
    weights = tmp_path / "open_clip_model.safetensors"
    weights.write_bytes(b"\0" * 100)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_open_clip(ClipConfig(model=f"local-dir:{tmp_path}"))
    save_file({"visual.proj": torch.zeros(2, 2)}, weights)
    with pytest.raises(WeightsError, match=r"open_clip_model\.safetensors"):
        load_open_clip(ClipConfig(model=f"local-dir:{tmp_path}"))


def test_a_pickled_checkpoint_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    untrained_clip(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(WeightsError):
        load_open_clip(ClipConfig(model=f"local-dir:{tmp_path}"))
    assert not (tmp_path / "ran").exists()


def test_a_tower_that_also_gives_tokens(tmp_path, frames):
    """A CoCa: its pooled feature is the image feature."""
    content = copy.deepcopy(CONFIG)
    content["model_cfg"]["custom_text"] = True
    content["model_cfg"]["vision_cfg"] |= {"attentional_pool": True, "output_tokens": True}
    content["model_cfg"]["text_cfg"] |= {"embed_cls": True, "output_tokens": True}
    content["model_cfg"]["multimodal_cfg"] = {"width": 32, "heads": 2, "layers": 1}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    config = ClipConfig(model=f"local-dir:{tmp_path}", weights="untrained")
    coca = load_clip(config, Placement(batch_size=7))
    assert coca.dim == 16
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(frames)).movedim(-1, 1) / 255
        expected = coca.model.visual((pixels - 0.5) / 0.5)[0]
    np.testing.assert_allclose(coca.encode(frames), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "missing"),
    [("roberta-ViT-B-32", "text tower's roberta-base"), ("ViT-B-16-SigLIP", "tokenizer")],
)
def test_parts_of_the_hub_without_network(model, missing, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match=f"Cannot fetch the {missing} of {model}"):
        load_open_clip(ClipConfig(model=model, weights="untrained"))


def test_unsupported_preprocessing_is_refused(tmp_path):
    config = untrained_clip(tmp_path)
    content = copy.deepcopy(CONFIG)
    content["preprocess_cfg"]["resize_mode"] = "longest"
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="resize_mode 'longest'"):
        load_clip(config, Placement())
