"""Views of clips: what is drawn, and that it is the same for all frames."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment

from pipeline_lib.datasets.video_clips import augment, mixing, rand_augment
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


def test_a_training_view_is_augmented():
    clip = noise(2, 32, 32, 3)
    view = TrainView(settings(rand_augment="rand-m7-n4-p1-inc1"), 32)(clip, rng())
    assert not torch.equal(view, normalised(as_frames(clip)))


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


# Where timm calls an operation by another name.
OF_TIMM = {
    "Posterize": "PosterizeIncreasing", "Solarize": "SolarizeIncreasing",
    "Color": "ColorIncreasing", "Contrast": "ContrastIncreasing",
    "Brightness": "BrightnessIncreasing", "Sharpness": "SharpnessIncreasing",
    "TranslateX": "TranslateXRel", "TranslateY": "TranslateYRel",
}  # fmt: skip


@pytest.mark.parametrize("name", list(rand_augment._OPERATIONS))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_operations_are_those_of_timm(name, sign, monkeypatch):
    operations = [OF_TIMM.get(own, own) for own in rand_augment._OPERATIONS]
    assert sorted(operations) == sorted(auto_augment._RAND_INCREASING_TRANSFORMS)
    monkeypatch.setattr(auto_augment.random, "random", lambda: 0.25 - 0.5 * sign + 0.5)
    image = Image.fromarray(noise(6, 8, 3)).resize((80, 60), Image.Resampling.BICUBIC)
    frames, own = as_frames(np.array(image)[None]), OF_TIMM.get(name, name)
    # PIL's offsets point into what is read; either way is as likely.
    turned = -sign if name.startswith("Translate") else sign
    for level in (0.0, 0.35, 0.7, 0.99):
        arguments = auto_augment.LEVEL_TO_ARG[own]
        options = {"fillcolor": (128, 128, 128), "resample": Image.Resampling.BILINEAR}
        wanted = auto_augment.NAME_TO_OP[own](
            image, *(arguments(10 * level, {}) if arguments else ()), **options
        )
        found = rand_augment._OPERATIONS[name](frames, level, turned)[0].permute(1, 2, 0).numpy()
        # Edges of what is moved are rounded in another way, and shifts are whole pixels.
        difference = np.abs(found.astype(int) - np.asarray(wanted, dtype=int))
        assert difference.mean() < 4, level


def test_a_magnitude_is_drawn_for_each_operation(monkeypatch):
    seen = []
    monkeypatch.setattr(
        rand_augment, "_OPERATIONS",
        {n: lambda f, level, sign: (seen.append((level, sign)), f)[1] for n in "abc"},
    )  # fmt: skip
    made, frames = parse_rand_augment("rand-m7-n40-mstd0.5-p1-inc1"), as_frames(noise(1, 2, 2, 3))
    for seed in range(20):
        made(frames, rng(seed))
    levels, signs = np.array(seen).T
    assert len(levels) == 800  # more than there are operations: drawn with replacement
    assert levels.mean() == pytest.approx(0.7, abs=0.01)
    assert levels.std() == pytest.approx(0.05, rel=0.1)
    assert signs.mean() == pytest.approx(0, abs=0.1)
    seen.clear()
    parse_rand_augment("rand-m10-n400-mstd3-p1-inc1")(frames, rng())
    assert max(level for level, _ in seen) == 1


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
    areas, shapes, pixels = [], [], []
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
        shapes.append(tall / wide)
        pixels.append(clip[:, changed])
    # Between 3:10 and 10:3, and rounded; of normal noise.
    assert 0.25 < min(shapes) < 0.5
    assert 2 < max(shapes) < 4
    drawn = torch.cat(pixels, dim=1)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    assert min(areas) > 0.015
    assert max(areas) < 0.35
    assert max(areas) - min(areas) > 0.2


def test_a_random_crop_has_an_area_and_a_shape():
    low, high = 0.2, 0.6
    view = TrainView(settings(scale=(low, high), ratio=(0.8, 1.8)), 8)
    boxes = [view._box(400, 480, rng(seed)) for seed in range(2000)]
    tops, lefts, tall, wide = np.array(boxes).T
    areas, shapes = tall * wide / (400 * 480), wide / tall
    assert areas.min() == pytest.approx(low, abs=0.01)
    assert areas.max() == pytest.approx(high, abs=0.01)
    assert areas.mean() == pytest.approx((low + high) / 2, abs=0.01)
    assert shapes.min() == pytest.approx(0.8, abs=0.01)
    assert shapes.max() == pytest.approx(1.8, abs=0.01)
    # Width to height; its logarithm is uniform.
    assert np.mean(shapes < 1.2) == pytest.approx(0.5, abs=0.03)
    assert tops.min() == lefts.min() == 0
    assert (tops + tall).max() == 400
    assert (lefts + wide).max() == 480
    # A strip has no crop of such a shape and area: its middle is taken.
    assert view._box(4, 400, rng()) == (0, 196, 4, 7)


def test_chances_of_mirroring_and_erasing():
    clip = still(8, 8, 1)
    plainly, chances = TrainView(settings(), 8)(clip, rng()), settings(flip=0.5, erase=0.25)
    turned, erased, pretrained = 0, 0, 0
    for seed in range(200):
        seen = TrainView(chances, 8)(clip, rng(seed))
        # At most a third of the pixels are erased.
        same = max(float((seen == known).float().mean()) for known in (plainly, plainly.flip(3)))
        turned += float((seen == plainly.flip(3)).float().mean()) > 0.5
        erased += same < 1
        pretrained += torch.equal(PretrainView((1.0,), 0.5, 8)(clip, rng(seed)), plainly.flip(3))
    assert turned == pytest.approx(100, abs=25)
    assert 30 < erased < 70
    assert pretrained == pytest.approx(100, abs=25)


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
    # One crop is the middle one, int(round(11 / 2)).
    middle = whole[:, :, 6:14] if upright else whole[..., 6:14]
    torch.testing.assert_close(augment.test_crop(clip, 8, 0, 1), middle)
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


def test_a_box_is_as_large_as_what_is_the_partners():
    boxes = [mixing._box(0.84, 40, rng(seed)).box for seed in range(300)]
    # A side of int(40 * sqrt(0.16)), where all of it lies inside.
    assert max(bottom - top for top, bottom, _, _ in boxes) == 16
    assert max(right - left for _, _, left, right in boxes) == 16


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
