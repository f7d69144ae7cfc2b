"""Intra-frame spatial prompts: changes to the patch tokens of a video where it is worth a look.

After STOP, https://arxiv.org/abs/2503.15973, which prompts pixels through 3-D convolutions that
cost more than the image tower itself. Here the prompt is made of tokens: a hundredth of the cost,
and any patch size.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Added to what a saliency is divided by, so that a still video's rounding is not blown up.
_EPS = 1e-4


class SpatialPrompt(nn.Module):
    """Adds a gated prompt to the most salient patches of each frame.

    The gate starts at 0, where tokens pass unchanged, bit for bit. The branch behind it starts
    with outputs about as large as the tokens, so that the gate has a gradient from the first step
    on; and it has one gate a channel, all of which an optimizer opens at its full rate.

    Args:
        width: Size d of a token.
        hidden: Channels of the convolution.
        share: Share of a frame's patches that get the prompt, at least one.
    """

    def __init__(self, width: int, hidden: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.down = nn.Linear(width, hidden)
        # Over time, height and width, which makes it the part that sees motion.
        self.mix = nn.Conv3d(hidden, hidden, 3, padding=1, groups=hidden)
        self.up = nn.Linear(hidden, width)
        self.saliency = nn.Parameter(torch.ones(2))
        self.gate = nn.Parameter(torch.zeros(width))

    def reset_parameters(self, stream: torch.Generator) -> None:
        """Start anew, with the random numbers of ``stream``."""
        weights = (self.down.weight, self.mix.weight, self.up.weight)
        for weight in weights:
            nn.init.normal_(weight, std=weight[0].numel() ** -0.5, generator=stream)
        for zero in (self.down.bias, self.mix.bias, self.up.bias, self.gate):
            if zero is not None:
                nn.init.zeros_(zero)
        nn.init.ones_(self.saliency)

    def forward(self, x: Tensor) -> Tensor:
        """The tokens of whole videos, with prompts.

        Args:
            x: [B, N, 1 + P, d]: of each frame its class token and its patches, P a square number.

        Returns:
            The same shape. A video's tokens depend on no other video.
        """
        class_token, patches = x[:, :, :1], x[:, :, 1:]
        side = math.isqrt(patches.shape[2])
        hidden = self.down(patches).unflatten(2, (side, side)).movedim(-1, 1)
        mixed = F.gelu(self.mix(hidden)).movedim(1, -1).flatten(2, 3)
        prompt = self.gate * self._mask(class_token, patches) * self.up(mixed)
        return torch.cat([class_token, patches + prompt], dim=2)

    def _mask(self, class_token: Tensor, patches: Tensor) -> Tensor:
        """Ones at the most salient patches of each frame, fp32 [B, N, P, 1].

        A hard choice forward; backward a soft one, by which the weights of the two kinds of
        saliency learn.
        """
        with torch.autocast(patches.device.type, enabled=False):
            saliency = _kinds_of_saliency(class_token, patches) @ self.saliency.float()
            count = max(1, round(self.share * saliency.shape[-1]))
            best, where = saliency.topk(count, dim=-1)
            hard = torch.zeros_like(saliency).scatter_(-1, where, 1.0)
            soft = torch.sigmoid(saliency - best[..., -1:].detach())
            return (hard + soft - soft.detach()).unsqueeze(-1)


def _kinds_of_saliency(class_token: Tensor, patches: Tensor) -> Tensor:
    """How much each patch changes over time, and how like the class token it is, [B, N, P, 2].

    Before the first block the class token is the same in all frames: likeness to it is what makes
    it look at a patch there, whatever the video.
    """
    with torch.no_grad():
        unit = F.normalize(patches.float(), dim=-1)
        likeness = (unit * F.normalize(class_token.float(), dim=-1)).sum(-1)
        change = torch.zeros_like(likeness)
        if patches.shape[1] > 1:
            steps = 1 - (unit[:, 1:] * unit[:, :-1]).sum(-1)
            before = torch.cat([steps[:, :1], steps], dim=1)
            after = torch.cat([steps, steps[:, -1:]], dim=1)
            change = (before + after) / 2
        return torch.stack([_standardised(change), _standardised(likeness)], dim=-1)


def _standardised(x: Tensor) -> Tensor:
    """``x`` [B, N, P] with mean 0 and about variance 1 in each video."""
    centred = x - x.mean(dim=(1, 2), keepdim=True)
    return centred / (centred.square().mean(dim=(1, 2), keepdim=True).sqrt() + _EPS)
