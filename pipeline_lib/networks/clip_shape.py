"""The sizes of a CLIP with a vision transformer, and its tensors under OpenAI's names."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline_lib.errors import ConfigError

_NORM_EPS = 1e-5


@dataclass(frozen=True)
class ClipShape:
    """A CLIP as OpenAI builds it.

    Attributes:
        embed_dim: D, of an embedding.
        image_size: Side of a picture in pixels.
        patch_size: Side of a patch in pixels.
        vision_width: d of an image token.
        vision_layers: Blocks of the image tower.
        vision_heads: Heads of its attention.
        vision_hidden: Width inside its MLPs.
        context_length: Most tokens of a text.
        vocab_size: Known tokens.
        text_width: d of a text token.
        text_layers: Blocks of the text tower.
        text_heads: Heads of its attention.
        text_hidden: Width inside its MLPs.
        quick_gelu: OpenAI's approximation of GELU instead of GELU itself.
    """

    embed_dim: int
    image_size: int
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    vision_hidden: int
    context_length: int
    vocab_size: int
    text_width: int
    text_layers: int
    text_heads: int
    text_hidden: int
    quick_gelu: bool

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """Tokens of a picture: its class token and its patches."""
        return 1 + self.grid**2


def clip_shape(model: nn.Module, parameter: str = "train.tempme_stop.backbone") -> ClipShape:
    """The shape of an open_clip model.

    Args:
        model: ``CLIP``, or ``CustomTextCLIP`` with a transformer of CLIP's kind.
        parameter: Where its name stands, for the message.

    Raises:
        ConfigError: It is built in another way than OpenAI's vision transformers; says how.
    """
    if reason := _obstacle(model):
        raise ConfigError(
            f"The towers of {type(model).__name__} cannot be used here: {reason}.",
            hint=f"Set {parameter} to a CLIP with a plain vision transformer such as "
            "ViT-B-32-quickgelu.",
        )
    whole: Any = model
    text: Any = _text_part(model)
    visual = whole.visual
    width, _, patch, _ = visual.conv1.weight.shape
    vision, words = visual.transformer.resblocks, text.transformer.resblocks
    return ClipShape(
        embed_dim=visual.proj.shape[1],
        image_size=visual.image_size[0],
        patch_size=patch,
        vision_width=width,
        vision_layers=len(vision),
        vision_heads=vision[0].attn.num_heads,
        vision_hidden=vision[0].mlp.c_fc.out_features,
        context_length=text.positional_embedding.shape[0],
        vocab_size=text.token_embedding.num_embeddings,
        text_width=text.positional_embedding.shape[1],
        text_layers=len(words),
        text_heads=words[0].attn.num_heads,
        text_hidden=words[0].mlp.c_fc.out_features,
        quick_gelu=type(vision[0].mlp.gelu).__name__ == "QuickGELU",
    )


def clip_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a model that :func:`clip_shape` accepts, under OpenAI's names."""
    tensors = {name.removeprefix("text."): value for name, value in model.state_dict().items()}
    known = ("logit_scale", "positional_embedding", "text_projection")
    parts = ("visual.", "transformer.", "token_embedding.", "ln_final.")
    return {
        name: value for name, value in tensors.items() if name in known or name.startswith(parts)
    }


def _text_part(model: nn.Module) -> nn.Module:
    # CustomTextCLIP keeps the text tower under `.text`, CLIP its parts as its own attributes.
    part: nn.Module = getattr(model, "text", model)
    return part


def _obstacle(model: nn.Module) -> str | None:
    whole: Any = model
    visual, text = getattr(whole, "visual", None), _text_part(model)
    if not hasattr(visual, "conv1") or not hasattr(visual, "transformer"):
        return "its image tower is no vision transformer (it needs a ViT)"
    if not hasattr(text, "transformer") or not hasattr(text, "token_embedding"):
        return "its text tower is not CLIP's"
    return _vision_obstacle(visual) or _text_obstacle(whole, text)


def _vision_obstacle(visual: Any) -> str | None:
    if visual.pool_type != "tok" or visual.attn_pool is not None or visual.final_ln_after_pool:
        return "its image tower pools in another way than from the class token"
    if len(set(visual.image_size)) != 1 or len(set(visual.patch_size)) != 1:
        return "its pictures or patches are not square"
    if isinstance(visual.ln_pre, nn.Identity) or visual.proj is None:
        return "its image tower lacks the first norm or the projection"
    return _block_obstacle(visual.transformer.resblocks)


def _text_obstacle(whole: Any, text: Any) -> str | None:
    pooling = getattr(text, "pool_type", getattr(whole, "text_pool_type", None))
    if pooling != "argmax":
        return f"its text tower pools by {pooling!r}, not at the end of the text"
    if getattr(text, "cls_emb", None) is not None:
        return "its text tower reads texts from a class token"
    if text.attn_mask is None:
        return "its text tower is not causal"
    if text.text_projection is None or getattr(text.text_projection, "bias", None) is not None:
        return "its text projection is missing or has a bias"
    return _block_obstacle(text.transformer.resblocks)


def _block_obstacle(blocks: Any) -> str | None:
    for block in blocks:
        if not isinstance(getattr(block, "attn", None), nn.MultiheadAttention):
            return "its attention is not CLIP's"
        if not isinstance(block.ls_1, nn.Identity) or not isinstance(block.ls_2, nn.Identity):
            return "its blocks scale their layers"
        if type(block.mlp.gelu).__name__ not in ("QuickGELU", "GELU"):
            return f"its activation is {type(block.mlp.gelu).__name__}"
        if getattr(block.mlp.gelu, "approximate", "none") != "none":
            return f"its GELU is the approximation by {block.mlp.gelu.approximate}"
        if block.ln_1.eps != _NORM_EPS:
            return f"its norms add {block.ln_1.eps:g} to the variance instead of {_NORM_EPS:g}"
    return None
