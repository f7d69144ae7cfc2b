"""A CLIP whose weights, or a part of them, are trained."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.backbones.open_clip_weights import LoadedClip, load_open_clip
from pipeline_lib.backbones.transformers_clip import is_transformers_clip, load_transformers_clip
from pipeline_lib.config import ClipConfig, PosNegConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.trainers.pos_neg.captions import encode_captions, without_padding
from pipeline_lib.trainers.pos_neg.heads import (
    Projection,
    take_image_projection,
    take_text_projection,
)
from pipeline_lib.trainers.pos_neg.lora import add_lora, merged_tensors

# The largest factor on cosines is 100, https://arxiv.org/abs/2103.00020, section 2.5. A hair
# below its logarithm, since rounding would give a little more than 100.
_LARGEST_LOG_SCALE = math.log(100.0) - 1e-6
# In some models beside the two towers: SigLIP's own bias, CoCa's caption writer.
_UNUSED = ("logit_bias", "text_decoder.")


class TrainableClip(nn.Module):
    """An open_clip model with some parameters to train, on frames and captions.

    It never leaves eval mode: normalisation statistics and dropout are as in the model that is
    saved, so a loaded checkpoint gives exactly the features that training measured.

    Each tower is a trunk and a projection behind it. In ``head`` mode the trunk is frozen and
    runs without gradient: its outputs may be computed once and kept, ``trunk_images(pixels)`` for
    each frame and ``trunk_texts(tokens)`` for each caption, and each step then needs only
    ``project_images(kept)`` and ``project_texts(kept)``. ``trunk_is_frozen`` says whether that
    holds. In the other modes the trunk is the whole tower and the projection only normalises.

    The forward pass may run under ``torch.autocast``; features, scale and bias are fp32.

    Attributes:
        clip: The open_clip model; in ``lora`` and ``head`` mode some of its modules are replaced.
        logit_bias: Added to scaled cosines by losses that want it. It belongs to training alone
            and is not saved with the CLIP. A loss without it should call
            ``logit_bias.requires_grad_(False)`` before the optimizer is made.
        source: Where the weights came from.
        preprocess: How its image tower wants frames.
        tokenizer: Texts to int64 token ids [n, context length].
    """

    def __init__(self, loaded: LoadedClip, config: PosNegConfig) -> None:
        super().__init__()
        self.clip = loaded.model
        self.image_projection: nn.Module = nn.Identity()
        self.text_projection: nn.Module = nn.Identity()
        self.trunk_is_frozen = config.mode == "head"
        self.logit_bias = nn.Parameter(torch.zeros(()))
        self.source = loaded.source
        self.preprocess = loaded.preprocess
        self.tokenizer: Any = loaded.tokenizer
        self._mode = config.mode
        self._taken: tuple[Projection, ...] = ()
        if config.grad_checkpointing:
            self.set_grad_checkpointing()
        match config.mode:
            case "full":
                for name, parameter in self.clip.named_parameters():
                    parameter.requires_grad_(not name.startswith(_UNUSED))
            case "lora":
                add_lora(self.clip, config.lora_rank, config.lora_alpha, config.seed)
            case "head":
                self._take_projections()
        self.clip.logit_scale.requires_grad_(True)
        self.eval()

    def _take_projections(self) -> None:
        self._taken = (take_image_projection(self.clip), take_text_projection(self.clip))
        self.image_projection, self.text_projection = (p.module for p in self._taken)
        self.image_projection.requires_grad_(True)
        self.text_projection.requires_grad_(True)

    def train(self, mode: bool = True) -> "TrainableClip":
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Image and text features, see :meth:`encode_images` and :meth:`encode_texts`."""
        return self.encode_images(pixels), self.encode_texts(tokens)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Features fp32 [B, D] of length 1, of normalised pixels [B, 3, H, W]."""
        return self.project_images(self.trunk_images(pixels))

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Features fp32 [B, D] of length 1, of token ids int64 [B, context length].

        Those of :meth:`without_padding` give the same.
        """
        return self.project_texts(self.trunk_texts(tokens))

    def trunk_images(self, pixels: Tensor) -> Tensor:
        """What the image tower gives before its projection, [B, width]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.trunk_is_frozen):
            features: Tensor = self.clip.encode_image(pixels, normalize=False)
        return features

    def trunk_texts(self, tokens: Tensor) -> Tensor:
        """What the text tower gives before its projection, [B, width]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.trunk_is_frozen):
            return encode_captions(self.clip, tokens)

    def without_padding(self, tokens: Tensor) -> Tensor:
        """Token ids [B, l], cut to what the text tower needs for the same features."""
        return without_padding(self.clip, tokens)

    def project_images(self, trunk: Tensor) -> Tensor:
        """Features fp32 [B, D] of length 1, of what :meth:`trunk_images` gave."""
        return F.normalize(self.image_projection(trunk).float(), dim=-1)

    def project_texts(self, trunk: Tensor) -> Tensor:
        """Features fp32 [B, D] of length 1, of what :meth:`trunk_texts` gave."""
        return F.normalize(self.text_projection(trunk).float(), dim=-1)

    @property
    def logit_scale(self) -> Tensor:
        """Factor on cosines, a scalar of at most 100.

        The parameter itself is cut, as in CLIP's training: a cut of the factor alone would leave
        it no gradient to come back by.
        """
        with torch.no_grad():
            self.clip.logit_scale.clamp_(max=_LARGEST_LOG_SCALE)
        scale: Tensor = self.clip.logit_scale.exp().reshape(())
        return scale

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.trainable().values())

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name, always in the same order."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for an optimizer: matrices decay; norms, biases and the scale do not."""
        parameters = list(self.trainable().values())
        return [
            {
                "params": [p for p in parameters if p.dim() > 1],
                "lr": lr,
                "weight_decay": weight_decay,
            },
            {"params": [p for p in parameters if p.dim() <= 1], "lr": lr, "weight_decay": 0.0},
        ]

    def state(self) -> dict[str, Tensor]:
        """Copies of the trained parameters, on the CPU."""
        return {name: p.detach().cpu().clone() for name, p in self.trainable().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            WeightsError: Names or shapes differ from those of this model.
        """
        own = self.trainable()
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in state.items()}:
            raise WeightsError(
                "The trained parameters to go on from are of another model or training mode.",
                hint="Start the training anew.",
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def set_grad_checkpointing(self) -> None:
        """Compute activations again in the backward pass instead of keeping them.

        Raises:
            ConfigError: A tower cannot.
        """
        for tower in (self.clip.visual, getattr(self.clip, "text", self.clip)):
            if not _recomputes(tower):
                raise ConfigError(
                    "train.pos_neg.grad_checkpointing: this model's "
                    f"{type(tower).__name__} cannot compute activations again.",
                    hint="Set it to false; a smaller batch_size with accumulate saves memory too.",
                )

    def clip_tensors(self) -> dict[str, Tensor]:
        """The CLIP's tensors as open_clip names them, additions merged; copies in fp32, on the CPU.

        ``logit_scale`` is cut, and ``logit_bias`` of training is not among them.
        """
        tensors = merged_tensors(self.clip) if self._mode == "lora" else self.clip.state_dict()
        for projection in self._taken:
            tensors |= projection.tensors()
        copies = {
            name: tensor.detach().to(
                "cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True
            )
            for name, tensor in tensors.items()
        }
        copies["logit_scale"].clamp_(max=_LARGEST_LOG_SCALE)
        return copies


def load_trainable(
    section: ClipConfig, config: PosNegConfig, device: torch.device
) -> TrainableClip:
    """Load the CLIP that ``section`` names and prepare it for training as ``config`` says.

    ``config`` decides the trained parameters (``mode``, ``lora_rank``, ``lora_alpha``; the random
    half of the low-rank additions follows ``seed`` alone) and ``grad_checkpointing``. Trained
    are always fp32 weights, whatever the file stores.

    Raises:
        ConfigError: As loading the CLIP raises it; or the model has no parts that the mode could
            train, or cannot compute activations again.
        WeightsError: The weights are missing or do not fit.
    """
    load = load_transformers_clip if is_transformers_clip(section.model) else load_open_clip
    return TrainableClip(load(section), config).to(device)


def _recomputes(tower: Any) -> bool:
    """Switch activation checkpointing on in a tower; False where it has none.

    open_clip's own switch says nothing where a tower has none, and that of a text tower from
    transformers works in training mode alone.
    """
    if hasattr(tower, "trunk"):
        try:
            tower.trunk.set_grad_checkpointing(True)
        except (AttributeError, AssertionError):  # no such method in timm's model, or a refusal
            return False
        return True
    inner: Any = getattr(tower, "transformer", None)
    if not hasattr(inner, "grad_checkpointing"):
        return False
    inner.grad_checkpointing = True
    return True
