"""TempMe (https://arxiv.org/abs/2409.01156): a frozen CLIP with low-rank additions and merging."""

import torch
from torch import Tensor, nn

from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.clip_towers import ResidualBlock, Transformer
from pipeline_lib.networks.lora_attention import LoraAttention
from pipeline_lib.networks.merge_schedule import MergeSchedule
from pipeline_lib.networks.merge_tower import MergeTower

# What all parameters that TempMe adds to a CLIP have in their names, and CLIP's own do not.
ADDED = "TVPt"


class TempMe(nn.Module):
    """Both towers; ``state_dict`` has OpenAI's names and TempMe's additions.

    All tensors are zero until weights are loaded.

    Args:
        shape: Of the CLIP.
        schedule: Of joining and merging.
        frames: N, frames of a video; the schedule must divide them.
        lora_dim: Rank of the low-rank additions in both towers; 0 has none.
    """

    def __init__(
        self, shape: ClipShape, schedule: MergeSchedule, frames: int, lora_dim: int = 8
    ) -> None:
        super().__init__()
        if frames % schedule.joined:
            raise ValueError(f"{frames} frames cannot be joined by {schedule.frame_nums}")
        self.shape, self.frames = shape, frames
        width, hidden = shape.text_width, shape.text_hidden
        self.positional_embedding = nn.Parameter(torch.zeros(shape.context_length, width))
        self.text_projection = nn.Parameter(torch.zeros(width, shape.embed_dim))
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.visual = MergeTower(shape, schedule, frames, lora_dim)
        self.transformer = Transformer(
            [
                ResidualBlock(width, shape.text_heads, hidden, shape.quick_gelu, lora_dim)
                for _ in range(shape.text_layers)
            ]
        )
        self.token_embedding = nn.Embedding(shape.vocab_size, width)
        self.ln_final = nn.LayerNorm(width)

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Embeddings [B, N, D] of frames in temporal order, not normalised.

        Args:
            pixels: [B, N, 3, S, S], as CLIP wants them.
        """
        frames = self.visual.encode(pixels.flatten(0, 1)).flatten(0, 1)
        return frames.unflatten(0, (-1, pixels.shape[1]))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Embeddings [n, D] of token ids [n, l], not normalised, read at the end of each text."""
        end = tokens.argmax(dim=-1)
        # No token sees a later one, so what follows the last end changes nothing.
        tokens = tokens[:, : int(end.max()) + 1]
        length = tokens.shape[1]
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        later = torch.full((length, length), float("-inf"), device=x.device).triu(1)
        for block in self.transformer.resblocks:
            x = block(x, later)
        read = self.ln_final(x[torch.arange(len(x), device=x.device), end])
        embedded: Tensor = read @ self.text_projection
        return embedded

    def reset_added(self, generator: torch.Generator) -> None:
        """Start what TempMe adds: low-rank additions that change nothing, positions zero."""
        for module in self.modules():
            if isinstance(module, LoraAttention):
                module.reset_lora(generator)
        for name, parameter in self.named_parameters():
            if name.endswith("TVPt_Video_Positional_embedding"):
                nn.init.zeros_(parameter)

    def added(self) -> dict[str, nn.Parameter]:
        """The parameters that TempMe learns, by name; the others are CLIP's."""
        return {name: value for name, value in self.named_parameters() if ADDED in name}
