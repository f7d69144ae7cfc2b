"""How the demo CLIP is trained."""

import numpy as np
import pytest
import torch

from pipeline_lib.config import DemoClipConfig
from pipeline_lib.demo.clip_model import MODEL_CFG, new_model
from pipeline_lib.demo.clip_training import contrastive_loss, encode_text, train_demo_clip
from pipeline_lib.demo.stills import KINDS, StillMaker
from pipeline_lib.runtime.torchvision_ops import import_open_clip

SHORT = DemoClipConfig(steps=2, backgrounds=2, warmup_steps=1)


def test_the_same_seed_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        train_demo_clip(tmp_path / name, SHORT)
    for file in ("open_clip_config.json", "open_clip_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_seed_decides_the_weights_and_leaves_other_draws_alone():
    torch.manual_seed(0)
    undisturbed = torch.rand(1)
    torch.manual_seed(0)
    first, again, other = new_model(1), new_model(1), new_model(2)
    assert torch.rand(1) == undisturbed
    assert torch.equal(first.text_projection, again.text_projection)
    assert not torch.equal(first.text_projection, other.text_projection)


def test_text_without_padding_is_open_clips_own_text():
    model = new_model(0).eval()
    ids = import_open_clip().SimpleTokenizer()(["a red circle", "an empty scene, seen for long."])
    used, compact = ids[:, :12].unique(return_inverse=True)
    rows = model.token_embedding.weight[used]
    with torch.no_grad():
        short = encode_text(model, rows, compact, ids.argmax(dim=1))
        torch.testing.assert_close(short, model.encode_text(ids), atol=1e-5, rtol=0)


def test_loss_of_embeddings_that_match_their_captions():
    perfect = torch.eye(3)
    log_scale = torch.tensor(np.log(100.0))
    assert contrastive_loss(perfect, perfect, log_scale, torch.eye(3)).item() < 1e-6
    wrong = contrastive_loss(perfect, perfect.roll(1, 0), log_scale, torch.eye(3))
    assert wrong.item() == pytest.approx(100, abs=0.1)


def test_stills_that_mean_the_same_share_the_match():
    same = torch.ones(2, 4)
    loss = contrastive_loss(same, same, torch.tensor(0.0), torch.full((2, 2), 0.5))
    assert loss.item() == pytest.approx(np.log(2))


def test_stills_show_what_they_are_asked_to():
    size = MODEL_CFG["vision_cfg"]["image_size"]
    maker = StillMaker.of(np.random.default_rng(0), size)
    red_square = next(kind for kind in KINDS if kind.words == "red square")
    redness = []
    for kind in (red_square, None):
        still = maker.still(kind)
        assert (still.shape, still.dtype) == ((size, size, 3), np.uint8)
        redness.append((still[..., 0].astype(int) - still[..., 1:].max(axis=2) > 60).sum())
    assert redness[0] > 100
    assert redness[1] == 0
