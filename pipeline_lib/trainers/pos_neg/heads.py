"""The projections of a CLIP's towers into the common space, taken out of the towers."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.attention_layers import LayeredAttentionPool
from pipeline_lib.runtime.torchvision_ops import import_open_clip


class Matrix(nn.Module):
    """A projection that open_clip holds as a bare parameter [width, D]."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] to [B, D]."""
        return x @ self.weight


@dataclass(frozen=True)
class Projection:
    """One tower's projection.

    Attributes:
        name: Where the model had it: ``visual.proj``.
        module: [B, width] to [B, D].
    """

    name: str
    module: nn.Module

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors under the names they have in the model."""
        if isinstance(self.module, Matrix):
            return {self.name: self.module.weight}
        return {f"{self.name}.{key}": value for key, value in self.module.state_dict().items()}


def take_image_projection(clip: Any) -> Projection:
    """Take the image tower's projection out of ``clip``, which then gives what was before it.

    Raises:
        ConfigError: The tower has no projection behind it, or is of an unknown kind.
    """
    visual = clip.visual
    pool = import_open_clip().modified_resnet.AttentionPool2d
    if isinstance(getattr(visual, "proj", None), nn.Parameter):
        return _take_parameter(visual, "proj", "visual.proj")
    if isinstance(getattr(visual, "attnpool", None), pool):
        visual.attnpool = LayeredAttentionPool(visual.attnpool).eval()
        return _take_module(clip, "visual.attnpool.c_proj")
    if hasattr(visual, "trunk"):
        last = visual.trunk.get_classifier()  # which open_clip uses where it adds no projection
        for name, module in clip.named_modules():
            if name in ("visual.head.proj", "visual.head.mlp") or (
                module is last and isinstance(module, nn.Linear)
            ):
                return _take_module(clip, name)
    raise _no_projection("image", visual)


def take_text_projection(clip: Any) -> Projection:
    """Take the text tower's projection out of ``clip``; as :func:`take_image_projection`.

    Raises:
        ConfigError: The tower has no projection behind it, or is of an unknown kind.
    """
    owner, prefix = (clip.text, "text.") if hasattr(clip, "text") else (clip, "")
    projection = getattr(owner, "text_projection", None)
    if isinstance(projection, nn.Parameter):
        return _take_parameter(owner, "text_projection", f"{prefix}text_projection")
    if isinstance(projection, nn.Linear):
        owner.text_projection = None  # an identity would be multiplied with
        return Projection(f"{prefix}text_projection", projection)
    if isinstance(getattr(owner, "proj", None), (nn.Linear, nn.Sequential)):
        return _take_module(clip, f"{prefix}proj")
    raise _no_projection("text", owner)


def _take_parameter(owner: nn.Module, attribute: str, name: str) -> Projection:
    weight = getattr(owner, attribute)
    setattr(owner, attribute, None)  # open_clip then stops before it
    return Projection(name, Matrix(weight))


def _take_module(clip: nn.Module, name: str) -> Projection:
    module = clip.get_submodule(name)
    clip.set_submodule(name, nn.Identity())
    return Projection(name, module)


def _no_projection(tower: str, module: nn.Module) -> ConfigError:
    return ConfigError(
        f"train.pos_neg.mode: head finds no projection behind this model's {tower} tower "
        f"({type(module).__name__}).",
        hint="Use mode: full or mode: lora.",
    )
