"""Training the demo CLIP from scratch on rendered stills and captions.

The loss is CLIP's (https://arxiv.org/abs/2103.00020, figure 3) with one change: several stills of a
batch may mean the same, and then all of them count as the match.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.config import DemoClipConfig, DemoVitConfig
from pipeline_lib.demo.captions import caption
from pipeline_lib.demo.clip_model import IMAGE_SIZE, PREPROCESS_CFG, new_model, save_model
from pipeline_lib.demo.stills import KINDS, StillMaker
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.runtime.torchvision_ops import import_open_clip

_BETAS = (0.9, 0.98)
# CLIP's bound on the scale of the logits.
_MAX_LOG_SCALE = math.log(100)


@dataclass(frozen=True)
class Captions:
    """The captions of a whole training run.

    Attributes:
        ids: int64 [steps, batch, length], tokens numbered by their place in ``used``.
        ends: int64 [steps, batch], where each caption's end-of-text token stands.
        used: int64 [n], the tokens that occur at all, ascending.
    """

    ids: Tensor
    ends: Tensor
    used: Tensor


def train_demo_clip(out: Path, config: DemoClipConfig, progress: Progress = SILENT) -> None:
    """Train the demo CLIP and write it into ``out``.

    Every batch holds each colour and shape once, beside stills without an object. Equal configs
    and thread counts give equal weights on one machine.

    Args:
        out: Gets ``open_clip_config.json`` and ``open_clip_model.safetensors``.
        config: Length and rates of the training.
        progress: Told of every step.
    """
    kinds = [*KINDS, *[None] * config.backgrounds]
    maker = StillMaker.of(numpy_stream(config.seed, "demo clip", "stills"), IMAGE_SIZE)
    captions = draw_captions(config.seed, config.steps, kinds)
    match = matches(kinds)
    model = new_model(config.seed).train()
    model.visual.to(memory_format=torch.channels_last)
    # Only the rows of the token table that captions use are trained; all 49,408 would cost more
    # time than the rest of the step.
    rows = torch.nn.Parameter(model.token_embedding.weight.detach()[captions.used])
    trained = {n: p for n, p in model.named_parameters() if n != "token_embedding.weight"}
    optimizer = new_optimizer(trained, config, rows)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, config))
    with progress.task("train the demo CLIP", config.steps) as advance:
        for step in range(config.steps):
            images = model.visual(pixels([maker.still(kind) for kind in kinds]))
            texts = encode_text(model, rows, captions.ids[step], captions.ends[step])
            loss = contrastive_loss(images, texts, model.logit_scale, match)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            model.logit_scale.data.clamp_(max=_MAX_LOG_SCALE)
            advance(note=f"loss {loss.item():.2f}")
    model.token_embedding.weight.data[captions.used] = rows.detach()
    save_model(out, model)


def pixels(images: list[np.ndarray]) -> Tensor:
    """Stills uint8 [size, size, 3] as the network wants them: float32 [N, 3, size, size]."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(PREPROCESS_CFG["mean"]).view(3, 1, 1)
    std = torch.tensor(PREPROCESS_CFG["std"]).view(3, 1, 1)
    return ((batch - mean) / std).contiguous(memory_format=torch.channels_last)


def contrastive_loss(images: Tensor, texts: Tensor, logit_scale: Tensor, match: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy with several matches a row.

    Args:
        images: Image embeddings [N, D].
        texts: Text embeddings [N, D].
        logit_scale: Logarithm of the factor on the cosines.
        match: [N, N], symmetric, rows sum to one: the share of every text in an image's match.
    """
    cosines = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
    logits = logit_scale.exp() * cosines
    to_texts = -(match * logits.log_softmax(dim=1)).sum(dim=1).mean()
    to_images = -(match * logits.log_softmax(dim=0)).sum(dim=0).mean()
    return (to_texts + to_images) / 2


def encode_text(model: Any, rows: Tensor, ids: Tensor, ends: Tensor) -> Tensor:
    """``model.encode_text`` without the padding, which a causal tower does not see.

    Args:
        model: An ``open_clip.model.CLIP``.
        rows: Rows of its token table [n, width].
        ids: int64 [N, length], tokens as numbers of ``rows``.
        ends: int64 [N], where each caption's end-of-text token stands.

    Returns:
        Text embeddings [N, D], not normalised.
    """
    length = ids.shape[1]
    hidden = F.embedding(ids, rows) + model.positional_embedding[:length]
    hidden = model.transformer(hidden, attn_mask=model.attn_mask[:length, :length])
    hidden = model.ln_final(hidden)
    embedded: Tensor = hidden[torch.arange(len(ids)), ends] @ model.text_projection
    return embedded


def draw_captions(seed: int, steps: int, kinds: list[Any]) -> Captions:
    """A caption for every still of a training; ``None`` among ``kinds`` is one without object."""
    rng = numpy_stream(seed, "demo clip", "captions")
    texts = [caption(rng, kind) for _ in range(steps) for kind in kinds]
    distinct = sorted(set(texts))
    number = {text: k for k, text in enumerate(distinct)}
    tokens = import_open_clip().SimpleTokenizer()(distinct)
    # The end-of-text token has the largest id, and everything behind it is padding.
    ends = tokens.argmax(dim=1)
    used, compact = tokens[:, : int(ends.max()) + 1].unique(return_inverse=True)
    order = torch.tensor([number[text] for text in texts]).view(steps, len(kinds))
    return Captions(compact[order], ends[order], used)


def matches(kinds: list[Any]) -> Tensor:
    """The share of every caption in the match of a still [N, N]; equal kinds match alike."""
    same = torch.tensor([[float(a == b) for b in kinds] for a in kinds])
    return same / same.sum(dim=1, keepdim=True)


def new_optimizer(
    trained: Mapping[str, Tensor], config: DemoClipConfig | DemoVitConfig, *undecayed: Tensor
) -> torch.optim.Optimizer:
    """AdamW on ``trained`` and ``undecayed``; decay only on matrices that are no positions."""

    def decays(name: str, parameter: Tensor) -> bool:
        return parameter.ndim > 1 and not name.endswith("positional_embedding")

    decayed = [p for n, p in trained.items() if decays(n, p)]
    plain = [p for n, p in trained.items() if not decays(n, p)]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": [*plain, *undecayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=_BETAS)


def rate(step: int, config: DemoClipConfig | DemoVitConfig) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    return warm * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))
