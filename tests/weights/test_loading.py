"""Each backbone takes published weights from where `weights fetch --use` says they are."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.dinov2 import load_dinov2
from pipeline_lib.backbones.loading import load_section
from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.config import ClipConfig, DinoV2Config, VideoMambaModelConfig
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.networks.mobileclip import MobileClip
from pipeline_lib.networks.slowfast import SlowFast
from pipeline_lib.networks.videomamba import VideoMamba, resolve_shape
from pipeline_lib.params_file import load_params
from pipeline_lib.weights.catalogue import choose
from pipeline_lib.weights.place import FOLDER
from pipeline_lib.weights.use import use
from tests.backbones.test_clip_openai import FACTS, write_archive

ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]


def write_clip(path):
    model = "ViT-B-32-quickgelu"
    tensors = load_open_clip(ClipConfig(model=model, weights="untrained")).model.state_dict()
    half = {
        name: tensor.half() if tensor.dim() > 1 and "embedding" not in name else tensor
        for name, tensor in tensors.items()
    }
    write_archive(path, half, FACTS | {"input_resolution": 224})


def write_dinov2(path):
    load_dinov2(
        DinoV2Config(model="small", weights="untrained"), Placement()
    ).network.save_pretrained(path)


def write_videomamba(path):
    shape = resolve_shape(VideoMambaModelConfig(size="tiny", frames=16, image_size=224), "")
    torch.save(VideoMamba(shape, 400).state_dict(), path)


WRITERS = {
    "clip": write_clip,
    "mobileclip": lambda path: torch.save(MobileClip().state_dict(), path),
    "slowfast": lambda path: torch.save({"model_state": SlowFast().state_dict()}, path),
    "dinov2:small": write_dinov2,
    "videomamba:k400-tiny": write_videomamba,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_in_the_published_format_is_loaded_from_its_place(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    (item,) = choose([name])
    target = FOLDER / item.weights
    target.parent.mkdir(parents=True)
    WRITERS[name](target)
    assert all((FOLDER / path).is_file() for path in item.files)
    use([item], FOLDER, Path("params.yaml"))
    extract = load_params(Path("params.yaml")).extract
    backbone = load_section(item.network, extract, torch.device("cpu"), "fp32")
    *_, last = item.files
    assert backbone.weights_sha256 == sha256_file(FOLDER / last)
    size = backbone.resize.crop or backbone.resize.size
    shape = (1, 3, backbone.frames_per_sample, size, size)
    pixels = torch.zeros(shape if backbone.frames_per_sample > 1 else (1, 3, size, size))
    with torch.inference_mode():
        assert np.isfinite(backbone.forward(pixels).numpy()).all()
