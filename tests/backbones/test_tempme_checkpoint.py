"""Reading checkpoints of TempMe and STOP."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from pipeline_lib.backbones.tempme_checkpoint import load_tempme, read_stop, read_tempme
from pipeline_lib.errors import WeightsError
from pipeline_lib.networks.merge_schedule import MergeSchedule
from tests.networks.small_clip import SMALL, pictures, small_tempme

# Heads are 64 wide in every published CLIP.
SHAPE = replace(SMALL, vision_heads=1, text_heads=1)
SCHEDULE = MergeSchedule(1, (1, 3), (2, 3), 0.3, 0.1)


def tensors(prefix="clip."):
    network = small_tempme(SCHEDULE, 6, shape=SHAPE)
    return {prefix + name: value.clone() for name, value in network.state_dict().items()}


def saved(tmp_path, content, name="best.pth"):
    path = tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)(content, path)
    return path


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("best.pth", "clip."), ("best.pth", "module.clip."), ("best.safetensors", "clip.")],
)
def test_a_checkpoint_comes_back_as_it_was(tmp_path, name, prefix):
    path = saved(tmp_path, tensors(prefix), name)
    read = read_tempme(path)
    assert read.shape == SHAPE
    assert (read.lora_dim, read.positions) == (3, {1: 6, 3: 3})
    network = load_tempme(path, SCHEDULE, 6)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    for key, value in tensors("").items():
        assert torch.equal(network.state_dict()[key], value), key
    wanted = small_tempme(SCHEDULE, 6, shape=SHAPE).encode_video(pictures(1, 6))
    assert torch.equal(network.encode_video(pictures(1, 6)), wanted)


def test_openais_extra_numbers_and_half_precision(tmp_path):
    content = {name: value.half() for name, value in tensors().items()}
    content |= {f"clip.{name}": torch.tensor(1) for name in ("input_resolution", "vocab_size")}
    network = load_tempme(saved(tmp_path, content), SCHEDULE, 6)
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_heads_are_64_wide_and_low_rank_additions_may_be_missing(tmp_path):
    shape = replace(SMALL, vision_width=192, vision_heads=3, text_width=128, text_heads=2)
    network = small_tempme(SCHEDULE, 6, shape=shape, lora_dim=0)
    content = {f"clip.{name}": value for name, value in network.state_dict().items()}
    read = read_tempme(saved(tmp_path, content))
    assert (read.shape, read.lora_dim) == (shape, 0)


@pytest.mark.parametrize("missing", sorted(tensors()))
def test_one_missing_tensor_is_named(tmp_path, missing):
    content = tensors()
    del content[missing]
    with pytest.raises(WeightsError, match=f"missing.*{missing}|{missing}.*missing"):
        load_tempme(saved(tmp_path, content), SCHEDULE, 6)


def test_an_unexpected_tensor_is_named(tmp_path):
    content = tensors() | {"clip.visual.extra": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"unexpected \(clip.visual.extra\)"):
        load_tempme(saved(tmp_path, content), SCHEDULE, 6)


def test_another_schedule_is_told_by_its_positions(tmp_path):
    path = saved(tmp_path, tensors())
    with pytest.raises(WeightsError, match=r"resblocks.2.TVPt_Video_Positional_embedding"):
        load_tempme(path, replace(SCHEDULE, layers=(1, 2)), 6)
    with pytest.raises(WeightsError, match=r"another shape.*\(1, 6, 1, 32\) instead of \(1, 12"):
        load_tempme(path, SCHEDULE, 12)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"visual.proj": torch.zeros(2, 2)}, "no tensor's name begins with 'clip.'"),
        ({"clip.visual.proj": torch.zeros(2, 2)}, "a CLIP without TempMe's additions"),
        ({"clip.visual.prompt_embeddings": torch.zeros(4, 32)}, "checkpoint of STOP"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    with pytest.raises(WeightsError, match=message):
        load_tempme(saved(tmp_path, content), SCHEDULE, 6)


def test_stop_gives_its_clip_and_its_global_prompts(tmp_path):
    clip = {name: value for name, value in tensors("module.clip.").items() if "TVPt" not in name}
    prompts = torch.randn(1, 4, 32)
    own = {
        "module.clip.visual.prompt_embeddings": prompts,
        "module.clip.visual.TemporalPrompt.Conv.0.weight": torch.zeros(1),
        "module.clip.visual.transformer.resblocks.0.LoRA.0.weight": torch.zeros(1),
        "module.clip.transformer.resblocks.1.LoRA.2.bias": torch.zeros(1),
        "module.clip.visual_prompt_embedding.weight": torch.zeros(1),
    }
    path = saved(tmp_path, {"epoch": 3, "best_acc1": 0.4, "state_dict": clip | own})
    read = read_stop(path)
    assert sorted(f"module.clip.{name}" for name in read.clip) == sorted(clip)
    assert torch.equal(read.global_prompts, prompts[0])
    assert read.unmapped == (
        "transformer.resblocks.1.LoRA.2.bias",
        "visual.TemporalPrompt.Conv.0.weight",
        "visual.transformer.resblocks.0.LoRA.0.weight",
        "visual_prompt_embedding.weight",
    )
    with pytest.raises(WeightsError, match="checkpoint of STOP, not of TempMe") as caught:
        read_tempme(path)
    assert "its CLIP, which is OpenAI's, and its global prompts" in caught.value.hint
    with pytest.raises(WeightsError, match="no checkpoint of STOP"):
        read_stop(saved(tmp_path, clip))
