import logging

import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.text_prompt import PromptLearner, PromptOptions, initial_context
from pipeline_lib.networks.text_towers import prompt_text_features, text_tower
from pipeline_lib.runtime.seeding import torch_stream
from tests.support.text_models import NAMES, small_model, small_tower, tokenizer

POSITIONS = ["end", "middle", "front"]


@pytest.fixture(scope="module")
def tower():
    return small_tower("ViT-B-32-quickgelu")


@pytest.fixture(scope="module")
def bidirectional():
    return small_tower("MobileCLIP-S1")


def build(tower, names=NAMES, **options):
    chosen = PromptOptions(**options)
    context = initial_context(tower, len(names), chosen, torch_stream(1, "test"))
    return PromptLearner(tower, names, context, chosen.class_token_position)


def prompts(learner):
    """The embeddings of each prompt from SOT to EOT: what its last token sees."""
    packing, rows = learner._packing, learner.embeddings()
    slots = rows.shape[1]
    return [
        rows[read // slots][packing.visible[read // slots, 0, read % slots]]
        for read in packing.read.tolist()
    ]


def by_hand(tower, name, context, position):
    """One prompt put together literally: embeddings [1, 77, d] and the index of EOT."""
    n = len(context)
    ids = tower.tokenize(["X " * n + name + "."])
    embedded = tower.embed(ids)[0]
    k = tokenizer()([name]).argmax().item() - 1
    words, rest = embedded[1 + n : 1 + n + k], embedded[1 + n + k :]
    h = n // 2
    middle = {
        "end": [context, words],
        "middle": [context[:h], words, context[h:]],
        "front": [words, context],
    }[position]
    return torch.cat([embedded[:1], *middle, rest])[None], tower.eot(ids)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(
    "options", [{}, {"n_ctx": 4, "csc": True}, {"n_ctx": 5}, {"ctx_init": "a video of a"}]
)
def test_features_equal_prompts_put_together_by_hand(tower, position, options):
    learner = build(tower, class_token_position=position, **options)
    for i, (name, feature) in enumerate(zip(NAMES, learner(), strict=True)):
        context = learner.ctx[i] if options.get("csc") else learner.ctx
        expected = tower.encode(*by_hand(tower, name, context.detach(), position))[0]
        torch.testing.assert_close(feature, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("position", POSITIONS)
def test_names_keep_their_length_and_eot_its_place(tower, position):
    learner = build(tower, n_ctx=4, class_token_position=position)
    # n + k + 2 with k = 1, 2, 4, 8, 1 tokens.
    assert learner.eot.tolist() == [7, 8, 10, 14, 7]
    end_of_text = tower.embed(torch.tensor([[49407]]))[0, 0]
    for prompt, eot in zip(prompts(learner), learner.eot.tolist(), strict=True):
        assert len(prompt) == eot + 1
        assert torch.equal(prompt[eot], end_of_text)


@pytest.mark.parametrize(
    ("position", "slots"),
    [("end", [1, 2, 3, 4, 5]), ("middle", [1, 2, 5, 6, 7]), ("front", [3, 4, 5, 6, 7])],
)
def test_where_the_context_stands(tower, position, slots):
    learner = build(tower, ["road_accident"], n_ctx=5, class_token_position=position)
    assert torch.equal(prompts(learner)[0][slots], learner.ctx)


@pytest.mark.parametrize(
    ("name", "k"), [("C++", 3), ("3 v 3!", 4), ("u.s.", 4), ("A/B", 3), ("what?", 2)]
)
def test_a_name_that_merges_with_the_period_stays_in_one_piece(tower, name, k):
    tail = tokenizer().encode(f"{name}.")
    separate = tail[-1] == 269  # "." of its own
    assert len(tail) - separate == k
    for position, first in [("front", 1), ("middle", 3)]:
        learner = build(tower, [name], n_ctx=4, class_token_position=position)
        words = tower.embed(torch.tensor([tail[:k]]))[0]
        assert torch.equal(prompts(learner)[0][first : first + k], words)
        assert learner.eot.item() == 1 + 4 + len(tail)


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        # SOT and 4 vectors once; names of 1, 2, 4, 8, 1 tokens, "." and EOT each.
        ({}, 5 + 16 + 5 * 2),
        ({"class_token_position": "middle"}, 3 + 16 + 5 * 4),
        ({"class_token_position": "front"}, 1 + 16 + 5 * 6),
        ({"csc": True}, 1 + 16 + 5 * 6),
    ],
)
def test_a_causal_tower_reads_the_common_beginning_once(tower, options, tokens):
    assert build(tower, n_ctx=4, **options).embeddings().shape == (1, tokens, 64)


