"""Frozen text networks as prompt learning sees them: token ids to embeddings, embeddings to text.

A learned context has no token ids, so the two halves of a text network are used apart:
:meth:`TextTower.embed` looks tokens up, and :meth:`TextTower.encode` runs everything behind the
look-up. A network of another construction needs a class with the members of :class:`TextTower`
and a branch in :func:`text_tower`.
"""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.frozen_blocks import FrozenBlocks
from pipeline_lib.networks.mobileclip import MobileClip
from pipeline_lib.networks.prompt_packing import Packing


class Tokenizer(Protocol):
    """Texts to token ids, as open_clip's tokenizers do it."""

    def __call__(self, texts: list[str], context_length: int) -> Tensor:
        """Ids int64 [N, context_length]; longer texts are cut and still end in the EOT id."""


class TextTower(Protocol):
    """A frozen text network in two halves. It never leaves eval mode and needs no gradient.

    Attributes:
        width: Size d of a token embedding.
        dim: Size D of a text feature, that of the image features it is compared with.
        context_length: Most tokens of a text, SOT and EOT included.
        causal: No token sees a later one, so whatever follows the last EOT may be cut off, and
            texts may be packed. In a bidirectional tower the padding belongs to the text.
        logit_scale: Factor on cosines that makes them logits (100 in most published CLIPs).
        weights_sha256: Hash of the weights, compared with that of the image features.
        device: Where the network is.
    """

    width: int
    dim: int
    context_length: int
    causal: bool
    logit_scale: float
    weights_sha256: str
    device: torch.device

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Ids int64 [N, context_length] on the CPU: SOT, the text, EOT, padding.

        Raises:
            ConfigError: A text is longer than ``context_length``; it is never cut.
        """

    def eot(self, ids: Tensor) -> Tensor:
        """Where the feature of each text is read, int64 [N], for ids [N, L]."""

    def fragments(self, words: str) -> bool:
        """Whether a token of ``words`` is a piece of a character, which no text tower knows."""

    def vocabulary(self) -> list[str]:
        """What each token id stands for; pieces of characters as ``\ufffd``."""

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings without positions, fp32 [N, L, d]."""

    def encode(self, embeddings: Tensor, eot: Tensor) -> Tensor:
        """Text features, fp32 [N, D], not normalised.

        Args:
            embeddings: [N, l, d] without positions; l is ``context_length``, or less (but past
                every EOT) where the tower is causal.
            eot: int64 [N], as :meth:`eot` returns it.

        Raises:
            ValueError: A bidirectional tower is given less than ``context_length``.
        """

    def encode_packed(self, embeddings: Tensor, packing: Packing) -> Tensor:
        """The same for texts that share rows, fp32 [N, D]; causal towers only.

        Args:
            embeddings: [P, l, d] without positions, laid out by ``packing``.
            packing: On the tower's device.

        Raises:
            ValueError: The tower is bidirectional.
        """


class _ClipTexts:
    """What towers do with texts before the network: CLIP's way, whatever the network."""

    context_length: int
    causal: bool
    _tokenizer: Tokenizer
    # The id a text ends in; None where it is the largest of all ids.
    _eos_id: int | None = None

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """See :meth:`TextTower.tokenize`."""
        ids = self._tokenizer(list(texts), context_length=self.context_length + 1)
        for text, end in zip(texts, self.eot(ids).tolist(), strict=True):
            if end >= self.context_length:
                raise ConfigError(
                    f"Text {text!r} has more than the {self.context_length - 2} tokens that the "
                    "text tower can read.",
                    hint="Shorten it; a text is never cut silently.",
                )
        return ids[:, : self.context_length]

    def eot(self, ids: Tensor) -> Tensor:
        """See :meth:`TextTower.eot`."""
        if self._eos_id is None:
            return ids.argmax(dim=-1)
        return (ids == self._eos_id).int().argmax(dim=-1)

    def fragments(self, words: str) -> bool:
        """See :meth:`TextTower.fragments`; only CLIP's own tokenizer falls back to bytes."""
        decode = getattr(self._tokenizer, "decode", None)
        if decode is None:
            return False
        ids = self.tokenize([words])
        return any("\ufffd" in decode([i]) for i in ids[0, 1 : int(self.eot(ids))].tolist())

    def vocabulary(self) -> list[str]:
        """See :meth:`TextTower.vocabulary`."""
        tokenizer: Any = self._tokenizer
        if hasattr(tokenizer, "tokenizer"):  # open_clip's wrapper of a transformers tokenizer
            inner = tokenizer.tokenizer
            return list(inner.convert_ids_to_tokens(range(len(inner))))
        return [tokenizer.decode([i]).strip() for i in range(tokenizer.vocab_size)]

    def _require_whole(self, length: int) -> None:
        if not self.causal and length != self.context_length:
            raise ValueError(
                f"a bidirectional tower reads {self.context_length} tokens, padding included, "
                f"not {length}"
            )


