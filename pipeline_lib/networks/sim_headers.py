"""From the clips of a video to one embedding: the similarity headers of CLIP4Clip.

https://arxiv.org/abs/2104.08860, section 3.3. There each looks at the frames of a video; here at
the clips that are left of them. All of them start as the mean: what they add is behind a gate that
is 0. So a video has its embedding before it meets a caption, whatever the header.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.config import SimHeader
from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.clip_towers import ResidualBlock

_LAYERS = 4
_STD = 0.02


class MeanHeader(nn.Module):
    """``meanP``: nothing is learned, the embedding is the mean of the clips."""

    def reset_parameters(self, stream: torch.Generator, text: Mapping[str, Tensor]) -> None:
        """Nothing to start."""

    def forward(self, clips: Tensor) -> Tensor:
        """``clips`` [B, C, D] as they are."""
        return clips


class TransformerHeader(nn.Module):
    """``seqTransf``: a small transformer over the clips, with learned positions.

    Args:
        shape: Of the CLIP, from whose text tower the blocks start where the widths agree.
        clips: C.
    """

    def __init__(self, shape: ClipShape, clips: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(clips, shape.embed_dim))
        self.resblocks = _blocks(shape)
        self.gate = nn.Parameter(torch.zeros(shape.embed_dim))

    def reset_parameters(self, stream: torch.Generator, text: Mapping[str, Tensor]) -> None:
        """Start anew.

        Args:
            stream: Of random numbers.
            text: The text tower's tensors: ``resblocks.…``.
        """
        _start(self.resblocks, stream, text)
        nn.init.normal_(self.positional_embedding, std=_STD, generator=stream)
        nn.init.zeros_(self.gate)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips [B, C, D] after an exchange between them."""
        x = clips + self.positional_embedding
        for block in self.resblocks:
            x = block(x)
        return clips + self.gate * x


class LstmHeader(nn.Module):
    """``seqLSTM``: an LSTM along the clips.

    Args:
        shape: Of the CLIP.
    """

    def __init__(self, shape: ClipShape) -> None:
        super().__init__()
        self.lstm = nn.LSTM(shape.embed_dim, shape.embed_dim, batch_first=True)
        self.gate = nn.Parameter(torch.zeros(shape.embed_dim))

    def reset_parameters(self, stream: torch.Generator, text: Mapping[str, Tensor]) -> None:
        """Start anew; of the text tower nothing fits."""
        bound = self.lstm.hidden_size**-0.5
        for parameter in self.lstm.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=stream)
        nn.init.zeros_(self.gate)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips [B, C, D], each with what came before it."""
        # Not every processor has it in half precision, and it is too small to matter.
        with torch.autocast(clips.device.type, enabled=False):
            return clips + self.gate * self.lstm(clips.float())[0]


class CrossHeader(nn.Module):
    """``tightTransf``: a transformer that reads a caption and a video together.

    It gives a score and no embedding, so it can only put a few best videos into a new order. The
    embedding of a video is that of ``meanP``, and its score starts as the cosine of that.

    Args:
        shape: Of the CLIP, from whose text tower the blocks start where the widths agree.
        clips: C.
    """

    def __init__(self, shape: ClipShape, clips: int) -> None:
        super().__init__()
        width = shape.embed_dim
        self.positional_embedding = nn.Parameter(torch.zeros(1 + clips, width))
        self.resblocks = _blocks(shape)
        self.ln_final = nn.LayerNorm(width)
        # A bias would be the same for all pairs, and so cancel in every loss and ranking.
        self.score = nn.Linear(width, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(()))

    def reset_parameters(self, stream: torch.Generator, text: Mapping[str, Tensor]) -> None:
        """As :meth:`TransformerHeader.reset_parameters`."""
        _start(self.resblocks, stream, text)
        self.ln_final.reset_parameters()
        nn.init.normal_(self.positional_embedding, std=_STD, generator=stream)
        nn.init.normal_(self.score.weight, std=self.score.in_features**-0.5, generator=stream)
        nn.init.zeros_(self.gate)

    def forward(self, clips: Tensor) -> Tensor:
        """``clips`` [B, C, D] as they are: the embedding is that of ``meanP``."""
        return clips

    def rerank(self, text: Tensor, clips: Tensor) -> Tensor:
        """Scores of all pairs, on the scale of a cosine, fp32 [n, m].

        Args:
            text: [n, D], of length 1.
            clips: [m, C, D].
        """
        texts, videos, width = len(text), len(clips), text.shape[-1]
        pairs = torch.cat(
            [
                text[:, None, None].expand(-1, videos, -1, -1),
                clips[None].expand(texts, -1, -1, -1),
            ],
            dim=2,
        )
        x = pairs.reshape(texts * videos, -1, width) + self.positional_embedding
        for block in self.resblocks:
            x = block(x)
        read = self.score(self.ln_final(x[:, 0])).float().view(texts, videos)
        cosine = F.normalize(text.float(), dim=-1) @ F.normalize(clips.float().mean(1), dim=-1).T
        return cosine + self.gate * read


Header = MeanHeader | TransformerHeader | LstmHeader | CrossHeader


def new_header(kind: SimHeader, shape: ClipShape, clips: int) -> Header:
    """The header called ``kind`` for ``clips`` clips of a video."""
    match kind:
        case "meanP":
            return MeanHeader()
        case "seqTransf":
            return TransformerHeader(shape, clips)
        case "seqLSTM":
            return LstmHeader(shape)
        case "tightTransf":
            return CrossHeader(shape, clips)


def _blocks(shape: ClipShape) -> nn.ModuleList:
    # The text tower's heads have the same size, which lets its weights be taken over.
    size = shape.text_width // shape.text_heads
    heads = shape.embed_dim // size if shape.embed_dim % size == 0 else 1
    return nn.ModuleList(
        ResidualBlock(shape.embed_dim, heads, 4 * shape.embed_dim, shape.quick_gelu, 0)
        for _ in range(min(_LAYERS, shape.text_layers))
    )


def _start(blocks: nn.ModuleList, stream: torch.Generator, text: Mapping[str, Tensor]) -> None:
    """Take the text tower's first blocks over, or start anew where their shapes differ."""
    own = blocks.state_dict(prefix="resblocks.")
    fits = all(name in text and text[name].shape == value.shape for name, value in own.items())
    with torch.no_grad():
        for name, parameter in blocks.named_parameters(prefix="resblocks"):
            if fits:
                parameter.copy_(text[name])
            elif parameter.dim() > 1:
                parameter.normal_(std=_STD, generator=stream)
            else:
                parameter.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
