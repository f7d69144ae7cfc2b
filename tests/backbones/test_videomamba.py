"""VideoMamba's checkpoints, model folders and features."""

import argparse
import json
import logging

import numpy as np
import pytest
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.backbones.videomamba import load_videomamba
from pipeline_lib.backbones.videomamba_checkpoint import read_videomamba
from pipeline_lib.backbones.videomamba_folder import open_videomamba, save_videomamba
from pipeline_lib.backbones.videomamba_start import start_from
from pipeline_lib.config import ExtractConfig, RuntimeConfig, VideoMambaBackboneConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape

SIZES = {"embed_dim": 32, "depth": 2, "patch_size": 8, "tubelet": 1, "frames": 4, "image_size": 32}
NAMES = ["falling", "sitting", "walking"]


def network(classes=3, seed=0, **sizes):
    torch.manual_seed(seed)
    return VideoMamba(VideoMambaShape(**(SIZES | sizes)), classes).eval()


def picture_tensors(seed=0):
    tensors = network(5, seed, frames=1, temporal=False).state_dict()
    weight = tensors["patch_embed.proj.weight"]
    return {**tensors, "patch_embed.proj.weight": weight[:, :, 0]}


def pretrained_tensors():
    tensors = network().state_dict()
    kept = {n: v for n, v in tensors.items() if not n.startswith(("head.", "norm_f."))}
    decoder = {
        f"clip_decoder.0.{name}": torch.zeros(size)
        for name, size in {"head.weight": (16, 32), "head.bias": 16, "norm.weight": 16,
                           "norm.bias": 16}.items()
    }  # fmt: skip
    return {**kept, "norm.weight": torch.ones(32), **decoder}


def saved(path, tensors, wrap=lambda t: t):
    torch.save(wrap(tensors), path)
    return path


def clips(n=2, frames=4, side=32):
    generator = np.random.default_rng(0)
    return torch.from_numpy(generator.integers(0, 256, (n, frames, side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: t,
        lambda t: {"model": t},
        lambda t: {"module": t},
        lambda t: {"model": t, "epoch": 3, "args": argparse.Namespace(lr=1e-3)},
        lambda t: {f"module.{n}": v for n, v in t.items()},
        lambda t: {"model": {f"backbone.{n}": v for n, v in t.items()}},
        lambda t: {f"encoder.{n}": v for n, v in t.items()},
    ],
    ids=["flat", "model", "module", "with arguments", "module.", "backbone.", "encoder."],
)
def test_every_published_container_is_read(tmp_path, wrap):
    trained = network()
    path = saved(tmp_path / "k400.pth", trained.state_dict(), wrap)
    read = read_videomamba(path)
    assert (read.kind, read.classes, read.class_names) == ("video", 3, None)
    assert read.shape == trained.shape
    loaded = open_videomamba(path, Placement())
    clip = loaded.normalise(clips())
    with torch.no_grad():
        assert torch.equal(loaded.logits(clip), trained(clip))


def test_code_in_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"model": network().state_dict(), "args": pytest.approx(1)}, path)
    with pytest.raises(WeightsError, match=r"evil\.pth: not a readable checkpoint"):
        read_videomamba(path)


def test_a_network_for_pictures(tmp_path):
    path = saved(tmp_path / "in1k.pth", picture_tensors(), lambda t: {"model": t})
    read = read_videomamba(path)
    assert (read.kind, read.classes, read.shape.frames) == ("image", 5, 1)
    assert not read.shape.temporal
    assert open_videomamba(path, Placement()).logits(torch.zeros(2, 3, 1, 32, 32)).shape == (2, 5)
    with pytest.raises(ConfigError, match="cannot tell 8 frames apart"):
        open_videomamba(path, Placement(), frames=8)


