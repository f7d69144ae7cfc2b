import socket
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.slowfast import load_slowfast
from pipeline_lib.config import SlowFastConfig
from pipeline_lib.errors import WeightsError
from pipeline_lib.networks.slowfast import SlowFast
from pipeline_lib.video.scaling import resize_image

UNTRAINED = SlowFastConfig(weights="untrained")


@pytest.fixture(scope="module")
def backbone():
    return load_slowfast(UNTRAINED, Placement(precision="bf16", batch_size=32))


@pytest.mark.parametrize(
    ("frame", "shape"), [("crop", (256, 256)), ("full", (256, 455)), ("squash", (256, 256))]
)
def test_framing(frame, shape):
    backbone = load_slowfast(replace(UNTRAINED, frame=frame), Placement())
    image = np.zeros((360, 640, 3), np.uint8)
    image[:, :100] = 255
    scaled = resize_image(image, backbone.resize)
    assert scaled.shape == (*shape, 3)
    # Only the crop loses the stripe at the border.
    assert scaled[128, 0, 0] == (0 if frame == "crop" else 255)


def test_clips_become_rows_whatever_their_batch(backbone):
    assert backbone.batch_size == 1
    assert backbone.frames_per_sample == 32
    clips = list(np.random.default_rng(0).integers(0, 256, (2, 32, 200, 200, 3), dtype=np.uint8))
    rows = backbone.encode(clips)
    assert rows.shape == (2, 2304)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(backbone.encode(clips[1:])[0], rows[1])
    with torch.inference_mode():
        pixels = torch.from_numpy(clips[0]).movedim(-1, 0)[None] / 255
        expected = backbone.network(((pixels - 0.45) / 0.225).bfloat16())[0].numpy()
    np.testing.assert_allclose(rows[0], expected, atol=2e-2 * np.abs(expected).max())


def test_identity_tells_framings_apart(backbone):
    assert backbone.identity["preprocess"]["crop"] == 256
    assert backbone.identity["precision"] == "bf16"
    other = load_slowfast(replace(UNTRAINED, frame="full"), Placement())
    assert other.identity["preprocess"] != backbone.identity["preprocess"]
    assert other.weights_sha256 == backbone.weights_sha256
    assert backbone.weights_sha256.startswith("untrained-")


def test_a_published_checkpoint_is_loaded_strictly(tmp_path):
    tensors = SlowFast().state_dict()
    path = tmp_path / "SLOWFAST_8x8_R50.pyth"
    torch.save({"model_state": tensors}, path)
    backbone = load_slowfast(SlowFastConfig(weights=str(path)), Placement())
    assert backbone.trained
    assert len(backbone.weights_sha256) == 64
    assert torch.equal(backbone.network.blocks[6].proj.weight, tensors["blocks.6.proj.weight"])

    del tensors["blocks.4.multipathway_blocks.0.res_blocks.2.branch2.conv_c.weight"]
    torch.save({"model_state": tensors}, path)
    with pytest.raises(WeightsError, match=r"1 tensors missing \(blocks\.4"):
        load_slowfast(SlowFastConfig(weights=str(path)), Placement())


def test_published_weights_without_network(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match="Cannot fetch the weights 'kinetics400'") as caught:
        load_slowfast(SlowFastConfig(), Placement())
    assert "SLOWFAST_8x8_R50.pyth" in caught.value.hint
    assert "extract.slowfast.weights" in caught.value.hint
