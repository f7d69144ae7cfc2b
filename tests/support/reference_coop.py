"""CLIP's text network and CoOp's training from the formulas of their papers, in float64.

Nothing here uses the library: what is compared with it was worked out a second time. CLIP: Radford
et al., ICML 2021; CoOp: Zhou et al., IJCV 2022, section 3; its optimizer and schedule as
github.com/KaiyangZhou/Dassl.pytorch sets them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SOT, PERIOD, EOT = 49406, 269, 49407
LENGTH = 77


@dataclass(frozen=True)
class ReferenceText:
    """A text network over the weights of an open_clip model.

    Attributes:
        weights: Name to float64 tensor, without the prefix of the text half.
        heads: Of its attention.
        causal: Whether a token sees only itself and those before it.
        quick: Whether the activation is x * sigmoid(1.702 x), as OpenAI's weights want.
    """

    weights: Mapping[str, Tensor]
    heads: int
    causal: bool
    quick: bool

    @property
    def scale(self) -> Tensor:
        """The factor on cosines."""
        return self.weights["logit_scale"].exp()

    def feature(self, tokens: Tensor, end: int) -> Tensor:
        """What the token at ``end`` becomes of embeddings [77, d]: [D]."""
        w = self.weights
        x = tokens + w["positional_embedding"]
        for block in range(sum(name.endswith("ln_1.weight") for name in w)):
            x = self._block(x, f"transformer.resblocks.{block}.")
        return self._norm(x, "ln_final")[end] @ w["text_projection"]

    def _block(self, x: Tensor, name: str) -> Tensor:
        w = self.weights
        ones = torch.ones((), dtype=torch.float64)
        mixed = self._attention(self._norm(x, f"{name}ln_1"), f"{name}attn.")
        x = x + w.get(f"{name}ls_1.gamma", ones) * mixed
        hidden = self._linear(self._norm(x, f"{name}ln_2"), f"{name}mlp.c_fc.")
        if self.quick:
            active = hidden / (1 + (-1.702 * hidden).exp())
        else:
            active = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        return x + w.get(f"{name}ls_2.gamma", ones) * self._linear(active, f"{name}mlp.c_proj.")

    def _attention(self, x: Tensor, name: str) -> Tensor:
        w, length = self.weights, len(x)
        q, k, v = (x @ w[f"{name}in_proj_weight"].T + w[f"{name}in_proj_bias"]).chunk(3, dim=1)
        size = x.shape[1] // self.heads
        mixed = []
        for head in range(self.heads):
            own = slice(head * size, (head + 1) * size)
            scores = q[:, own] @ k[:, own].T / math.sqrt(size)
            if self.causal:
                later = torch.arange(length)[None, :] > torch.arange(length)[:, None]
                scores = scores.masked_fill(later, -math.inf)
            shares = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
            mixed.append(shares @ v[:, own])
        return self._linear(torch.cat(mixed, dim=1), f"{name}out_proj.")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.weights[f"{name}weight"].T + self.weights[f"{name}bias"]

    def _norm(self, x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        deviation = (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def reference_text(model: torch.nn.Module, *, quick: bool = False) -> ReferenceText:
    """The text network of an open_clip ``CLIP`` or ``CustomTextCLIP``."""
    text = getattr(model, "text", model)
    return ReferenceText(
        weights={
            name.removeprefix("text."): tensor.double()
            for name, tensor in model.state_dict().items()
            if not name.startswith("visual.")
        },
        heads=text.transformer.resblocks[0].attn.num_heads,
        causal=text.attn_mask is not None,
        quick=quick,
    )


def reference_prompt(
    text: ReferenceText, name: Sequence[int], context: Tensor, position: str
) -> Tensor:
    """The feature of SOT, context and name in the order of ``position``, ".", EOT and padding.

    Args:
        text: The network.
        name: Token ids of the class name.
        context: [n, d].
        position: ``end``, ``middle`` or ``front``.
    """
    table = text.weights["token_embedding.weight"]
    half = len(context) // 2
    words = table[list(name)]
    middle = {
        "end": [context, words],
        "middle": [context[:half], words, context[half:]],
        "front": [words, context],
    }[position]
    end = len(context) + len(name) + 2
    tokens = [table[[SOT]], *middle, table[[PERIOD, EOT]], table[[0] * (LENGTH - 1 - end)]]
    return text.feature(torch.cat(tokens), end)


@dataclass(frozen=True)
class ReferenceRun:
    """What a training ends with.

    Attributes:
        context: The last context.
        losses: Mean training loss of each epoch.
    """

    context: Tensor
    losses: tuple[float, ...]


def reference_training(
    text: ReferenceText,
    names: Sequence[Sequence[int]],
    context: Tensor,
    position: str,
    features: Tensor,
    labels: Tensor,
    order: Callable[[int], Tensor],
    *,
    epochs: int,
    batch: int,
    lr: float = 0.002,
    weight_decay: float = 5e-4,
) -> ReferenceRun:
    """CoOp's training: softmax over cosines, SGD, and a cosine behind one epoch of warm-up.

    Args:
        text: The network.
        names: Token ids of the C class names.
        context: Its start, [n, d], or [C, n, d] with a context for each class.
        position: Of the name.
        features: Window features, float64 [N, D], of any length.
        labels: [N].
        order: Epoch, from 1, to the order of all N windows.
        epochs: Number of epochs.
        batch: Windows in a step; what does not fill one is left out.
        lr: The largest rate.
        weight_decay: Of the context.
    """
    f = features / features.square().sum(dim=1, keepdim=True).sqrt()
    context = context.double().clone()
    velocity = torch.zeros_like(context)
    losses = []
    for epoch in range(1, epochs + 1):
        rate = 1e-5
        if epoch > 1:
            rate = lr / 2 * (1 + math.cos(math.pi * (epoch - 2) / epochs))
        of_batches = []
        for step in range(len(labels) // batch):
            rows = order(epoch)[step * batch : (step + 1) * batch]
            learned = context.clone().requires_grad_()
            per_class = learned if learned.dim() == 3 else [learned] * len(names)
            w = torch.stack(
                [
                    reference_prompt(text, name, own, position)
                    for name, own in zip(names, per_class, strict=True)
                ]
            )
            w = w / w.square().sum(dim=1, keepdim=True).sqrt()
            logits = text.scale * f[rows] @ w.T
            true = logits[torch.arange(batch), labels[rows]]
            loss = (logits.exp().sum(dim=1).log() - true).mean()
            (gradient,) = torch.autograd.grad(loss, learned)
            velocity = 0.9 * velocity + gradient + weight_decay * context
            context = context - rate * velocity
            of_batches.append(loss.item())
        losses.append(sum(of_batches) / len(of_batches))
    return ReferenceRun(context, tuple(losses))
