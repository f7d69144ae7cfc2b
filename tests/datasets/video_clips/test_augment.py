"""Views of clips: what is drawn, and that it is the same for all frames."""

import numpy as np
import pytest
import torch

from pipeline_lib.datasets.video_clips import augment, rand_augment
from pipeline_lib.datasets.video_clips.augment import PretrainView, ResolvedAugment, TrainView
from pipeline_lib.datasets.video_clips.erasing import erase_box
from pipeline_lib.datasets.video_clips.mixing import Mix, draw_mix, mix_batch, soft_targets
from pipeline_lib.datasets.video_clips.pixels import as_frames, normalised
from pipeline_lib.datasets.video_clips.rand_augment import parse_rand_augment
from pipeline_lib.errors import ConfigError

PLAIN = {
    "rand_augment": "none",
    "scale": (1.0, 1.0),
    "ratio": (1.0, 1.0),
    "flip": 0.0,
    "erase": 0.0,
    "mixup": 0.8,
    "cutmix": 1.0,
    "mix_probability": 1.0,
    "switch_probability": 0.5,
    "smoothing": 0.1,
    "repeats": 1,
}


def settings(**changed) -> ResolvedAugment:
    return ResolvedAugment(**{**PLAIN, **changed})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(*shape: int) -> np.ndarray:
    return rng(1).integers(0, 256, shape, dtype=np.uint8)


def still(height: int = 40, width: int = 48, frames: int = 3) -> np.ndarray:
    """A clip in which nothing moves."""
    return np.repeat(noise(1, height, width, 3), frames, axis=0)


def test_colours_of_imagenet():
    grey = np.full((2, 4, 4, 3), 255, np.uint8)
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    view = normalised(as_frames(grey))
    assert view.shape == (3, 2, 4, 4)
    torch.testing.assert_close(view[:, 1, 2, 3], torch.tensor(expected))


def test_without_draws_the_clip_stays():
    clip = noise(2, 32, 32, 3)
    view = TrainView(settings(), 32)(clip, rng())
    torch.testing.assert_close(view, normalised(as_frames(clip)))
    mirrored = TrainView(settings(flip=1.0), 32)(clip, rng())
    torch.testing.assert_close(mirrored, view.flip(3))


def test_all_frames_get_the_same():
    view = TrainView(settings(rand_augment="rand-m7-n4-mstd0.5-inc1", scale=(0.08, 1.0)), 24)
    for seed in range(30):
        seen = view(still(), rng(seed))
        assert seen.dtype == torch.float32
        assert seen.shape == (3, 3, 24, 24)
        assert (seen == seen[:, :1]).all()
        torch.testing.assert_close(seen, view(still(), rng(seed)))
    assert not torch.equal(view(still(), rng(1)), view(still(), rng(2)))


def test_a_clip_that_is_not_to_be_written_to():
    clip = still()
    clip.flags.writeable = False
    assert PretrainView((1.0,), 0.5, 16)(clip, rng()).shape == (3, 3, 16, 16)


@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (3, 3)])
def test_views_of_tiny_frames(shape):
    clip = noise(2, *shape, 3)
    full = settings(rand_augment="rand-m9-n15-inc1", scale=(0.08, 1.0), ratio=(0.75, 4 / 3))
    for seed in range(10):
        assert TrainView(full, 8)(clip, rng(seed)).isfinite().all()
        assert PretrainView((1.0, 0.66), 0.5, 8)(clip, rng(seed)).isfinite().all()
    assert augment.test_crop(clip, 8, 0, 1).shape == (3, 2, 8, 8)


@pytest.mark.parametrize("name", list(rand_augment._OPERATIONS))
def test_operations_keep_the_shape(name):
    frames = as_frames(noise(2, 20, 30, 3))
    for level in (0.0, 0.5, 1.0):
        for sign in (-1.0, 1.0):
            changed = rand_augment._OPERATIONS[name](frames, level, sign)
            assert changed.shape == frames.shape
            assert changed.dtype == torch.uint8


def test_operations_on_known_pixels():
    frames = torch.tensor([10, 127, 128, 250], dtype=torch.uint8).expand(1, 3, 4, 4)

    def row(name, level=1.0):
        return rand_augment._OPERATIONS[name](frames, level, 1.0)[0, 0, 0].tolist()

    assert row("Invert") == [245, 128, 127, 5]
    assert row("Solarize", 0.5) == [10, 127, 127, 5]
    assert row("SolarizeAdd") == [120, 237, 128, 250]
    # Three of eight bits are left of a magnitude of 2.5.
    assert row("Posterize", 0.25) == [0, 96, 128, 224]
    assert row("TranslateX", 0.5) == [128, 10, 127, 128]


def test_notation_of_rand_augment():
    found = parse_rand_augment("rand-m7-n4-mstd0.5-inc1")
    assert (found.magnitude, found.operations, found.deviation) == (7, 4, 0.5)
    assert found.probability == 0.5
    assert parse_rand_augment("none") is None
    for text, wrong in [
        ("rand-m7-n4", "inc = 0"),
        ("rand-m11-inc1", "m = 11"),
        ("rand-m7-n1.5-inc1", "n = 1.5"),
        ("augmix-m3-inc1", "'augmix' is unknown"),
        ("rand-m7-q3-inc1", "'q3' is unknown"),
    ]:
        with pytest.raises(ConfigError, match=wrong):
            TrainView(settings(rand_augment=text), 8)


