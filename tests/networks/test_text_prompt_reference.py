"""Prompts through every kind of tower, against the formulas worked out a second time."""

import pytest
import torch

from pipeline_lib.networks.text_prompt import PromptLearner, PromptOptions, initial_context
from pipeline_lib.networks.text_towers import text_tower
from pipeline_lib.runtime.seeding import torch_stream
from tests.support.reference_coop import reference_prompt, reference_text
from tests.support.text_models import NAMES, open_clip, small_model, tokenizer

POSITIONS = ["end", "middle", "front"]
OPTIONS = [{}, {"n_ctx": 4, "csc": True}, {"n_ctx": 5}, {"ctx_init": "a video of a"}]


def assert_reference(model, position, options, names=NAMES, *, quick=False):
    tower = text_tower(model, tokenizer(), weights_sha256="")
    chosen = PromptOptions(**options)
    context = initial_context(tower, len(names), chosen, torch_stream(1, "test"))
    learner = PromptLearner(tower, names, context, position)
    text = reference_text(model, quick=quick)
    contexts = context.double() if context.dim() == 3 else [context.double()] * len(names)
    expected = torch.stack(
        [
            reference_prompt(text, tokenizer().encode(name), own, position)
            for name, own in zip(names, contexts, strict=True)
        ]
    )
    assert (learner() - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("options", OPTIONS)
def test_openai_clip(position, options):
    # One head of width 64 and QuickGELU, as in OpenAI's networks.
    model = small_model("ViT-B-32-quickgelu", heads=1)
    assert_reference(model, position, options, quick=True)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("options", OPTIONS)
def test_a_bidirectional_tower(position, options):
    assert_reference(small_model("MobileCLIP-S1"), position, options)


@pytest.mark.parametrize(
    "name", ["ViT-B-32", "ViT-L-14", "MobileCLIP-B", "MobileCLIP2-S0", "MobileCLIP2-S3"]
)
def test_other_towers(name):
    assert_reference(small_model(name), "middle", {"n_ctx": 5, "csc": True})


@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1"])
def test_layers_that_are_scaled(name):
    model = small_model(name, ls_init_value=0.1)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("gamma"):
            parameter.data.uniform_(0.2, 1.5, generator=torch.Generator().manual_seed(3))
    assert_reference(model, "front", {"n_ctx": 3})


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("csc", [False, True])
@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1"])
@pytest.mark.parametrize(
    "names",
    [
        ["normal"],
        ["fall", "fall down", "fall down stairs", "down"],
        ["cat", "dog", "run", "walk"],
        ["a " * 60, "a " * 61, "b"],
    ],
    ids=["one class", "one begins another", "one length", "filled up"],
)
def test_names_of_all_kinds(name, names, csc, position):
    # 61 + 11 + 3 and one less than the most: the context is longer than most names.
    options = {"n_ctx": 12, "csc": csc}
    assert_reference(small_model(name), position, options, [each.strip() for each in names])
    full = {"n_ctx": 77 - 3 - max(len(tokenizer().encode(each)) for each in names), "csc": csc}
    assert_reference(small_model(name), position, full, [each.strip() for each in names])


@pytest.mark.parametrize("position", POSITIONS)
def test_classes_of_the_same_words_differ_by_their_context_alone(position):
    names = ["fall", "normal", "fall", "fall"]
    assert_reference(small_model(), position, {"n_ctx": 4, "csc": True}, names)


@pytest.mark.parametrize("csc", [False, True])
@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1"])
def test_a_thousand_classes(name, csc):
    model = small_model(name)
    names = [f"{a}{b} {c}" for a in "abcdefghij" for b in "klmnopqrst" for c in range(10)]
    assert_words(model, names, csc, "middle", some=slice(None, None, 37))


def assert_words(model, names, csc, position, some=slice(None)):
    """Context that starts from words is, wherever the name stands, a plain text."""
    tower = text_tower(model, tokenizer(), weights_sha256="")
    options = PromptOptions(ctx_init="a video of this", csc=csc)
    context = initial_context(tower, len(names), options, torch.Generator())
    text = {
        "end": "a video of this {}.",
        "middle": "a video {} of this.",
        "front": "{} a video of this.",
    }
    with torch.no_grad():
        made = PromptLearner(tower, names, context, position)()[some]
        expected = model.encode_text(tokenizer()([text[position].format(n) for n in names[some]]))
    assert (made - expected).abs().max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "ViT-B-32-quickgelu", "ViT-L-14", "MobileCLIP-B", "MobileCLIP-S1", "MobileCLIP2-S0",
        "MobileCLIP2-S3",
    ],
)  # fmt: skip
def test_words_are_a_plain_text_at_full_size(name):
    model = open_clip().create_model(name, pretrained=None).eval()
    for position in POSITIONS:
        assert_words(model, NAMES, position == "middle", position)
