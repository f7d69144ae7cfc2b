import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.backbones.retrieval_model import (
    RetrievalModel,
    load_retrieval_model,
    open_retrieval_model,
)
from pipeline_lib.config import ClipConfig, TempMeStopConfig, TempMeStopModelConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.video.sampling import sample_video
from tests.support.retrieval_models import Shape, opened, random_clip, write_clip
from tests.support.trainable_clips import DEMO, transformers_clip
from tests.support.video_files import constant_rate

CPU = Placement()
SMALL = Shape()
JOINED = TempMeStopModelConfig(merge_layer=(2, 3), merge_frame_num=(2, 2), clips=3)
PLAIN = TempMeStopModelConfig(merging="none", clips=3)
TEXTS = ["a man falls", "two people walk along a street", "a dog"]


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> ClipConfig:
    return write_clip(tmp_path_factory.mktemp("clip"), SMALL)


def frames(model: RetrievalModel, count: int) -> np.ndarray:
    side = model.preprocess.resize.crop
    shape = (count, model.frames, side, side, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def trained_folder(section: ClipConfig, folder: Path, config=JOINED) -> RetrievalModel:
    model = load_retrieval_model(section, config, CPU)
    opened(model.network)
    model.save(folder, {"epoch": 3})
    return model


@pytest.mark.parametrize("kind", ["open_clip", "transformers"])
def test_it_starts_as_the_clip_of_either_format(kind, tmp_path):
    make = {"open_clip": lambda f: write_clip(f, SMALL), "transformers": transformers_clip}
    section = make[kind](tmp_path)
    model, clip = load_retrieval_model(section, PLAIN, CPU), load_clip(section, CPU)
    pixels = frames(model, 2)
    found = model.encode_videos(pixels)
    every = torch.from_numpy(clip.encode(list(pixels.reshape(-1, *pixels.shape[2:]))))
    expected = F.normalize(every, dim=-1).unflatten(0, (2, 3))
    assert (found.frames - expected).abs().max() < 1e-5
    assert (found.video - F.normalize(expected.mean(1), dim=-1)).abs().max() < 1e-5
    texts = F.normalize(torch.from_numpy(clip.encode_texts(TEXTS)), dim=-1)
    assert (model.encode_texts(TEXTS) - texts).abs().max() < 1e-5
    assert model.source.sha256 == clip.weights_sha256


def test_a_file_of_openai_is_a_clip_too(tmp_path, monkeypatch):
    open_clip = import_open_clip()
    shape = Shape(quick_gelu=True)
    registry = open_clip.factory._MODEL_CONFIGS
    known = registry | {"tiny-quickgelu": shape.model_cfg()}
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", known)
    clip = random_clip(shape)
    facts = {"input_resolution": torch.tensor(16)}
    torch.save(clip.state_dict() | facts, tmp_path / "ViT-B-32.pt")
    section = ClipConfig(model="tiny-quickgelu", weights=str(tmp_path / "ViT-B-32.pt"))
    model = load_retrieval_model(section, PLAIN, CPU)
    pixels = frames(model, 1)
    expected = clip.encode_image(model.pixels(pixels)[0], normalize=True)
    assert (model.encode_videos(pixels).frames[0] - expected).abs().max() < 1e-5
    assert (model.trained, model.source.trained) == (False, True)


def test_a_resnet_is_refused():
    with pytest.raises(ConfigError, match="needs a ViT"):
        load_retrieval_model(DEMO, PLAIN, CPU)


def test_missing_and_foreign_tensors_of_the_clip_are_named(tmp_path):
    section = write_clip(tmp_path, SMALL)
    file = tmp_path / "open_clip_model.safetensors"
    tensors = load_file(file)
    del tensors["visual.ln_post.bias"]
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"visual\.ln_post\.bias"):
        load_retrieval_model(section, PLAIN, CPU)


def test_shapes_sizes_and_what_it_says_of_itself(section):
    model = load_retrieval_model(section, TempMeStopModelConfig(merge_layer=(2, 3)), CPU)
    assert (model.frames, model.clips, model.dim) == (48, 12, 32)
    found = model.encode_videos(frames(model, 1))
    assert [tuple(part.shape) for part in found] == [(1, 32), (1, 12, 32), (1, 48, 32)]
    assert all(part.dtype == torch.float32 and not part.requires_grad for part in found)
    assert model.config.clips == 12
    assert model.config.merge_frame_num == (2, 2)
    assert model.config.tome_r == 2
    assert json.loads(json.dumps(model.identity)) == model.identity
    assert model.identity["clip_sha256"] == model.source.sha256
    empty = model.encode_videos(frames(model, 1)[:0])
    assert [tuple(part.shape) for part in empty] == [(0, 32), (0, 12, 32), (0, 48, 32)]
    assert model.encode_texts([]).shape == (0, 32)


def test_a_section_of_training_gives_its_architecture_alone(section):
    config = TempMeStopConfig(merging="none", clips=2, epochs=9)
    model = load_retrieval_model(section, config, CPU)
    assert type(model.config) is TempMeStopModelConfig
    assert "epochs" not in model.identity["architecture"]


