"""A text tower of a few words, so that tests need no CLIP."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.prompt_packing import Packing
from pipeline_lib.runtime.seeding import torch_stream

_PAD, _START, _PERIOD, _END = 0, 1, 2, 3


class WordTower:
    """Embeds words at random and reads the mean of a text; a ``TextTower``."""

    width = 32
    dim = 32
    context_length = 24
    causal = False
    logit_scale = 50.0
    device = torch.device("cpu")

    def __init__(self, words: Sequence[str], weights_sha256: str = "a" * 64) -> None:
        self.weights_sha256 = weights_sha256
        self._ids = {word: index + 4 for index, word in enumerate(sorted(set(words)))}
        self._table = torch.randn(4 + len(self._ids), self.width, generator=torch_stream("words"))

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        rows = torch.full((len(texts), self.context_length), _PAD)
        for row, text in zip(rows, texts, strict=True):
            words = text.replace(".", " . ").split()
            ids = [_PERIOD if word == "." else self._ids[word] for word in words]
            if len(ids) + 2 > self.context_length:
                raise ConfigError(f"Text {text!r} is too long.")
            row[: len(ids) + 2] = torch.tensor([_START, *ids, _END])
        return rows

    def eot(self, ids: Tensor) -> Tensor:
        return (ids == _END).int().argmax(dim=-1)

    def fragments(self, words: str) -> bool:
        return False

    def vocabulary(self) -> list[str]:
        return ["", "<start>", ".", "<end>", *sorted(self._ids, key=self._ids.__getitem__)]

    def embed(self, ids: Tensor) -> Tensor:
        return self._table[ids]

    def encode(self, embeddings: Tensor, eot: Tensor) -> Tensor:
        read = torch.arange(embeddings.shape[1]) <= eot[:, None]
        return (embeddings * read[..., None]).sum(dim=1) / read.sum(dim=1, keepdim=True)

    def encode_packed(self, embeddings: Tensor, packing: Packing) -> Tensor:
        raise NotImplementedError("only causal towers pack")
