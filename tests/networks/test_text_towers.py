import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.prompt_packing import pack
from pipeline_lib.networks.text_towers import prompt_text_features, text_tower
from tests.support.text_models import open_clip, small_model, small_tower, tokenizer

TEXTS = ["a video of a cat.", "3 v 3!", "쓰러짐", "a"]
CAUSAL = ["ViT-B-32", "ViT-B-32-quickgelu", "MobileCLIP-B"]
BIDIRECTIONAL = ["MobileCLIP-S1", "MobileCLIP2-S0", "MobileCLIP2-S3"]


def embedded(tower, texts, length=None):
    ids = tower.tokenize(texts)
    return tower.encode(tower.embed(ids[:, :length]), tower.eot(ids))


@pytest.mark.parametrize("name", CAUSAL + BIDIRECTIONAL)
def test_embeddings_give_what_token_ids_give(name):
    model = small_model(name)
    tower = text_tower(model, tokenizer(), weights_sha256="")
    with torch.no_grad():
        expected = model.encode_text(tokenizer()(TEXTS))
    assert tower.causal == (name in CAUSAL)
    torch.testing.assert_close(embedded(tower, TEXTS), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1", "MobileCLIP-B", "MobileCLIP2-S0"])
def test_embeddings_give_what_token_ids_give_at_full_size(name):
    model = open_clip().create_model(name, pretrained=None).eval()
    tower = text_tower(model, tokenizer(), weights_sha256="")
    with torch.no_grad():
        expected = model.encode_text(tokenizer()(TEXTS))
    torch.testing.assert_close(embedded(tower, TEXTS), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "dim"),
    [
        ({"pool_type": "eos", "eos_id": 49407}, 32),
        ({"proj_bias": True}, 32),
        ({"proj_type": "none"}, 64),
    ],
)
def test_poolings_and_projections(options, dim):
    model = small_model("MobileCLIP-B", **options)
    tower = text_tower(model, tokenizer(), weights_sha256="")
    with torch.no_grad():
        expected = model.encode_text(tokenizer()(TEXTS))
    assert (tower.width, tower.dim) == (64, dim)
    torch.testing.assert_close(embedded(tower, TEXTS), expected, rtol=0, atol=1e-5)


def test_cutting_behind_the_last_eot_is_exact_where_attention_is_causal():
    tower = small_tower("ViT-B-32")
    length = int(tower.eot(tower.tokenize(TEXTS)).max()) + 1
    assert length < 15
    torch.testing.assert_close(
        embedded(tower, TEXTS, length), embedded(tower, TEXTS), rtol=0, atol=1e-5
    )


def test_padding_is_part_of_the_text_where_attention_is_bidirectional():
    tower = small_tower("MobileCLIP-S1")
    ids = tower.tokenize(TEXTS)
    eot = tower.eot(ids)
    length = int(eot.max()) + 1
    other = ids.clone()
    other[:, length:] = 5
    assert not torch.allclose(
        tower.encode(tower.embed(other), eot), tower.encode(tower.embed(ids), eot), atol=1e-2
    )
    with pytest.raises(ValueError, match=f"reads 77 tokens, padding included, not {length}"):
        tower.encode(tower.embed(ids[:, :length]), eot)
    with pytest.raises(ValueError, match="one text a row"):
        tower.encode_packed(tower.embed(ids[:1, :length]), pack([length], 0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1"])
def test_a_model_in_half_precision_is_read_in_fp32(name, dtype):
    half = small_model(name).to(dtype)
    rounded = copy.deepcopy(half).float()
    made, expected = (
        prompt_text_features(text_tower(model, tokenizer(), weights_sha256=""), TEXTS)
        for model in (half, rounded)
    )
    assert made.dtype == torch.float32
    assert torch.equal(made, expected)
    assert not made.requires_grad


@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1"])
def test_plain_prompts_are_normalised_text_features(name):
    model = small_model(name)
    tower = text_tower(model, tokenizer(), weights_sha256="")
    with torch.no_grad():
        expected = model.encode_text(tokenizer()(TEXTS), normalize=True)
    features = prompt_text_features(tower, TEXTS)
    assert not features.requires_grad
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)


def test_the_tower_is_frozen_and_in_eval_mode():
    model = small_model().train()
    text_tower(model, tokenizer(), weights_sha256="")
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_image_tower_is_not_held():
    model = small_model()
    visual = weakref.ref(model.visual)
    tower = text_tower(model, tokenizer(), weights_sha256="")
    del model
    gc.collect()
    assert visual() is None
    assert tower.width == 64


def test_logit_scale_is_the_factor_itself():
    model = small_model()
    model.logit_scale.data.fill_(4.605170186)
    assert text_tower(model, tokenizer(), weights_sha256="").logit_scale == pytest.approx(100)


def test_a_text_is_never_cut():
    tower = small_tower()
    fits = "a " * 75
    assert tower.eot(tower.tokenize([fits])).item() == 76
    with pytest.raises(ConfigError, match=r"'b a a .* more than the 75 tokens"):
        tower.tokenize([fits, "b " + fits])


@pytest.mark.parametrize(
    ("words", "expected"), [("road accident", False), ("쓰러짐", True), ("é", False)]
)
def test_pieces_of_characters_are_noticed(words, expected):
    assert small_tower().fragments(words) is expected


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("MobileCLIP-B", {"pool_type": "last"}, "pools by 'last'"),
        ("MobileCLIP-B", {"embed_cls": True}, "class token"),
    ],
)
def test_towers_that_cannot_be_fed_embeddings_are_refused(name, options, reason):
    with pytest.raises(ConfigError, match=f"CustomTextCLIP: .*{reason}"):
        small_tower(name, **options)


def test_sigmoid_models_are_refused():
    model = small_model()
    model.logit_bias = nn.Parameter(torch.zeros(()))
    with pytest.raises(ConfigError, match="CLIP: its sigmoid loss has a logit bias"):
        text_tower(model, tokenizer(), weights_sha256="")


def test_hugging_face_towers_are_refused():
    model = small_model("MobileCLIP-B")
    model.text = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match="Linear takes token ids only"):
        text_tower(model, tokenizer(), weights_sha256="")


def test_masks_made_from_token_ids_are_refused():
    model = small_model("MobileCLIP-S1")
    model.text.use_pad_mask = True
    with pytest.raises(ConfigError, match="mask depends on token ids"):
        text_tower(model, tokenizer(), weights_sha256="")