@pytest.mark.parametrize("batch_size", [1, 30])
def test_a_videos_bits_do_not_depend_on_the_others(section, batch_size):
    placement = replace(CPU, batch_size=batch_size)
    model = load_retrieval_model(section, JOINED, placement)
    opened(model.network)
    pixels = frames(model, 5)
    together, alone = model.encode_videos(pixels), model.encode_videos(pixels[3:4])
    for all_rows, one in zip(together, alone, strict=True):
        assert torch.equal(all_rows[3:4], one)


def test_captions_of_any_length(section):
    model = load_retrieval_model(section, replace(JOINED, max_words=8), CPU)
    opened(model.network)
    words = "one two three four five six seven eight nine"
    assert model.tokenizer([words]).shape == (1, 8)
    found = model.encode_texts([words, "one two three four five six", "a dog"])
    assert torch.equal(found[0], found[1])  # cut at six words between start and end
    assert (found[2] - model.encode_texts(["a dog"])[0]).abs().max() < 1e-6
    assert torch.allclose(found.norm(dim=-1), torch.ones(3))


def test_no_more_words_than_the_clip_reads(section):
    model = load_retrieval_model(section, replace(JOINED, max_words=200), CPU)
    assert model.tokenizer(["a dog " * 100]).shape == (1, 77)


def test_videos_of_fewer_frames_than_the_network_sees(section, tmp_path):
    model = load_retrieval_model(section, JOINED, CPU)
    opened(model.network)
    sampled = [
        sample_video(constant_rate(tmp_path / f"{n}.mp4", n), 12, model.preprocess.resize)
        for n in (1, 5, 11, 40)
    ]
    together = model.encode_videos(np.stack([one.frames for one in sampled]))
    for number, (one, shown) in enumerate(zip(sampled, (1, 5, 11, 12), strict=True)):
        assert len(set(one.source_index)) == shown  # real frames, each of them at least once
        again = [list(one.source_index).index(index) for index in one.source_index]
        assert (one.frames == one.frames[again]).all()
        alone = model.encode_videos(one.frames[None])
        for all_rows, row in zip(together, alone, strict=True):
            assert row.isfinite().all()
            assert torch.equal(all_rows[number], row[0])
        assert alone.video.norm().item() == pytest.approx(1, abs=1e-6)


def test_half_precision(section):
    half = load_retrieval_model(section, JOINED, replace(CPU, precision="bf16"))
    full = load_retrieval_model(section, JOINED, CPU)
    pixels = frames(full, 1)
    both = half.encode_videos(pixels).video, full.encode_videos(pixels).video
    assert (both[0] * both[1]).sum() > 0.99
    assert not torch.equal(*both)
    assert half.encode_texts(TEXTS).dtype == torch.float32
    assert half.identity["precision"] == "bf16"


def test_untrained_is_said(section, tmp_path):
    new = load_retrieval_model(section, JOINED, CPU, seed=1)
    assert (new.trained, new.trained_adapters, new.adapters_sha256) == (False, False, None)
    assert new.identity["adapters_sha256"].startswith("untrained-")
    assert new.identity["trained"] is False
    plain = PLAIN, replace(PLAIN, merging="unified", merge_layer=(), merge_frame_num=(), tome_r=0)
    same = [replace(one, merge_across=0.0, merge_within=0.0) for one in plain]
    named, given = (load_retrieval_model(section, one, CPU).identity for one in same)
    assert named == given  # a preset's name says nothing that its values do not
    other = load_retrieval_model(section, JOINED, CPU, seed=2)
    again = load_retrieval_model(section, JOINED, CPU, seed=1)
    assert new.identity == again.identity != other.identity
    bare = TempMeStopModelConfig(
        merging="none", lora_dim=0, spatial_prompt=False, global_prompts=0, temporal_prompts=0
    )
    assert load_retrieval_model(section, bare, CPU).trained  # CLIP as it is
    random = write_clip(tmp_path / "random", SMALL, trained=False)
    trained_folder(random, tmp_path / "adapters")
    model = open_retrieval_model(tmp_path / "adapters", CPU)
    assert (model.trained, model.trained_adapters) == (False, True)