def test_masked_pretraining_has_no_classifier(tmp_path):
    path = saved(tmp_path / "mask_pt.pth", pretrained_tensors())
    read = read_videomamba(path)
    assert (read.kind, read.classes) == ("pretrain", None)
    with pytest.raises(WeightsError, match="masked pretraining and has no classifier") as caught:
        open_videomamba(path, Placement())
    assert "train.videomamba.start" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("pos_embed"), "no tensor pos_embed"),
        (lambda t: t.pop("layers.1.mixer.A_b_log"), r"missing \(layers\.1\.mixer\.A_b_log\)"),
        (lambda t: t.update(extra=torch.zeros(1)), r"unexpected \(extra\)"),
        (lambda t: t.update({"layers.0.mixer.D": torch.zeros(3)}), r"mixer\.D \(3,\) instead"),
        (lambda t: t.update(pos_embed=torch.zeros(1, 16, 32)), "square grid"),
        (lambda t: t.update(cls_token=torch.zeros(1, 1, 48)), "of another shape"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    tensors = dict(network().state_dict())
    change(tensors)
    with pytest.raises(WeightsError, match=message):
        read_videomamba(saved(tmp_path / "a.pth", tensors))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(WeightsError, match=r"best: there is no such checkpoint"):
        read_videomamba(tmp_path / "best")


def test_a_model_folder_comes_back_as_it_was_saved(tmp_path):
    trained, facts = network(), {"classes": NAMES, "dataset": {"sampling": "sparse"}}
    save_videomamba(tmp_path / "best", trained, facts)
    loaded = open_videomamba(tmp_path / "best", Placement())
    assert loaded.classes == tuple(NAMES)
    assert loaded.task == "classification"
    assert loaded.facts["dataset"] == {"sampling": "sparse"}
    assert loaded.source.trained
    assert loaded.preprocess.resize.crop == 32
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name])
    first = {p.name: p.read_bytes() for p in (tmp_path / "best").iterdir()}
    save_videomamba(tmp_path / "best", trained.state_dict(), facts)
    assert {p.name: p.read_bytes() for p in (tmp_path / "best").iterdir()} == first


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    tensors = network().state_dict() | {"head.bias": torch.full((3,), float("nan"))}
    with pytest.raises(WeightsError, match=r"hold NaN or infinity \(head\.bias\)"):
        save_videomamba(tmp_path / "best", tensors, {})
    assert not (tmp_path / "best").exists()


def test_a_checkpoint_of_a_diverged_training_is_refused(tmp_path):
    tensors = network().state_dict() | {"head.bias": torch.full((3,), float("nan"))}
    torch.save(tensors, tmp_path / "diverged.pth")
    with pytest.raises(WeightsError, match=r"head\.bias holds NaN or infinity"):
        read_videomamba(tmp_path / "diverged.pth")


def test_a_folder_of_folders_names_them(tmp_path):
    save_videomamba(tmp_path / "videomamba" / "best", network(), {})
    with pytest.raises(WeightsError, match="not a model folder") as caught:
        read_videomamba(tmp_path / "videomamba")
    assert str(tmp_path / "videomamba" / "best") in caught.value.hint


def test_a_description_of_other_tensors_is_refused(tmp_path):
    save_videomamba(tmp_path, network(), {})
    config = json.loads((tmp_path / "config.json").read_text())
    config["architecture"]["frames"] = 64
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"'frames': 4.*beside it says.*'frames': 64"):
        read_videomamba(tmp_path)


def test_other_clips_interpolate_positions(tmp_path, caplog):
    save_videomamba(tmp_path, network(), {})
    with caplog.at_level("INFO"):
        loaded = open_videomamba(tmp_path, Placement(), frames=6, image_size=40)
    assert "4 frames of 32 pixels are interpolated to 6 frames of 40 pixels" in caplog.text
    assert (loaded.shape.frames, loaded.shape.grid) == (6, 5)
    assert loaded.logits(loaded.normalise(clips(1, 6, 40))).isfinite().all()
    with pytest.raises(ConfigError, match="image_size = 36 is no multiple of 8") as caught:
        open_videomamba(tmp_path, Placement(), image_size=36)
    assert "32 or 40" in caught.value.hint


def test_fine_tuning_from_masked_pretraining(tmp_path):
    checkpoint = read_videomamba(saved(tmp_path / "a.pth", pretrained_tensors()))
    own = network(3, seed=1)
    norm, head = own.norm_f.weight.clone(), own.head.weight.clone()
    start = start_from(own, checkpoint)
    assert start.fresh == ("norm_f.weight", "head.weight", "head.bias")
    assert set(start.left) == {name for name in checkpoint.tensors
                               if name.startswith("clip_decoder.")} | {"norm.weight"}  # fmt: skip
    assert torch.equal(own.layers[1].mixer.D_b, network().layers[1].mixer.D_b)
    assert torch.equal(own.norm_f.weight, norm)
    assert torch.equal(own.head.weight, head)
    assert start.summary()["taken"] == len(start.taken)


def test_fine_tuning_on_other_clips_and_classes(tmp_path):
    save_videomamba(tmp_path, network(), {"classes": NAMES})
    checkpoint = read_videomamba(tmp_path)
    start = start_from(network(4, seed=1, frames=8, image_size=48), checkpoint)
    assert start.adapted == {
        "pos_embed": "4x4 to 6x6 patches", "temporal_pos_embedding": "4 to 8 steps",
    }  # fmt: skip
    assert start.fresh == ("head.weight", "head.bias")


