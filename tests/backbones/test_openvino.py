"""The OpenVINO engine gives what torch gives."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.config import ExtractConfig, RuntimeConfig, SlowFastConfig
from pipeline_lib.errors import ConfigError
from tests.support.tiny_clip import untrained_clip

CPU = RuntimeConfig(device="cpu")


@pytest.fixture
def config(tmp_path):
    section = untrained_clip(tmp_path)
    return ExtractConfig(clip=section, precision="fp32", engine="openvino", batch_size=4)


@pytest.fixture
def frames():
    return list(np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), dtype=np.uint8))


def test_features_are_torchs(config, frames):
    pytest.importorskip("openvino")
    fast = load_backbone("clip", config, CPU)
    plain = load_clip(config.clip, Placement(batch_size=4))
    expected = plain.encode(frames)
    np.testing.assert_allclose(fast.encode(frames), expected, rtol=1e-3, atol=1e-4)
    assert fast.dim == plain.dim
    assert fast.weights_sha256 == plain.weights_sha256
    assert fast.identity != plain.identity
    assert fast.identity["version"] == plain.identity["version"]
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(fast.encode, [frames] * 8))
    for row in rows:
        np.testing.assert_array_equal(row, rows[0])


def test_bf16_is_said_and_stays_close(config, frames):
    pytest.importorskip("openvino")
    half = load_backbone("clip", replace(config, precision="bf16"), CPU)
    full = load_backbone("clip", config, CPU)
    assert (half.precision, half.identity["precision"]) == ("bf16", "bf16")
    a, b = half.encode(frames), full.encode(frames)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.999


def test_pictures_of_varying_size_are_refused():
    pytest.importorskip("openvino")
    config = ExtractConfig(
        slowfast=SlowFastConfig(weights="untrained", frame="full"), engine="openvino"
    )
    with pytest.raises(ConfigError, match="pictures of one size"):
        load_backbone("slowfast", config, CPU)


def test_where_it_is_not_installed_the_remedy_is_named(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        load_backbone("clip", config, CPU)
    assert "clipline[openvino]" in caught.value.hint
