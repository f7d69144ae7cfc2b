import json

import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip_teacher import load_teacher
from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.videomamba_shape import VideoMambaShape
from tests.support.tiny_clip import CONFIG

B, T, GRID = 2, 4, 4


@pytest.fixture
def section(tmp_path):
    """A CLIP of three blocks with pictures of 4 x 4 patches of 8 pixels, random weights."""
    return write(tmp_path, layers=3)


def write(folder, **vision):
    model = CONFIG["model_cfg"]
    content = {**CONFIG, "model_cfg": {**model, "vision_cfg": {**model["vision_cfg"], **vision}}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return ClipConfig(model=f"local-dir:{folder}", weights="untrained", seed=3)


def student(grid=GRID, tubelet=1):
    return VideoMambaShape(
        embed_dim=24, depth=3, patch_size=8, tubelet=tubelet, frames=T, image_size=8 * grid
    )


def clip(size=32, frames=T):
    return torch.randn(B, 3, frames, size, size, generator=torch.Generator().manual_seed(1))


def open_clips_blocks(section, frames):
    """Outputs [layers, M, 1 + P, d] of the blocks, and the last one's attention, by open_clip."""
    visual, outputs = load_open_clip(section).model.visual, []
    hooks = [
        block.register_forward_hook(lambda _, inputs, out: outputs.append((inputs[0], out)))
        for block in visual.transformer.resblocks
    ]
    with torch.no_grad():
        visual(frames)
        last = visual.transformer.resblocks[-1]
        seen = last.ln_1(outputs[-1][0])
        _, weights = last.attn(seen, seen, seen, need_weights=True, average_attn_weights=True)
    for hook in hooks:
        hook.remove()
    return torch.stack([out for _, out in outputs]), weights[:, 0, 1:], visual.proj


@pytest.mark.parametrize(("layers", "interval", "chosen"), [(1, 1, [2]), (2, 2, [0, 2])])
def test_targets_are_those_of_open_clip(section, layers, interval, chosen):
    teacher = load_teacher(section, Placement(batch_size=3), student(), layers, interval)
    pixels = clip()
    made = teacher.targets(pixels)
    frames = pixels.transpose(1, 2).flatten(0, 1)
    blocks, attention, proj = open_clips_blocks(section, frames)
    tokens = (blocks[chosen] @ proj).unflatten(1, (B, T))
    wanted = torch.cat(
        [tokens[:, :, :, 0].mean(2)[:, :, None], tokens[..., 1:, :].flatten(2, 3)], 2
    )
    assert made.tokens.shape == (layers, B, 1 + T * GRID**2, 16)
    torch.testing.assert_close(made.tokens, F.normalize(wanted, dim=-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made.attention, attention, rtol=1e-4, atol=1e-6)
    assert float(made.attention.sum(1).max()) < 1
    assert (teacher.dim, teacher.size, teacher.source.trained) == (16, 32, False)


def test_another_number_of_pixels_is_scaled(section):
    teacher = load_teacher(section, Placement(), student(), 1, 1)
    pixels = clip(size=64)
    frames = pixels.transpose(1, 2).flatten(0, 1)
    smaller = F.interpolate(frames, (32, 32), mode="bicubic").unflatten(0, (B, T)).transpose(1, 2)
    for one, other in zip(teacher.targets(pixels), teacher.targets(smaller), strict=True):
        assert torch.equal(one, other)


def test_another_number_of_patches_stretches_the_positions(section, caplog):
    caplog.set_level("INFO")
    teacher = load_teacher(section, Placement(), student(grid=6), 1, 1)
    assert teacher.size == 48
    assert "4 x 4 positions are stretched to 6 x 6" in caplog.text
    assert teacher.targets(clip(size=24)).tokens.shape == (1, B, 1 + T * 36, 16)
    table = load_open_clip(section).model.visual.positional_embedding
    stretched = teacher._network.tower.positional_embedding
    square = table[1:].T.reshape(1, 32, 4, 4)
    wanted = F.interpolate(square, (6, 6), mode="bicubic")[0].reshape(32, 36).T
    torch.testing.assert_close(stretched[1:], wanted, rtol=0, atol=0)
    assert torch.equal(stretched[0], table[0])


def test_the_middle_frame_of_a_tubelet_is_seen(section):
    whole = load_teacher(section, Placement(), student(), 1, 1)
    halved = load_teacher(section, Placement(), student(tubelet=2), 1, 1)
    pixels = clip()
    made, wanted = halved.targets(pixels), whole.targets(pixels[:, :, [1, 3]])
    assert torch.equal(made.tokens, wanted.tokens)
    assert torch.equal(made.attention, wanted.attention)


def test_half_precision_gives_unit_vectors_in_fp32(section):
    teacher = load_teacher(section, Placement(precision="bf16"), student(), 1, 1)
    made = teacher.targets(clip())
    assert made.tokens.dtype == made.attention.dtype == torch.float32
    torch.testing.assert_close(made.tokens.norm(dim=-1), torch.ones(1, B, 65))
    wanted = load_teacher(section, Placement(), student(), 1, 1).targets(clip())
    assert float((made.tokens * wanted.tokens).sum(-1).min()) > 0.99


def test_too_many_layers_are_told(section):
    with pytest.raises(ConfigError, match=r"aligned_layers = 3 with layer_interval = 2 (.|\n)*5"):
        load_teacher(section, Placement(), student(), 3, 2)


def test_another_kind_of_tower_is_told_with_its_parameter(tmp_path):
    other = write(tmp_path, pool_type="avg")
    with pytest.raises(ConfigError, match="another way than") as caught:
        load_teacher(other, Placement(), student(), 1, 1)
    assert "train.videomamba.pretrain.teacher" in str(caught.value.hint)


def test_several_patches_of_the_teacher_make_one_of_the_student(section):
    coarse = VideoMambaShape(
        embed_dim=24, depth=3, patch_size=16, tubelet=1, frames=T, image_size=32
    )
    teacher = load_teacher(section, Placement(batch_size=3), coarse, 1, 1, patches=2)
    assert teacher.size == 32
    pixels = clip()
    made = teacher.targets(pixels)
    blocks, attention, proj = open_clips_blocks(section, pixels.transpose(1, 2).flatten(0, 1))
    tokens = (blocks[-1] @ proj).unflatten(0, (B, T))
    square = tokens[:, :, 1:].reshape(B, T, 2, 2, 2, 2, 16).mean(dim=(3, 5)).reshape(B, T * 4, 16)
    wanted = F.normalize(torch.cat([tokens[:, :, 0].mean(1)[:, None], square], dim=1), dim=-1)
    torch.testing.assert_close(made.tokens[0], wanted, rtol=1e-4, atol=1e-5)
    summed = attention.reshape(B * T, 2, 2, 2, 2).sum(dim=(2, 4)).reshape(B * T, 4)
    torch.testing.assert_close(made.attention, summed, rtol=1e-4, atol=1e-6)
