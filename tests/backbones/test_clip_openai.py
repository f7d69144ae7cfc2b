"""OpenAI's own checkpoints: TorchScript archives, and state dicts made from them."""

import copy
import pickle
import zipfile

import pytest
import torch
from torch import nn

from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.backbones.openai_checkpoint import read_openai
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.support.tiny_clip import CONFIG

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

FACTS = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}


class Archived(nn.Module):
    """Parameters under OpenAI's names, in OpenAI's mixture of fp16 and fp32, and its facts."""

    def __init__(self, tensors, facts=FACTS):
        super().__init__()
        for name, tensor in tensors.items():
            *path, leaf = name.split(".")
            module = self
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module._modules[part]
            module.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
        for name, number in facts.items():
            self.register_buffer(name, torch.tensor(number))
        self.register_buffer("attn_mask", torch.ones(2, 2))

    def forward(self, x):
        return x + self.logit_scale + self.attn_mask.sum()


@pytest.fixture
def tiny_models(monkeypatch):
    """Two architectures of open_clip, tiny ones: with QuickGELU and without."""
    open_clip = import_open_clip()
    plain = CONFIG["model_cfg"]
    configs = {"tiny": plain, "tiny-quickgelu": plain | {"quick_gelu": True}}
    registry = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", registry | copy.deepcopy(configs))


@pytest.fixture
def tensors(tiny_models):
    made = load_open_clip(ClipConfig(model="tiny-quickgelu", weights="untrained")).model
    return {
        name: tensor.half() if tensor.dim() > 1 and "embedding" not in name else tensor
        for name, tensor in made.state_dict().items()
    }


def write_archive(path, tensors, facts=FACTS):
    torch.jit.trace(Archived(tensors, facts), torch.zeros(2)).save(str(path))
    return str(path)


def load(weights, model="tiny-quickgelu"):
    return load_open_clip(ClipConfig(model=model, weights=weights))


def same(model, tensors):
    state = model.state_dict()
    assert set(state) == set(tensors)
    for name, tensor in tensors.items():
        assert state[name].dtype == torch.float32
        assert torch.equal(state[name], tensor.float()), name


def test_an_archive_is_loaded_into_open_clips_model(tmp_path, tensors, monkeypatch):
    write_archive(tmp_path / "ViT-B-32.pt", tensors)
    monkeypatch.chdir(tmp_path)
    loaded = load("./ViT-B-32.pt")
    same(loaded.model, tensors)
    assert loaded.source.trained
    assert len(loaded.source.sha256) == 64
    assert not loaded.model.training


def test_a_state_dict_of_an_archive_is_loaded_too(tmp_path, tensors):
    state = tensors | {name: torch.tensor(number) for name, number in FACTS.items()}
    torch.save(state, tmp_path / "clip.pt")
    same(load(str(tmp_path / "clip.pt")).model, tensors)


@pytest.mark.parametrize("archive", [True, False])
def test_a_model_with_another_gelu_is_refused(tmp_path, tensors, archive):
    path = tmp_path / "ViT-B-32.pt"
    if archive:
        write_archive(path, tensors)
    else:
        torch.save(tensors | {"input_resolution": torch.tensor(32)}, path)
    with pytest.raises(ConfigError, match="trained with QuickGELU") as caught:
        load(str(path), model="tiny")
    assert caught.value.hint == "Use model: tiny-quickgelu"


def test_other_checkpoints_are_left_to_open_clip(tmp_path, tensors):
    torch.save(tensors, tmp_path / "finetuned.pt")
    assert read_openai(tmp_path / "finetuned.pt") is None
    same(load(str(tmp_path / "finetuned.pt"), model="tiny").model, tensors)


def test_an_archive_of_another_size_or_origin(tmp_path, tensors):
    short = {name: tensor for name, tensor in tensors.items() if name != "visual.proj"}
    with pytest.raises(WeightsError, match=r"1 tensors missing \(visual\.proj\)"):
        load(write_archive(tmp_path / "short.pt", short))
    with pytest.raises(WeightsError, match="none of OpenAI's") as caught:
        load(write_archive(tmp_path / "other.pt", tensors, facts={}))
    assert "state_dict()" in caught.value.hint


def test_a_damaged_archive(tmp_path, tensors):
    path = tmp_path / "cut.pt"
    write_archive(tmp_path / "whole.pt", tensors)
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(path, "w") as cut:
        for name in whole.namelist():
            if not name.endswith("/data/3"):
                cut.writestr(name, whole.read(name))
    with pytest.raises(WeightsError, match="not a readable TorchScript archive"):
        load(str(path))
    path.write_bytes((tmp_path / "whole.pt").read_bytes()[:-5000])
    with pytest.raises(WeightsError, match=r"cut\.pt"):
        load(str(path))


def test_an_archive_runs_no_code(tmp_path, tiny_models):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps(Evil(), protocol=2))
        archive.writestr("evil/constants.pkl", b"")
    with pytest.raises(WeightsError, match=r"it names \w+\.open"):
        load(str(path))
    assert not (tmp_path / "ran").exists()
