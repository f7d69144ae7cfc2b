"""Prompt learning on pre-extracted features as the usual scripts do it, without their mistakes.

A dataset item opens its video's ``.npy``; a loader stacks 32 of them; every batch sends the whole
77 tokens of every class through the text tower. Steps, learning rates and gradients are those of
the preset ``original``.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pipeline_lib.trainers.schedules import warmup_cosine

CLASSES = (
    "abuse", "arrest", "arson", "assault", "burglary", "explosion", "fighting", "normal",
    "road accidents", "robbery", "shooting", "shoplifting", "stealing", "vandalism",
)  # fmt: skip


class WindowFiles(Dataset[tuple[Tensor, int]]):
    """One row of one file an item."""

    def __init__(self, items: Sequence[tuple[Path, int, int]]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, row, label = self._items[index]
        features = np.load(path, mmap_mode="r")[row]
        return torch.from_numpy(np.array(features)), label


class UsualPrompts(nn.Module):
    """Shared context before the class name, through open_clip's own text transformer."""

    def __init__(self, model: Any, tokenizer: Any, names: Sequence[str], context: Tensor) -> None:
        super().__init__()
        ids = tokenizer([" ".join(["X"] * len(context)) + f" {name}." for name in names])
        embedded = model.token_embedding(ids).detach()
        self.ctx = nn.Parameter(context.clone())
        self._model = [model]  # in a list, so that its weights are not this module's
        self._prefix, self._suffix = embedded[:, :1], embedded[:, 1 + len(context) :]
        self._eot = ids.argmax(dim=-1)

    def forward(self) -> Tensor:
        """Normalised text features [C, D]."""
        model = self._model[0]
        classes = len(self._eot)
        context = self.ctx.expand(classes, -1, -1)
        x = torch.cat([self._prefix, context, self._suffix], dim=1) + model.positional_embedding
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
        x = x[torch.arange(classes), self._eot] @ model.text_projection
        return F.normalize(x, dim=-1)


class UsualLoop:
    """The loop; :meth:`steps` yields the seconds of each batch, its loading included."""

    def __init__(
        self, prompts: UsualPrompts, data: WindowFiles, scale: float, lr: float, seed: int
    ) -> None:
        self._prompts, self._scale, self._lr = prompts, scale, lr
        torch.manual_seed(seed)
        self._loader = DataLoader(data, batch_size=32, shuffle=True, drop_last=True)
        self._optimizer = torch.optim.SGD([prompts.ctx], lr=lr, momentum=0.9, weight_decay=5e-4)

    @property
    def steps_an_epoch(self) -> int:
        """Batches in one pass."""
        return len(self._loader)

    def steps(self, epoch: int, epochs: int) -> Iterator[float]:
        """Train one epoch (from 1), batch by batch."""
        rate = warmup_cosine(epoch, lr=self._lr, epochs=epochs, warmup_epochs=1, warmup_lr=1e-5)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        start = time.perf_counter()
        for features, labels in self._loader:
            image = F.normalize(features, dim=-1)
            loss = F.cross_entropy(self._scale * image @ self._prompts().T, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            yield time.perf_counter() - start
            start = time.perf_counter()
