"""Learned context in front of, inside or behind class names (CoOp, Zhou et al., IJCV 2022).

A prompt is ``SOT, n context vectors, name, ".", EOT``. Only the context vectors are trained; all
other embeddings are looked up once, when the learner is built.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.prompt_packing import Packing, pack
from pipeline_lib.networks.text_towers import TextTower

logger = logging.getLogger(__name__)

Position = Literal["end", "middle", "front"]

CONTEXT_STD = 0.02
_TEXTS_AT_ONCE = 64
_CONTEXT = -1  # stands for a context vector in a row of token ids


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """What a prompt looks like.

    Attributes:
        n_ctx: Context vectors; with ``ctx_init`` the number of its tokens counts instead.
        ctx_init: Words the context starts from; ``None`` or empty for random vectors.
        csc: Every class has a context of its own.
        class_token_position: Where the name stands: behind the context, after its first half, or
            before it.
    """

    n_ctx: int = 16
    ctx_init: str | None = None
    csc: bool = False
    class_token_position: Position = "end"


def initial_context(
    tower: TextTower, classes: int, options: PromptOptions, generator: torch.Generator
) -> Tensor:
    """The context before training, fp32 [n, d], or [classes, n, d] with ``options.csc``.

    With ``options.ctx_init`` n is the number of *tokens* of these words, whatever
    ``options.n_ctx`` says (and the log tells): "a CCTV-video of a" is four words but six tokens.

    Args:
        tower: The text tower whose embeddings are imitated.
        classes: Number of classes.
        options: ``n_ctx``, ``ctx_init`` and ``csc`` are used.
        generator: Source of random vectors, on the CPU; unused with ``ctx_init``.

    Raises:
        ConfigError: ``ctx_init`` has no token or too many.
    """
    if not options.ctx_init:
        contexts = (classes,) if options.csc else ()
        return CONTEXT_STD * torch.randn(
            (*contexts, options.n_ctx, tower.width), generator=generator
        )
    ids = _tokens(tower, [options.ctx_init.replace("_", " ")], "train.ctx_init")
    words = ids[:, 1 : int(tower.eot(ids))]
    if not words.numel():
        raise ConfigError(
            f"train.ctx_init = {options.ctx_init!r} holds no word.",
            hint='Give words such as "a video of a", or leave it empty for random vectors.',
        )
    if words.shape[1] != options.n_ctx:
        logger.info(
            "ctx_init %r has %d tokens; n_ctx = %d is not used",
            options.ctx_init,
            words.shape[1],
            options.n_ctx,
        )
    context = tower.embed(words)[0].cpu()
    return context.expand(classes, -1, -1).clone() if options.csc else context.clone()


class PromptLearner(nn.Module):
    """The prompts of C classes around a trainable context.

    ``ctx`` is the only parameter and the only entry of ``state_dict``: everything else follows
    from the names, is made anew, and lies where the tower is.

    Args:
        tower: The frozen text tower; no part of this module.
        names: C class names as the prompt words them; underscores become spaces.
        context: First value of ``ctx``, [n, d] shared or [C, n, d] class-specific.
        position: Where the name stands.

    Attributes:
        ctx: The context, fp32.
        eot: Index of EOT in each prompt, int64 [C]; the same in every position.

    Raises:
        ConfigError: A prompt is longer than the tower can read, a name is empty, or two names
            are the same words, so that a shared context can never tell them apart.
    """

    def __init__(
        self, tower: TextTower, names: Sequence[str], context: Tensor, position: Position = "end"
    ) -> None:
        super().__init__()
        self._tower = tower
        self.ctx = nn.Parameter(context.detach().to(tower.device, torch.float32, copy=True))
        rows = _token_rows(tower, names, self.ctx.shape[-2], position)
        if self.ctx.dim() == 2:
            _require_different(rows, names)
        self.eot = torch.tensor([len(row) - 1 for row in rows], device=tower.device)
        self._packing: Packing | None = None
        if tower.causal:
            common = _common_beginning(rows, own_contexts=self.ctx.dim() == 3)
            packing = pack([len(row) for row in rows], common)
            self._packing = packing.to(tower.device)
            text_of, place = packing.text, packing.position
        else:
            # Padding is part of the text to a tower that sees it, so each has a whole row.
            shape = (len(rows), tower.context_length)
            text_of = torch.arange(shape[0])[:, None].expand(shape)
            place = torch.arange(shape[1]).expand(shape)
        self._lay_out(rows, text_of, place)

    def _lay_out(self, rows: list[list[int]], text_of: Tensor, place: Tensor) -> None:
        """Look up what is fixed, and note which slots the context fills with which vectors."""
        padding = int(self._tower.tokenize([""])[0, -1])
        longest = max(int(place.max()) + 1, *map(len, rows))
        tokens = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
        before = (tokens == _CONTEXT).cumsum(dim=1) - 1  # the how-manieth vector of its context
        ids, vector = tokens[text_of, place], before[text_of, place]
        is_context = ids == _CONTEXT
        if self.ctx.dim() == 3:
            vector = vector + text_of * self.ctx.shape[1]
        device = self._tower.device
        self._fixed = self._tower.embed(ids.masked_fill(is_context, padding))
        self._slots = is_context.flatten().nonzero()[:, 0].to(device)
        self._vectors = vector[is_context].to(device)

    def embeddings(self) -> Tensor:
        """The prompts as token embeddings without positions, fp32 [P, l, d].

        A causal tower's share rows (:mod:`pipeline_lib.networks.prompt_packing`); otherwise P is C
        and l the tower's ``context_length``.
        """
        context = self.ctx.flatten(0, -2)[self._vectors]
        fixed = self._fixed.flatten(0, 1)
        return fixed.index_copy(0, self._slots, context).view(self._fixed.shape)

    def forward(self) -> Tensor:
        """Text features of the C prompts, fp32 [C, D], not normalised."""
        embeddings = self.embeddings()
        if self._packing is not None:
            return self._tower.encode_packed(embeddings, self._packing)
        if len(embeddings) <= _TEXTS_AT_ONCE:
            return self._tower.encode(embeddings, self.eot)
        # What the backward pass needs of 1000 whole texts would fill 26 GB; so it is made again.
        parts = [
            checkpoint(self._tower.encode, some, eot, use_reentrant=False)
            for some, eot in zip(
                embeddings.split(_TEXTS_AT_ONCE), self.eot.split(_TEXTS_AT_ONCE), strict=True
            )
        ]
        return torch.cat([torch.as_tensor(part) for part in parts])


def _common_beginning(rows: list[list[int]], *, own_contexts: bool) -> int:
    """Leading tokens in which all prompts agree; always less than a whole prompt."""
    shortest = min(len(row) for row in rows)
    for place in range(shortest - 1):
        tokens = {row[place] for row in rows}
        if len(tokens) > 1 or (own_contexts and _CONTEXT in tokens):
            return place
    return shortest - 1


def _token_rows(
    tower: TextTower, names: Sequence[str], n_ctx: int, position: Position
) -> list[list[int]]:
    """Token ids of each prompt from SOT to EOT, with ``_CONTEXT`` where the context stands."""
    texts = [name.replace("_", " ").strip() for name in names]
    if "" in texts:
        raise ConfigError("A class has an empty name; its prompt would hold no word.")
    ids = _tokens(tower, [f"{text}." for text in texts], "train.class_names")
    period = tower.tokenize(["."])[0, 1]
    before = {"end": n_ctx, "middle": n_ctx // 2, "front": 0}[position]
    rows = []
    for name, row, end in zip(names, ids, tower.eot(ids).tolist(), strict=True):
        # A name that ends in punctuation merges with the period into one token ("C++." ends in
        # "+."), so its length is known only here; the merged token then goes with the name.
        close = end - 1 if row[end - 1] == period else end
        start, words, rest = row[0].item(), row[1:close].tolist(), row[close : end + 1].tolist()
        tokens = [start, *[_CONTEXT] * before, *words, *[_CONTEXT] * (n_ctx - before), *rest]
        if len(tokens) > tower.context_length:
            raise ConfigError(
                f"The prompt of class {name!r} has {len(tokens)} tokens (context {n_ctx}, name "
                f"{len(words)}, and start, period and end); the text tower reads "
                f"{tower.context_length}.",
                hint="Lower train.n_ctx, shorten train.ctx_init, or name the class in fewer words "
                "in train.class_names.",
            )
        rows.append(tokens)
    return rows


def _tokens(tower: TextTower, texts: Sequence[str], parameter: str) -> Tensor:
    """The ids of ``texts``; a text that is too long is told with the parameter that words it."""
    try:
        return tower.tokenize(texts)
    except ConfigError as error:
        raise ConfigError(f"{parameter}: {error.message}", hint=error.hint) from None


def _require_different(rows: list[list[int]], names: Sequence[str]) -> None:
    first: dict[tuple[int, ...], str] = {}
    for row, name in zip(rows, names, strict=True):
        if tuple(row) in first:
            raise ConfigError(
                f"Classes {first[tuple(row)]!r} and {name!r} are the same words to the text "
                "tower, so a shared context can never tell them apart.",
                hint="Give one of them other words in train.class_names, or set train.csc: true.",
            )
        first[tuple(row)] = name