def test_a_bidirectional_tower_reads_every_prompt_and_its_padding(bidirectional):
    assert build(bidirectional, n_ctx=4).embeddings().shape == (5, 77, 64)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("csc", [False, True])
def test_packed_prompts_give_the_gradients_of_single_ones(tower, position, csc):
    learner = build(tower, n_ctx=4, csc=csc, class_token_position=position)
    weights = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    (learner() * weights).sum().backward()
    context = learner.ctx.detach().clone().requires_grad_(True)
    for i, name in enumerate(NAMES):
        own = context[i] if csc else context
        (tower.encode(*by_hand(tower, name, own, position))[0] * weights[i]).sum().backward()
    torch.testing.assert_close(learner.ctx.grad, context.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("csc", [False, True])
def test_many_classes_take_several_rows(tower, csc):
    names = [f"{a} {b}" for a in "abcdefghijkl" for b in "mnopqrstuvwx"]
    learner = build(tower, names, n_ctx=16, csc=csc)
    assert len(learner.embeddings()) > 1
    for i in (0, 70, 143):
        own = learner.ctx[i : i + 1] if csc else learner.ctx
        alone = PromptLearner(tower, [names[i]], own)
        torch.testing.assert_close(alone()[0], learner()[i], rtol=0, atol=1e-5)


def test_many_whole_texts_are_read_in_parts(bidirectional):
    names = [f"{a} {b}" for a in "abcdefghij" for b in "mnopqrs"]
    learner = build(bidirectional, names, n_ctx=2)
    assert len(learner.embeddings()) == 70
    together = bidirectional.encode(learner.embeddings(), learner.eot)
    torch.testing.assert_close(learner(), together, rtol=0, atol=1e-5)
    weights = torch.randn(70, 32, generator=torch.Generator().manual_seed(0))
    (expected,) = torch.autograd.grad((together * weights).sum(), learner.ctx)
    (learner() * weights).sum().backward()
    torch.testing.assert_close(learner.ctx.grad, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1"])
def test_half_precision_is_close_and_its_features_and_gradients_are_fp32(name):
    model = small_model(name)
    full, half = (
        text_tower(model, tokenizer(), weights_sha256="", precision=precision)
        for precision in (torch.float32, torch.bfloat16)
    )
    exact, rounded = build(full, n_ctx=4), build(half, n_ctx=4)
    assert rounded().dtype == torch.float32
    assert F.cosine_similarity(exact(), rounded(), dim=-1).min() > 0.999
    for learner in (exact, rounded):
        F.normalize(learner(), dim=-1)[:, 0].sum().backward()
    assert rounded.ctx.grad.dtype == torch.float32
    together = F.cosine_similarity(exact.ctx.grad.flatten(), rounded.ctx.grad.flatten(), dim=0)
    assert together > 0.99


@pytest.mark.parametrize("name", ["ViT-B-32", "MobileCLIP-S1"])
def test_words_start_as_the_plain_prompt(name):
    tower = small_tower(name)
    features = F.normalize(build(tower, ctx_init="a_video of a")(), dim=-1)
    plain = prompt_text_features(tower, [f"a video of a {name}." for name in NAMES])
    torch.testing.assert_close(features, plain, rtol=0, atol=1e-5)


def test_tokens_count_not_words(tower):
    options = PromptOptions(ctx_init="a CCTV-video of a", n_ctx=16)
    context = initial_context(tower, 3, options, torch.Generator())
    ids = torch.tensor([tokenizer().encode("a CCTV-video of a")])
    assert context.shape == (6, 64)
    assert torch.equal(context, tower.embed(ids)[0])


def test_class_specific_words_start_alike(tower):
    options = PromptOptions(ctx_init="a video of a", csc=True)
    context = initial_context(tower, 3, options, torch.Generator())
    assert context.shape == (3, 4, 64)
    assert torch.equal(context[0], context[2])


def test_words_without_a_token_are_refused(tower):
    with pytest.raises(ConfigError, match=r"train\.ctx_init = ' ' holds no word"):
        initial_context(tower, 2, PromptOptions(ctx_init=" "), torch.Generator())


def test_words_that_are_too_many_are_told_with_their_parameter(tower):
    with pytest.raises(ConfigError, match=r"train\.ctx_init: Text 'a a .* more than the 75 tokens"):
        initial_context(tower, 2, PromptOptions(ctx_init="a " * 80), torch.Generator())
    with pytest.raises(ConfigError, match=r"train\.class_names: Text 'word .* more than the 75"):
        PromptLearner(tower, ["fire", "word " * 80], torch.zeros(2, 64))


def test_random_context_is_drawn_with_the_published_deviation(tower):
    def draw(csc, seed=0):
        options = PromptOptions(n_ctx=16, csc=csc)
        return initial_context(tower, 14, options, torch.Generator().manual_seed(seed))

    assert draw(False).shape == (16, 64)
    assert draw(True).shape == (14, 16, 64)
    assert draw(True).std().item() == pytest.approx(0.02, rel=0.05)
    assert torch.equal(draw(True), draw(True))
    assert not torch.equal(draw(True), draw(True, seed=1))


@pytest.mark.parametrize(("csc", "size"), [(False, 16 * 64), (True, 5 * 16 * 64)])
def test_the_context_is_the_only_parameter_and_the_only_saved_tensor(tower, csc, size):
    learner = build(tower, csc=csc)
    assert {name: p.numel() for name, p in learner.named_parameters()} == {"ctx": size}
    assert learner.ctx.dtype == torch.float32
    assert list(learner.state_dict()) == ["ctx"]


@pytest.mark.slow
@pytest.mark.parametrize(("csc", "size"), [(False, 8_192), (True, 114_688)])
def test_sizes_of_the_published_setting(csc, size):
    wide = small_tower("ViT-B-32", width=512, heads=8, layers=1)
    learner = build(wide, [f"class {i}" for i in range(14)], csc=csc)
    assert sum(p.numel() for p in learner.parameters()) == size


def test_training_changes_nothing_but_the_context():
    model = small_model("MobileCLIP-S1")
    tower = text_tower(model, tokenizer(), weights_sha256="")
    learner = build(tower, n_ctx=4).train()
    frozen = model.state_dict()
    before = {name: value.clone() for name, value in frozen.items()}
    start = learner.ctx.detach().clone()
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.normalize(learner(), dim=-1)[:, 0].sum().backward()
        optimizer.step()
    assert not torch.equal(learner.ctx, start)
    assert all(torch.equal(frozen[name], before[name]) for name in before)
    assert all(p.grad is None for p in model.parameters())
    assert not model.training


@pytest.mark.parametrize("which", ["tower", "bidirectional"])
def test_a_class_does_not_depend_on_the_others(which, request):
    tower = request.getfixturevalue(which)
    full = build(tower, n_ctx=4)
    features = full()
    for order in [[0], [4, 2], [3, 1, 0, 2, 4]]:
        some = PromptLearner(tower, [NAMES[i] for i in order], full.ctx)
        torch.testing.assert_close(some(), features[order], rtol=0, atol=1e-5)


def test_names_of_one_length_are_told_apart(bidirectional):
    names = ["cat", "dog", "run", "fall"]
    features = F.normalize(build(bidirectional, names, n_ctx=4, csc=True)(), dim=-1)
    assert torch.pdist(features).min() > 0.01


def test_a_prompt_may_fill_the_tower_but_not_more(tower):
    # SOT + n + k + "." + EOT = 77 with k = 2.
    assert build(tower, ["road accident"], n_ctx=72).eot.tolist() == [76]
    with pytest.raises(ConfigError, match=r"'road accident' has 78 tokens \(context 73, name 2"):
        build(tower, ["road accident"], n_ctx=73)
    with pytest.raises(ConfigError, match="has 79 tokens"):
        build(tower, ["normal"], n_ctx=75)


def test_equal_names_are_refused_unless_each_has_its_own_context(tower):
    with pytest.raises(ConfigError, match="'Road_accident' and 'road accident' are the same words"):
        build(tower, ["Road_accident", "normal", "road accident"])
    assert build(tower, ["normal", "normal"], csc=True)().shape == (2, 32)


def test_an_empty_name_is_refused(tower):
    with pytest.raises(ConfigError, match="empty name"):
        build(tower, ["normal", "_"])


def test_words_that_overrule_the_number_of_tokens_are_logged(tower, caplog):
    caplog.set_level(logging.INFO)
    initial_context(tower, 2, PromptOptions(n_ctx=16, ctx_init="a video of a"), torch.Generator())
    assert "ctx_init 'a video of a' has 4 tokens; n_ctx = 16 is not used" in caplog.text
    caplog.clear()
    initial_context(tower, 2, PromptOptions(n_ctx=4, ctx_init="a video of a"), torch.Generator())
    assert not caplog.text
