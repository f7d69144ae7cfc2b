import copy
import json

import pytest
import torch

from tests.support.tiny_clip import CONFIG
from tests.support.trainable_clips import KINDS, TEXTS, section, train, trainable, transformers_clip

LONGER = [*TEXTS, "a man in a long coat looks for the key of a door in both of his pockets"]


def with_text(folder, **options):
    """A tiny CLIP whose text tower has these options."""
    config = section("vit", folder)
    content = copy.deepcopy(CONFIG)
    content["model_cfg"]["text_cfg"] |= options
    content["model_cfg"]["custom_text"] = True
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return config


@pytest.mark.parametrize(
    ("kind", "mode"), [*((kind, "full") for kind in KINDS), ("vit", "lora"), ("vit", "head")]
)
def test_features_are_those_of_padded_captions(tmp_path, kind, mode):
    model = trainable(section(kind, tmp_path), mode=mode)
    train(model, steps=2)
    tokens = model.tokenizer(LONGER)
    short = model.without_padding(tokens)
    assert short.shape[1] < tokens.shape[1] / 2
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode_texts(short), model.encode_texts(tokens), rtol=0, atol=1e-6
        )


def test_a_model_of_transformers_ends_captions_in_an_id_of_its_own(tmp_path):
    model = trainable(transformers_clip(tmp_path))
    tokens = torch.zeros(3, model.clip.context_length, dtype=torch.int64)
    tokens[:, 0], tokens[:, 1:6] = 49406, torch.arange(15).view(3, 5)
    tokens[0, 6] = tokens[1, 4] = tokens[2, 5] = 49407
    short = model.without_padding(tokens)
    assert short.shape[1] == 7
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode_texts(short), model.encode_texts(tokens), rtol=0, atol=1e-6
        )


def test_gradients_are_those_of_padded_captions(tmp_path):
    found = []
    for cut in (False, True):
        model = trainable(section("vit", tmp_path))
        tokens = model.tokenizer(LONGER)
        features = model.encode_texts(model.without_padding(tokens) if cut else tokens)
        (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
        found.append({name: p.grad for name, p in model.trainable().items() if p.grad is not None})
    padded, short = found
    assert padded.keys() == short.keys()
    for name, gradient in padded.items():
        torch.testing.assert_close(short[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"no_causal_mask": True}, {"pool_type": "last"}, {"embed_cls": True, "pad_id": 0}],
    ids=str,
)
def test_towers_to_which_padding_belongs_get_all_of_it(tmp_path, options):
    config = with_text(tmp_path, **options)
    model = trainable(config)
    tokens = model.tokenizer(LONGER)
    assert model.without_padding(tokens) is tokens


def test_a_caption_that_fills_the_tower_is_not_cut(tmp_path):
    model = trainable(section("vit", tmp_path))
    tokens = model.tokenizer(["door " * 100])
    assert model.without_padding(tokens).shape == tokens.shape