class OpenClipTextTower(_ClipTexts):
    """The text tower of an open_clip ``CLIP`` or ``CustomTextCLIP``; see :class:`TextTower`.

    The image tower is not held, so it can be freed.

    Args:
        model: The whole model; it is frozen and put into eval mode, its text half into fp32.
        tokenizer: The model's tokenizer.
        weights_sha256: Hash of the weights.
        precision: Of the matrix products.

    Raises:
        ConfigError: The text half cannot be fed embeddings; the message says why.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        weights_sha256: str,
        precision: torch.dtype = torch.float32,
    ) -> None:
        # CLIP keeps the text tower's parts as its own attributes, CustomTextCLIP under `.text`.
        tower: Any = getattr(model, "text", model)
        # The two classes name their pooling differently too.
        pool_type = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
        eos_id = getattr(tower, "eos_id", getattr(tower, "text_eos_id", None))
        if reason := _obstacle(model, tower, pool_type):
            raise ConfigError(
                f"CoOp cannot use the text tower of {type(model).__name__}: {reason}.",
                hint="Use a CLIP model of open_clip such as ViT-B-32-quickgelu or MobileCLIP-S1.",
            )
        # Eval mode is more than no gradient: batch norms would go on moving their statistics.
        model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._eos_id = eos_id if pool_type == "eos" else None
        self._embedding: nn.Embedding = tower.token_embedding.float()
        self._blocks = FrozenBlocks(tower.transformer.float().resblocks, precision)
        self._norm: nn.Module = tower.ln_final.float()
        self._positions: Tensor = tower.positional_embedding.float()
        self._projection: nn.Linear | Tensor | None = tower.text_projection
        if self._projection is not None:
            self._projection = self._projection.float()
        self.width = self._embedding.embedding_dim
        self.dim = _projected_size(self._projection, self.width)
        self.context_length = len(self._positions)
        self.causal = tower.attn_mask is not None
        self.logit_scale = float(torch.as_tensor(model.logit_scale).detach().float().exp())
        self.weights_sha256 = weights_sha256
        self.device = self._positions.device

    def embed(self, ids: Tensor) -> Tensor:
        """See :meth:`TextTower.embed`."""
        with torch.no_grad():
            embeddings: Tensor = self._embedding(ids.to(self.device))
        return embeddings.float()

    def encode(self, embeddings: Tensor, eot: Tensor) -> Tensor:
        """See :meth:`TextTower.encode`."""
        texts, length, _ = embeddings.shape
        self._require_whole(length)
        earlier = torch.ones(length, length, dtype=torch.bool, device=self.device).tril()
        read = torch.arange(texts, device=self.device) * length + eot.to(self.device)
        x = embeddings + self._positions[:length]
        return self._read(self._blocks(x, earlier if self.causal else None), read)

    def encode_packed(self, embeddings: Tensor, packing: Packing) -> Tensor:
        """See :meth:`TextTower.encode_packed`."""
        if not self.causal:
            raise ValueError("a bidirectional tower takes one text a row; see `causal`")
        x = embeddings + self._positions[packing.position]
        return self._read(self._blocks(x, packing.visible), packing.read)

    def _read(self, x: Tensor, slots: Tensor) -> Tensor:
        """Features at ``slots``, int64 [N], counted through all tokens of ``x`` [P, l, d]."""
        # The norm works on each token by itself, so only the token that is read needs it.
        pooled = self._norm(x.flatten(0, 1)[slots])
        if self._projection is None:
            return torch.as_tensor(pooled)
        if isinstance(self._projection, nn.Linear):
            return torch.as_tensor(self._projection(pooled))
        return torch.as_tensor(pooled @ self._projection)


class MobileClipTextTower(_ClipTexts):
    """The text tower of a MobileCLIP-S0; see :class:`TextTower`.

    The image tower is not held, so it can be freed.

    Args:
        model: The whole model; it is frozen and put into eval mode, its text half into fp32.
        tokenizer: The model's tokenizer.
        weights_sha256: Hash of the weights.
        precision: Of the matrix products and convolutions.
    """

    causal = False

    def __init__(
        self,
        model: MobileClip,
        tokenizer: Tokenizer,
        weights_sha256: str,
        precision: torch.dtype = torch.float32,
    ) -> None:
        model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._precision = precision
        self._encoder = model.text_encoder.float()
        self.width = self._encoder.shape.width
        self.dim = self._encoder.shape.dim
        self.context_length = self._encoder.shape.context_length
        self.logit_scale = float(model.logit_scale.exp())
        self.weights_sha256 = weights_sha256
        self.device = model.logit_scale.device

    def embed(self, ids: Tensor) -> Tensor:
        """See :meth:`TextTower.embed`."""
        return self._encoder.embed(ids.to(self.device))

    def encode(self, embeddings: Tensor, eot: Tensor) -> Tensor:
        """See :meth:`TextTower.encode`."""
        self._require_whole(embeddings.shape[1])
        half = self._precision != torch.float32
        with torch.autocast(self.device.type, self._precision, enabled=half):
            return self._encoder.encode(embeddings, eot).float()

    def encode_packed(self, embeddings: Tensor, packing: Packing) -> Tensor:
        """Its tokens see later ones, so texts cannot share a row."""
        raise ValueError("a bidirectional tower takes one text a row; see `causal`")


def text_tower(
    model: nn.Module,
    tokenizer: Tokenizer,
    *,
    weights_sha256: str,
    precision: torch.dtype = torch.float32,
) -> TextTower:
    """The text half of ``model``, frozen.

    Args:
        model: A loaded model with both towers.
        tokenizer: Its tokenizer.
        weights_sha256: Hash of its weights.
        precision: Of the matrix products; norms, softmax and features are fp32 in any case.

    Raises:
        ConfigError: The model's text half cannot be fed embeddings.
    """
    kind = MobileClipTextTower if isinstance(model, MobileClip) else OpenClipTextTower
    return kind(cast(Any, model), tokenizer, weights_sha256, precision)


def prompt_text_features(tower: TextTower, prompts: Sequence[str]) -> Tensor:
    """Normalised features of plain texts, fp32 [C, D]: the zero-shot classifier.

    Raises:
        ConfigError: A prompt is longer than the tower can read.
    """
    ids = tower.tokenize(prompts)
    eot = tower.eot(ids)
    length = int(eot.max()) + 1 if tower.causal else tower.context_length
    with torch.no_grad():
        features = tower.encode(tower.embed(ids[:, :length]), eot.to(tower.device))
    return F.normalize(features, dim=-1)


def _obstacle(model: Any, tower: Any, pool_type: str | None) -> str | None:
    """Why the tower cannot be fed embeddings, or ``None``."""
    if getattr(model, "logit_bias", None) is not None:
        return "its sigmoid loss has a logit bias (SigLIP), which a softmax over classes drops"
    if not hasattr(tower, "token_embedding") or not hasattr(tower, "transformer"):
        return f"{type(tower).__name__} takes token ids only, not embeddings"
    if getattr(tower, "cls_emb", None) is not None:
        return "it appends a class token (CoCa) instead of reading at the end of the text"
    if getattr(tower, "use_pad_mask", False):
        return "its attention mask depends on token ids, which a learned context does not have"
    if pool_type not in ("argmax", "eos"):
        return f"it pools by {pool_type!r}; only 'argmax' and 'eos' read at the end of the text"
    for block in tower.transformer.resblocks:
        if not isinstance(getattr(block, "attn", None), nn.MultiheadAttention):
            return f"its {type(block).__name__} has an attention of another kind than CLIP's"
    return None


def _projected_size(projection: nn.Linear | Tensor | None, width: int) -> int:
    if projection is None:
        return width
    return projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
