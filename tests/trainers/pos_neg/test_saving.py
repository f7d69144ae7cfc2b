"""Saved models give what training measured, in the libraries they came from and in this one."""

import json
import shutil
import socket

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.backbones.transformers_folder import import_transformers, quiet
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import WeightsError
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.trainers.pos_neg.publishing import save_clip
from tests.support.trainable_clips import (
    DEMO,
    KINDS,
    TEXTS,
    inputs,
    section,
    train,
    trainable,
    transformers_clip,
)

MODES = ("full", "lora", "head")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module", params=[*KINDS, "transformers"])
def config(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "transformers":
        return transformers_clip(folder)
    return section(request.param, folder)


def trained(config, mode="lora"):
    model = trainable(config, mode=mode)
    train(model)
    return model


def local(folder):
    return ClipConfig(model=f"local-dir:{folder}")


def features(model):
    with torch.no_grad():
        return model(*inputs(model))


def close(rows, expected):
    for one, other in zip(rows, expected, strict=True):
        other = other / other.norm(dim=1, keepdim=True)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_model_is_a_model_of_the_pipeline_and_trains_on(config, mode, tmp_path):
    model = trained(config, mode)
    save_clip(model, config, tmp_path / "out")
    again = trainable(local(tmp_path / "out"), mode=mode)
    close(features(model), features(again))
    assert again.preprocess == model.preprocess
    train(again)
    save_clip(again, local(tmp_path / "out"), tmp_path / "out")  # into its own source
    close(features(again), features(trainable(local(tmp_path / "out"))))


def test_extraction_gives_the_trained_features(config, tmp_path):
    model = trained(config)
    save_clip(model, config, tmp_path / "out")
    clip = load_clip(local(tmp_path / "out"), Placement())
    side = clip.resize.crop
    frames = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    rows = torch.from_numpy(clip.encode(frames))
    pixels = torch.from_numpy(frames).movedim(-1, 1) / 255
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (model.preprocess.mean, model.preprocess.std)
    )
    with torch.no_grad():
        close([model.encode_images((pixels - mean) / std)], [rows])
    close([features(model)[1]], [torch.from_numpy(clip.encode_texts(TEXTS))])


@pytest.mark.parametrize("mode", MODES)
def test_open_clip_loads_a_saved_model(mode, tmp_path):
    model = trained(DEMO, mode)
    save_clip(model, DEMO, tmp_path)
    assert set(content(tmp_path)) == {"open_clip_config.json", "open_clip_model.safetensors"}
    theirs, preprocess = import_open_clip().create_model_from_pretrained(f"local-dir:{tmp_path}")
    theirs.eval()
    pixels, tokens = inputs(model)
    with torch.no_grad():
        close(features(model), (theirs.encode_image(pixels), theirs.encode_text(tokens)))
    picture = Image.new("RGB", (100, 80), (255, 0, 128))
    expected = torch.tensor([2.0, -2.0, (128 / 255 - 0.5) / 0.25])  # mean 0.5, deviation 0.25
    torch.testing.assert_close(preprocess(picture)[:, 5, 5], expected)
    assert preprocess(picture).shape == (3, 64, 64)


def test_an_architecture_of_open_clip_becomes_a_folder(tmp_path, monkeypatch):
    open_clip = import_open_clip()
    source = section("vit", tmp_path / "tiny")
    architecture = json.loads((tmp_path / "tiny/open_clip_config.json").read_text())["model_cfg"]
    registry = open_clip.factory._MODEL_CONFIGS
    named = {"tiny-quickgelu": architecture | {"quick_gelu": True}}
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", registry | named)
    source = ClipConfig(model="tiny-quickgelu", weights="untrained")
    model = trained(source)
    save_clip(model, source, tmp_path / "out")
    saved = json.loads((tmp_path / "out/open_clip_config.json").read_text())
    assert saved["model_cfg"]["quick_gelu"]
    close(features(model), features(trainable(local(tmp_path / "out"))))


