"""TempMe-STOP: one frozen CLIP whose image tower reads a whole video.

The first blocks join neighbouring frames to clips and merge their tokens (TempMe,
https://arxiv.org/abs/2409.01156), the others exchange between the clips through prompts (STOP,
https://arxiv.org/abs/2503.15973). Without joining and merging, and with all gates at 0 as they
start, a video's embedding is the mean of its frames' embeddings by CLIP alone.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline_lib.config import TempMeStopModelConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.merge_schedule import resolve
from pipeline_lib.networks.merge_tower import Clips, MergeBlock
from pipeline_lib.networks.sim_headers import CrossHeader, new_header
from pipeline_lib.networks.spatial_prompt import SpatialPrompt
from pipeline_lib.networks.stop_stage import StopStage
from pipeline_lib.networks.tempme import TempMe
from pipeline_lib.runtime.seeding import torch_stream

_LARGEST_SCALE = 100.0  # of CLIP's training, https://arxiv.org/abs/2103.00020, section 2.5
_CLIP = "clip."


class VideoVectors(NamedTuple):
    """What the network makes of B videos.

    Attributes:
        video: fp32 [B, D] of length 1.
        clips: fp32 [B, C, D], not normalised.
        frames: fp32 [B, N, D] of length 1, in the order of time.
    """

    video: Tensor
    clips: Tensor
    frames: Tensor


class TempMeStop(nn.Module):
    """The network. CLIP's own tensors are zero until they are loaded, and never trained.

    It may run under ``torch.autocast``; vectors are fp32. A video's vectors depend on no other
    video of the batch. Nothing in it behaves differently in training mode.

    Attributes:
        clip: CLIP with TempMe's additions, under the tensor names of TempMe's checkpoints.
        frames: Frames N of a video.
        clips: Clips C that are left of them.
        dim: Size D of an embedding.

    Args:
        shape: Of the CLIP.
        config: The architecture.

    Raises:
        ConfigError: The schedule does not fit the tower, or leaves no block for the prompts.
    """

    def __init__(self, shape: ClipShape, config: TempMeStopModelConfig) -> None:
        super().__init__()
        schedule, self.clips = resolve(config, shape.vision_layers)
        self.frames = self.clips * schedule.joined
        self.dim = shape.embed_dim
        self.clip = TempMe(shape, schedule, self.frames, config.lora_dim)
        depth, width = shape.vision_layers, shape.vision_width
        self._first = _first_prompted(schedule.layers, depth)
        self._recompute = False
        between = config.temporal_prompts if self.clips > 1 else 0
        self.spatial = self.stage = self.video_gate = None
        if config.spatial_prompt:
            self.spatial = SpatialPrompt(width, config.spatial_width, config.spatial_share)
        if between or config.global_prompts:
            if self._first == depth:
                raise ConfigError(
                    f"train.tempme_stop.merge_layer = {list(schedule.layers)} joins clips in the "
                    "last block, which leaves none for the prompts.",
                    hint="End merge_layer earlier, or set global_prompts and temporal_prompts to "
                    "0.",
                )
            heads = shape.vision_heads
            self.stage = StopStage(
                width, heads, depth - self._first, between, config.global_prompts
            )
        if config.global_prompts:
            self.video_gate = nn.Parameter(torch.zeros(self.dim))
        self.header = new_header(config.sim_header, shape, self.clips)
        self._freeze()

    def _freeze(self) -> None:
        self.requires_grad_(False)
        for parameter in self.learned().values():
            parameter.requires_grad_(True)

    def reset_parameters(self, seed: int) -> None:
        """Start all that is trained, after CLIP's tensors are loaded.

        Every part has random numbers of its own, so that it starts the same whatever others the
        architecture has.
        """
        self.clip.reset_added(torch_stream(seed, "tempme-stop", "tempme"))
        if self.spatial is not None:
            self.spatial.reset_parameters(torch_stream(seed, "tempme-stop", "spatial"))
        if self.stage is not None:
            self.stage.reset_parameters(torch_stream(seed, "tempme-stop", "stage"))
        if self.video_gate is not None:
            nn.init.zeros_(self.video_gate)
        stream = torch_stream(seed, "tempme-stop", "header")
        self.header.reset_parameters(stream, self.clip.transformer.state_dict())

    def forward_video(self, pixels: Tensor) -> VideoVectors:
        """The vectors of videos.

        Args:
            pixels: [B, N, 3, S, S], as CLIP wants them.

        Raises:
            ValueError: Another number of frames than ``frames``.
        """
        videos, count = pixels.shape[:2]
        if count != self.frames:
            raise ValueError(f"{count} frames of a video instead of {self.frames}")
        tokens, whole = self._tower(pixels)
        embedded = self.clip.visual.project(tokens).float().reshape(videos, count, -1)
        frames = F.normalize(embedded, dim=-1)
        # Frames of equal weight make clips of equal weight, whose mean is that of all frames.
        clips = self.header(frames.unflatten(1, (self.clips, -1)).mean(2)).float()
        video = clips.mean(1)
        if whole is not None and self.video_gate is not None:
            read = self.clip.visual.project(whole[:, 0]).float()
            video = video + self.video_gate * F.normalize(read, dim=-1)
        return VideoVectors(F.normalize(video, dim=-1), clips, frames)

    def _tower(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Class tokens [B * C, k, d] behind the last block, and prompts of the whole video."""
        visual, videos = self.clip.visual, len(pixels)
        clips = visual.embed(pixels.flatten(0, 1))
        if self.spatial is not None:
            x = self.spatial(clips.tokens.unflatten(0, (videos, -1)))
            clips = Clips(x.flatten(0, 1), clips.size, clips.class_tokens)
        blocks = cast(Sequence[MergeBlock], list(visual.transformer.resblocks))
        last = len(blocks) - 1
        for layer in range(last if self.stage is None else self._first):
            if self._recompute and torch.is_grad_enabled():
                clips = checkpoint(visual.run, clips, layer, layer + 1, use_reentrant=False)
            else:
                clips = visual.run(clips, layer, layer + 1)
        left, frames = clips.tokens.shape[1], clips.class_tokens
        if self.stage is None:
            return blocks[last].finish(clips, visual.schedule.step(last, left, frames)), None
        merged = []
        for layer in range(self._first, last + 1):
            merged.append(visual.schedule.step(layer, left, frames).within)
            left -= merged[-1]
        tokens, whole = self.stage(blocks[self._first :], merged, clips, videos)
        return tokens, whole

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Vectors fp32 [n, D] of length 1, of token ids int64 [n, words]."""
        return F.normalize(self.clip.encode_text(tokens).float(), dim=-1)

    def rerank(self, text: Tensor, clips: Tensor) -> Tensor:
        """Scores of all pairs by the header ``tightTransf``, on the scale of a cosine.

        Args:
            text: [n, D], as :meth:`encode_text` gives it.
            clips: [m, C, D], as :meth:`forward_video` gives them.

        Returns:
            fp32 [n, m].

        Raises:
            ValueError: Another header, which scores by the cosine of embeddings.
        """
        if not isinstance(self.header, CrossHeader):
            raise ValueError("only the header tightTransf re-ranks")
        return self.header.rerank(text, clips)

    @property
    def logit_scale(self) -> Tensor:
        """Factor on cosines, a scalar of at most 100; CLIP's own, never trained."""
        return self.clip.logit_scale.detach().float().exp().clamp(max=_LARGEST_SCALE)

    def tempme_parameters(self) -> dict[str, nn.Parameter]:
        """Low-rank additions and frame positions, by name in the state dict."""
        return {_CLIP + name: parameter for name, parameter in self.clip.added().items()}

    def stop_parameters(self) -> dict[str, nn.Parameter]:
        """Prompts, gates and the similarity header, by name in the state dict."""
        return {n: p for n, p in self.named_parameters() if not n.startswith(_CLIP)}

    def learned(self) -> dict[str, nn.Parameter]:
        """All that may be trained, by name in the state dict."""
        return self.tempme_parameters() | self.stop_parameters()

    def set_grad_checkpointing(self) -> None:
        """Compute the image tower's activations again in the backward pass: slower, and smaller.

        Captions are short; theirs are kept.
        """
        self._recompute = True
        if self.stage is not None:
            self.stage.recompute = True


def _first_prompted(joining: tuple[int, ...], depth: int) -> int:
    """The first block that sees prompts: behind the last joining one, or the half of the tower.

    Without joining there is no such block; half-way up, tokens say enough of the picture to tell
    where a video changes.
    """
    if joining:
        return joining[-1] + 1
    return min(depth // 2 + 1, depth - 1)