def test_operations_are_done_half_of_the_time():
    inverted = parse_rand_augment("rand-m5-n1-inc1")
    frames = as_frames(noise(1, 8, 8, 3))
    changed = sum(not torch.equal(inverted(frames, rng(seed)), frames) for seed in range(300))
    # Some operations leave noise as it is.
    assert 90 < changed < 170


def test_erasing_is_one_box_with_fresh_noise():
    areas = []
    for seed in range(60):
        clip = torch.zeros(3, 4, 40, 60)
        erase_box(clip, rng(seed))
        changed = (clip != 0).all(0)
        assert (changed == changed[:1]).all()
        rows, columns = changed[0].any(1).nonzero(), changed[0].any(0).nonzero()
        tall, wide = (int(ends[-1] - ends[0]) + 1 for ends in (rows, columns))
        assert int(changed[0].sum()) == tall * wide
        assert not torch.equal(clip[:, 0], clip[:, 1])
        areas.append(tall * wide / 2400)
    assert min(areas) > 0.015
    assert max(areas) < 0.35
    assert max(areas) - min(areas) > 0.2


@pytest.mark.parametrize("upright", [False, True])
def test_crops_along_the_longer_side(upright):
    clip = noise(2, 8, 19, 3)
    if upright:
        clip = clip.swapaxes(1, 2)
    whole = normalised(as_frames(np.ascontiguousarray(clip)))
    # 11 pixels of room: crops begin at int(c * 11 / 2).
    for crop, start in enumerate([0, 5, 11]):
        expected = whole[:, :, start : start + 8] if upright else whole[..., start : start + 8]
        torch.testing.assert_close(augment.test_crop(clip, 8, crop, 3), expected)
    assert augment.test_crop(clip, 4, 2, 3).shape == (3, 2, 4, 4)
    with pytest.raises(ValueError, match="Crop 3 of 3"):
        augment.test_crop(clip, 8, 3, 3)


def test_pretraining_crops():
    view = PretrainView((1.0, 0.5), 0.0, 20)
    assert view._shapes(40) == [(40, 40), (20, 40), (40, 20), (20, 20)]
    # Never two steps between width and height.
    sides = PretrainView((1.0, 0.875, 0.75, 0.66), 0.0, 224)._shapes(256)
    assert sides[:3] == [(256, 256), (224, 256), (256, 224)]
    assert (192, 256) not in sides
    assert len(sides) == 10
    clip = np.zeros((1, 40, 60, 3), np.uint8)
    clip[..., 0] = np.arange(40, dtype=np.uint8)[:, None]
    clip[..., 1] = np.arange(60, dtype=np.uint8)
    corners = set()
    for seed in range(400):
        pixel = PretrainView((0.5,), 0.0, 20)(clip, rng(seed))[:, 0, 0, 0]
        red, green = pixel[0] * 0.229 + 0.485, pixel[1] * 0.224 + 0.456
        corners.add((round(float(green) * 255), round(float(red) * 255)))
    quarters = {(0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0)}
    quarters |= {(1, 1), (3, 1), (1, 3), (3, 3)}
    assert corners == {(10 * right, 5 * down) for right, down in quarters}


def test_soft_targets():
    targets = soft_targets(torch.tensor([1, 0]), 4, 0.2)
    torch.testing.assert_close(targets[0], torch.tensor([0.05, 0.85, 0.05, 0.05]))
    torch.testing.assert_close(targets.sum(1), torch.ones(2))


def test_mixing_pairs_the_ends_of_a_batch():
    clips = torch.arange(3.0).view(3, 1, 1, 1, 1).expand(3, 3, 2, 8, 8)
    targets = torch.eye(3)
    mixed, soft = mix_batch(Mix(0.75), clips, targets)
    torch.testing.assert_close(mixed[:, 0, 0, 0, 0], torch.tensor([0.5, 1.0, 1.5]))
    torch.testing.assert_close(soft[0], torch.tensor([0.75, 0.0, 0.25]))
    boxed, soft = mix_batch(Mix(0.75, (0, 4, 2, 6)), clips, targets)
    assert boxed[0, 0, 0].sum() == 2 * 16
    assert (boxed[0, :, :, :4, 2:6] == 2).all()
    torch.testing.assert_close(soft[2], torch.tensor([0.25, 0.0, 0.75]))
    assert mix_batch(None, clips, targets)[0] is clips


def test_what_is_mixed():
    drawn = [draw_mix(settings(), 32, rng(seed)) for seed in range(300)]
    boxes = [mix for mix in drawn if mix.box is not None]
    assert 110 < len(boxes) < 190
    for mix in boxes:
        top, bottom, left, right = mix.box
        assert 0 <= top <= bottom <= 32
        assert 0 <= left <= right <= 32
        assert mix.own == 1 - (bottom - top) * (right - left) / 1024
    assert all(0 <= mix.own <= 1 for mix in drawn)
    assert all(draw_mix(settings(cutmix=0.0), 32, rng(k)).box is None for k in range(20))
    assert all(draw_mix(settings(mixup=0.0), 32, rng(k)).box for k in range(20))
    assert draw_mix(settings(mixup=0.0, cutmix=0.0), 32, rng()) is None
    assert draw_mix(settings(mix_probability=0.0), 32, rng()) is None
