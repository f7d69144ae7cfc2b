"""The sizes of a VideoMamba (https://github.com/OpenGVLab/VideoMamba)."""

from dataclasses import dataclass
from types import MappingProxyType

from pipeline_lib.config import VideoMambaModelConfig
from pipeline_lib.errors import ConfigError

# Width and blocks of the published networks.
SIZES = MappingProxyType(
    {"tiny": (192, 24), "small": (384, 24), "middle": (576, 32), "base": (768, 24)}
)


@dataclass(frozen=True, kw_only=True)
class VideoMambaShape:
    """Everything that a VideoMamba's tensors depend on, except for its classes.

    Attributes:
        embed_dim: Width C of a token.
        depth: Blocks.
        patch_size: Side of a patch in pixels.
        tubelet: Frames that one patch covers.
        frames: Frames T of a clip.
        image_size: Side of a frame in pixels.
        temporal: Whether tokens know their frame; published networks for pictures do without.
    """

    embed_dim: int
    depth: int
    patch_size: int
    tubelet: int
    frames: int
    image_size: int
    temporal: bool = True

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """Patches P of a frame."""
        return self.grid**2

    @property
    def steps(self) -> int:
        """Frames T' after the patches have been cut: ``frames / tubelet``."""
        return self.frames // self.tubelet

    @property
    def tokens(self) -> int:
        """Tokens L of a clip: the class token and the patches."""
        return 1 + self.steps * self.patches


def resolve_shape(
    config: VideoMambaModelConfig, section: str = "train.videomamba.model"
) -> VideoMambaShape:
    """The shape that parameters ask for.

    Args:
        config: The sizes.
        section: Where they stand, for messages.

    Raises:
        ConfigError: Frames or pixels cannot be cut into patches.
    """
    embed_dim, depth = SIZES[config.size]
    _require_multiple(f"{section}.frames", config.frames, "tubelet", config.tubelet)
    _require_multiple(f"{section}.image_size", config.image_size, "patch_size", config.patch_size)
    return VideoMambaShape(
        embed_dim=config.embed_dim or embed_dim,
        depth=config.depth or depth,
        patch_size=config.patch_size,
        tubelet=config.tubelet,
        frames=config.frames,
        image_size=config.image_size,
    )


def _require_multiple(name: str, value: int, of: str, unit: int) -> None:
    if value % unit:
        below, above = value // unit * unit, (value // unit + 1) * unit
        raise ConfigError(
            f"{name} = {value} is no multiple of {of} = {unit}.",
            hint=f"Set {name} to {f'{below} or ' if below else ''}{above}.",
        )