@pytest.mark.parametrize(
    ("names", "taken"), [(None, True), (NAMES, True), (NAMES[::-1], False), (["x"] * 3, False)]
)
def test_a_classifier_is_taken_over_only_for_the_same_classes(tmp_path, names, taken):
    save_videomamba(tmp_path, network(), {"classes": NAMES})
    start = start_from(network(3, seed=1), read_videomamba(tmp_path), classes=names)
    assert ("head.weight" in start.taken) is taken


@pytest.mark.parametrize(("inflation", "share"), [("center", 1.0), ("repeat", 0.5)])
def test_pictures_start_videos(tmp_path, inflation, share):
    checkpoint = read_videomamba(saved(tmp_path / "in1k.pth", picture_tensors()))
    own = network(3, seed=1, tubelet=2)
    start = start_from(own, checkpoint, inflation=inflation)
    assert start.fresh == ("temporal_pos_embedding", "head.weight", "head.bias")
    assert start.adapted == {"patch_embed.proj.weight": f"2 frames a patch, {inflation}"}
    weight = picture_tensors()["patch_embed.proj.weight"]
    assert torch.equal(own.patch_embed.proj.weight[:, :, 1], share * weight)


def test_another_width_is_refused_with_its_settings(tmp_path):
    checkpoint = read_videomamba(saved(tmp_path / "a.pth", network().state_dict()))
    with pytest.raises(WeightsError, match="embed_dim 32 instead of 48") as caught:
        start_from(network(embed_dim=48), checkpoint)
    assert "train.videomamba.model.embed_dim: 32" in caught.value.hint


def test_features_are_the_class_token(tmp_path):
    trained = network()
    save_videomamba(tmp_path, trained, {})
    config = VideoMambaBackboneConfig(weights=str(tmp_path), batch_size=2)
    backbone = load_videomamba(config, Placement(batch_size=9))
    assert (backbone.dim, backbone.frames_per_sample, backbone.batch_size) == (32, 4, 2)
    assert backbone.trained
    raw = clips(3)
    found = backbone.encode(list(raw.numpy()))
    loaded = open_videomamba(tmp_path, Placement())
    with torch.no_grad():
        wanted = trained.features(loaded.normalise(raw))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)


def test_a_network_for_pictures_embeds_frames(tmp_path):
    path = saved(tmp_path / "in1k.pth", picture_tensors())
    backbone = load_videomamba(VideoMambaBackboneConfig(weights=str(path)), Placement())
    assert backbone.frames_per_sample == 1
    assert backbone.encode(list(clips(2, 1)[:, 0].numpy())).shape == (2, 32)


def test_untrained_features_depend_on_the_seed():
    def loaded(seed):
        config = VideoMambaBackboneConfig(weights="untrained", frames=2, image_size=32, seed=seed)
        return load_videomamba(config, Placement())

    assert loaded(0).weights_sha256 == loaded(0).weights_sha256
    assert loaded(0).weights_sha256 != loaded(1).weights_sha256
    assert not loaded(0).trained


def test_sizes_of_untrained_weights_are_those_of_their_section():
    config = VideoMambaBackboneConfig(weights="untrained", image_size=36)
    with pytest.raises(ConfigError, match=r"extract\.videomamba\.image_size = 36 is no multiple"):
        load_videomamba(config, Placement())


def test_openvino_says_that_it_cannot_and_leaves_logging_alone():
    pytest.importorskip("openvino")
    root = logging.getLogger()
    before = (root.level, root.filters[:], root.handlers[:])
    section = VideoMambaBackboneConfig(weights="untrained", frames=2, image_size=32)
    config = ExtractConfig(videomamba=section, engine="openvino")
    with pytest.raises(ConfigError, match="OpenVINO cannot run VideoMamba") as caught:
        load_backbone("videomamba", config, RuntimeConfig(device="cpu"))
    assert "recurrence cannot be converted" in caught.value.message
    assert (root.level, root.filters, root.handlers) == before


def test_the_scan_of_the_parameters_reaches_the_network():
    section = VideoMambaBackboneConfig(weights="untrained", frames=2, image_size=32)
    runtime = RuntimeConfig(device="cpu", scan="torch")
    backbone = load_backbone("videomamba", ExtractConfig(videomamba=section), runtime)
    assert {layer.mixer.scan for layer in backbone.network.layers} == {"torch"}