def test_a_saved_model_is_the_same_when_opened(section, tmp_path):
    model = trained_folder(section, tmp_path / "best")
    again = open_retrieval_model(tmp_path / "best", CPU)
    pixels = frames(model, 2)
    for a, b in zip(model.encode_videos(pixels), again.encode_videos(pixels), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(model.encode_texts(TEXTS), again.encode_texts(TEXTS))
    assert again.trained
    assert again.config == model.config
    assert again.adapters_sha256 == again.identity["adapters_sha256"]
    saved = load_file(tmp_path / "best/adapters.safetensors")
    assert set(saved) == set(model.network.learned())
    content = json.loads((tmp_path / "best/config.json").read_text())
    assert content["epoch"] == 3
    assert content["clip"]["weights_sha256"] == model.source.sha256
    again.save(tmp_path / "copy", {"epoch": 3})
    for file in (tmp_path / "best").iterdir():
        assert file.read_bytes() == (tmp_path / "copy" / file.name).read_bytes()


def test_another_clip_is_refused_by_hash(section, tmp_path):
    model = trained_folder(section, tmp_path / "best")
    other = write_clip(tmp_path / "other", SMALL, trained=False)
    with pytest.raises(WeightsError, match=f"{model.source.sha256[:16]}.*untrained-"):
        load_retrieval_model(other, JOINED, CPU, tmp_path / "best")


def test_another_architecture_is_refused_by_tensor(section, tmp_path):
    trained_folder(section, tmp_path / "best")
    wider = replace(JOINED, global_prompts=5, sim_header="seqLSTM")
    with pytest.raises(WeightsError, match=r"tensors missing \(header\.gate, .*of another shape"):
        load_retrieval_model(section, wider, CPU, tmp_path / "best")


def test_what_is_no_model_folder_is_said(section, tmp_path):
    with pytest.raises(WeightsError, match=r"no config\.json"):
        open_retrieval_model(tmp_path, CPU)
    trained_folder(section, tmp_path / "models/best")
    with pytest.raises(WeightsError, match=r"name one of .*models/best"):
        open_retrieval_model(tmp_path / "models", CPU)
    (tmp_path / "models/best/config.json").write_text('{"clip": {}}')
    with pytest.raises(WeightsError, match="does not describe a trained retrieval model"):
        open_retrieval_model(tmp_path / "models/best", CPU)


def test_a_diverged_training_is_not_saved(section, tmp_path):
    model = load_retrieval_model(section, JOINED, CPU)
    tensors = {name: p.detach().clone() for name, p in model.network.learned().items()}
    tensors["video_gate"][0] = torch.nan
    with pytest.raises(WeightsError, match="video_gate"):
        model.save(tmp_path / "best", tensors=tensors)
    assert not (tmp_path / "best").exists()


def test_weights_that_are_no_numbers_are_not_used(section, tmp_path):
    model = load_retrieval_model(section, JOINED, CPU)
    model.save(tmp_path / "best")
    file = tmp_path / "best" / "adapters.safetensors"
    tensors = load_file(file)
    tensors["video_gate"][0] = torch.inf
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"best: not finite: video_gate\."):
        open_retrieval_model(tmp_path / "best", CPU)


@pytest.fixture
def tempme(section, tmp_path) -> Path:
    """A checkpoint as TempMe saves it, trained on the CLIP of ``section``."""
    model = load_retrieval_model(section, JOINED, CPU)
    opened(model.network)
    state = {f"clip.{k}": v for k, v in model.network.clip.state_dict().items()}
    torch.save(state, tmp_path / "best.pth")
    return tmp_path / "best.pth"


def test_a_checkpoint_of_tempme_brings_its_part(section, tempme):
    model = load_retrieval_model(section, JOINED, CPU, tempme)
    state = torch.load(tempme, weights_only=True)
    assert all(torch.equal(p, state[n]) for n, p in model.network.tempme_parameters().items())
    assert model.trained
    assert not model.network.video_gate.any()  # the rest is new, behind its gates


def test_half_precision_of_a_checkpoint_is_the_same_clip(section, tempme):
    torch.save({k: v.half() for k, v in torch.load(tempme, weights_only=True).items()}, tempme)
    assert load_retrieval_model(section, JOINED, CPU, tempme).trained


def test_frame_positions_are_those_of_the_checkpoint(section, tempme):
    bare = replace(JOINED, frame_pos=False)
    with pytest.raises(WeightsError, match=r"12 clips at block 2, 6 .*; .* rank 8 and none\."):
        load_retrieval_model(section, bare, CPU, tempme)
    state = torch.load(tempme, weights_only=True)
    torch.save({k: v for k, v in state.items() if "Positional" not in k}, tempme)
    assert load_retrieval_model(section, bare, CPU, tempme).trained
    with pytest.raises(WeightsError, match=r"positions for none; .* 12 clips at block 2"):
        load_retrieval_model(section, JOINED, CPU, tempme)


def test_a_checkpoint_of_another_tempme_is_refused(section, tempme, tmp_path):
    with pytest.raises(
        WeightsError, match=r"rank 8 and .*6 clips at block 3; .* rank 4 and 12"
    ) as caught:
        load_retrieval_model(section, replace(JOINED, lora_dim=4), CPU, tempme)
    assert "Set lora_dim 8, merge_layer [" in caught.value.hint
    assert "max_frames 1" in caught.value.hint
    state = torch.load(tempme, weights_only=True)
    state["clip.visual.proj"] = state["clip.visual.proj"] + 0.1
    torch.save(state, tempme)
    with pytest.raises(WeightsError, match=r"another CLIP than .* \(tensor visual\.proj differs\)"):
        load_retrieval_model(section, JOINED, CPU, tempme)
    del state["clip.visual.ln_pre.bias"]
    torch.save(state, tempme)
    with pytest.raises(WeightsError, match=r"missing \(visual\.ln_pre\.bias\)"):
        load_retrieval_model(section, JOINED, CPU, tempme)
