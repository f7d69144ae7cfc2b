"""Forward time of VideoMamba over the number of frames, beside attention over all patches at once.

The other network is a ViT of the same width and depth with joint space-time attention by torch's
fused kernel, as UMT's student is: between two attentions it has an MLP, which VideoMamba has not.
One thread, one clip, random weights.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common import measure, options, report
from pipeline_lib.config import VideoMambaModelConfig
from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape, resolve_shape
from pipeline_lib.pictures.figures import (
    BLUE,
    FAINT,
    GREY,
    INK,
    ORANGE,
    new_figure,
    save_png,
)

FRAMES = (8, 16, 24, 32, 64)
HEAD_WIDTH = 64
CLASSES = 400
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "videomamba_frames.png"
VIDEOMAMBA, JOINT = "VideoMamba", "ViT, joint attention"


class JointBlock(nn.Module):
    """Attention over all tokens of a clip, then an MLP of four times the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Mixed tokens [B, L, C]."""
        batch, length, width = tokens.shape
        parts = self.qkv(self.norm1(tokens)).view(batch, length, 3, self.heads, HEAD_WIDTH)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class JointViT(nn.Module):
    """A ViT over the patches of all frames."""

    def __init__(self, shape: VideoMambaShape) -> None:
        super().__init__()
        kernel = (shape.tubelet, shape.patch_size, shape.patch_size)
        self.patches = nn.Conv3d(3, shape.embed_dim, kernel, stride=kernel)
        self.positions = nn.Parameter(torch.zeros(1, shape.tokens, shape.embed_dim))
        self.blocks = nn.Sequential(*(JointBlock(shape.embed_dim) for _ in range(shape.depth)))
        self.norm, self.head = nn.LayerNorm(shape.embed_dim), nn.Linear(shape.embed_dim, CLASSES)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits [B, classes] of clips [B, 3, T, H, W]."""
        patches = self.patches(clip).flatten(2).transpose(1, 2)
        tokens = F.pad(patches, (0, 0, 1, 0)) + self.positions
        out: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return out


def seconds(network: nn.Module, clip: Tensor, rounds: int) -> float:
    """The least CPU time of one forward pass."""
    with torch.inference_mode():
        return min(measure(lambda: network(clip)).cpu_s for _ in range(rounds))


def draw(figures: dict[str, Any], path: Path) -> None:
    """Draw both times over the number of frames."""
    rows = figures["frames"]
    figure = new_figure(7.6, 4.6)
    axes = figure.add_axes((0.1, 0.13, 0.87, 0.75))
    frames = [row["frames"] for row in rows]
    for name, colour, mark in ((VIDEOMAMBA, BLUE, "o"), (JOINT, ORANGE, "s")):
        times = [row[name] for row in rows]
        axes.plot(frames, times, marker=mark, color=colour, linewidth=2, label=name)
        axes.annotate(
            f"{times[-1]:.1f} s", (frames[-1], times[-1]), xytext=(-4, 7),
            textcoords="offset points", ha="right", fontsize=9, color=INK,
        )  # fmt: skip
    straight = [rows[0][VIDEOMAMBA] * number / frames[0] for number in frames]
    axes.plot(frames, straight, color=GREY, linestyle="--", label="in proportion to the frames")
    axes.set_xticks(frames)
    axes.set_ylim(0, 1.08 * max(row[JOINT] for row in rows))
    axes.set_xlabel("frames of a clip")
    axes.set_ylabel("CPU seconds of a forward pass, one thread")
    axes.grid(color=FAINT)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    figure.text(0.02, 0.94, figures["of"], fontsize=10.5, color=INK)
    save_png(figure, path)


def main() -> None:
    """Measure, report and draw."""
    parser = options(__doc__ or "")
    parser.add_argument("--size", default="tiny", choices=("tiny", "small", "middle"))
    parser.add_argument("--most", type=int, default=FRAMES[-1], help="frames of the longest clip")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shape = resolve_shape(VideoMambaModelConfig(size=given.size))
    rows: list[dict[str, Any]] = []
    for number in (frames for frames in FRAMES if frames <= given.most):
        long = replace(shape, frames=number)
        clip = torch.randn(1, 3, number, shape.image_size, shape.image_size)
        networks = {VIDEOMAMBA: VideoMamba(long, CLASSES, scan="torch"), JOINT: JointViT(long)}
        times = {
            name: round(seconds(network.eval(), clip, given.rounds), 3)
            for name, network in networks.items()
        }
        rows.append({"frames": number, "tokens": long.tokens, **times})
    first = rows[0]
    figures = {
        "of": f"width {shape.embed_dim}, {shape.depth} blocks, {shape.image_size} pixels, "
        f"patches of {shape.patch_size}",
        "frames": rows,
        "times_longer": {
            name: round(rows[-1][name] / first[name], 2) for name in (VIDEOMAMBA, JOINT)
        },
    }
    report("videomamba_frames", figures, save=given.save)
    if given.save:
        draw(figures, PICTURE)


if __name__ == "__main__":
    main()