@pytest.mark.parametrize("mode", MODES)
def test_transformers_loads_a_saved_model(mode, tmp_path):
    source = transformers_clip(tmp_path / "in")
    model = trained(source, mode)
    save_clip(model, source, tmp_path / "out")
    transformers = import_transformers()
    with quiet(transformers):
        theirs = transformers.CLIPModel.from_pretrained(tmp_path / "out", local_files_only=True)
        processor = transformers.CLIPProcessor.from_pretrained(
            tmp_path / "out", local_files_only=True
        )
    pixels, tokens = inputs(model)
    words = processor(text=TEXTS, return_tensors="pt", padding="max_length")
    # open_clip fills up with zeros, transformers with the end-of-text token.
    assert torch.equal(words["input_ids"] * words["attention_mask"], tokens)
    with torch.no_grad():
        out = theirs(pixel_values=pixels, **words)
    close(features(model), (out.image_embeds, out.text_embeds))
    assert theirs.dtype == torch.float32
    assert theirs.logit_scale.exp().item() == pytest.approx(model.logit_scale.item())
    # What its processor makes of a picture is what this library gives the model.
    picture = Image.new("RGB", (90, 60), (255, 0, 0))
    prepared = processor(images=picture, return_tensors="pt")["pixel_values"]
    assert prepared.shape == (1, 3, 32, 32)
    torch.testing.assert_close(prepared[0, :, 9, 9], torch.tensor([2.5, -4 / 3, -0.75]))


def test_a_tokenizer_beside_the_source_is_kept(tmp_path):
    source = transformers_clip(tmp_path / "in")
    save_clip(trainable(source), source, tmp_path / "first")
    shutil.copy(tmp_path / "first/merges.txt", tmp_path / "in")
    shutil.copy(tmp_path / "first/vocab.json", tmp_path / "in")
    (tmp_path / "in/tokenizer_config.json").write_text('{"model_max_length": 60}')
    save_clip(trainable(source), source, tmp_path / "second")
    assert (tmp_path / "second/tokenizer_config.json").read_text() == '{"model_max_length": 60}'
    kept = {"vocab.json", "merges.txt", "preprocessor_config.json", "model.safetensors"}
    first, second = content(tmp_path / "first"), content(tmp_path / "second")
    assert {name: first[name] for name in kept} == {name: second[name] for name in kept}


def test_a_text_tower_of_transformers_brings_its_tokenizer(tmp_path):
    transformers = import_transformers()
    source = transformers_clip(tmp_path / "in")
    save_clip(trainable(source), source, tmp_path / "tokens")
    size = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    transformers.RobertaConfig(vocab_size=49408, num_hidden_layers=1, **size).save_pretrained(
        tmp_path / "text"
    )
    section("vit", tmp_path / "clip")
    path = tmp_path / "clip/open_clip_config.json"
    architecture = json.loads(path.read_text())
    architecture["model_cfg"]["text_cfg"] = {
        "hf_model_name": str(tmp_path / "text"),
        "hf_tokenizer_name": "in this folder",
        "hf_proj_type": "mlp",
    }
    path.write_text(json.dumps(architecture))
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(tmp_path / "tokens" / name, tmp_path / "clip")
    config = ClipConfig(model=f"local-dir:{tmp_path / 'clip'}", weights="untrained")
    model = trained(config)
    save_clip(model, config, tmp_path / "out")
    close(features(model), features(trainable(local(tmp_path / "out"))))


def test_a_source_in_half_precision_is_saved_in_fp32(tmp_path):
    source = transformers_clip(tmp_path / "in")
    path = tmp_path / "in/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"torch_dtype": "float16"}))
    model = trained(source)
    save_clip(model, source, tmp_path / "out")
    transformers = import_transformers()
    with quiet(transformers):
        theirs = transformers.CLIPModel.from_pretrained(tmp_path / "out", local_files_only=True)
    assert theirs.dtype == torch.float32
    save_clip(trainable(DEMO), DEMO, tmp_path / "demo")
    tensors = load_file(tmp_path / "demo/open_clip_model.safetensors")
    kinds = {tensor.dtype for name, tensor in tensors.items() if "num_batches" not in name}
    assert kinds == {torch.float32}


def test_equal_weights_give_equal_bytes(config, tmp_path):
    for name in ("first", "second"):
        save_clip(trained(config), config, tmp_path / name)
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/model.safetensors").write_text("of another model")
    save_clip(trainable(DEMO), DEMO, tmp_path / "out")
    assert "model.safetensors" not in content(tmp_path / "out")


def test_weights_that_are_no_numbers_are_never_written(tmp_path):
    model = trainable(DEMO, mode="head")
    save_clip(model, DEMO, tmp_path / "out")
    before = content(tmp_path / "out")
    with torch.no_grad():
        model.text_projection.weight[0, 0] = float("nan")
    with pytest.raises(WeightsError, match=r"not written, 1 tensors hold NaN .*text_projection"):
        save_clip(model, DEMO, tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_a_source_that_is_gone_is_named(tmp_path):
    for make in (transformers_clip, lambda folder: section("vit", folder)):
        source = make(tmp_path / "in")
        model = trainable(source)
        shutil.rmtree(tmp_path / "in")
        with pytest.raises(WeightsError, match="neither open_clip_config"):
            save_clip(model, source, tmp_path / "out")
        assert not (tmp_path / "out").exists()
