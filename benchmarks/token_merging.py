"""What merge schedules cost and keep: multiply-adds, time and embeddings beside the unmerged tower.

The weights are random, so of the embeddings only distances count: those of a merged video to
the same video unmerged, beside those of different videos.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.common import report, side_by_side
from benchmarks.token_merging_picture import draw
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.networks.clip_shape import ClipShape, clip_shape, clip_tensors
from pipeline_lib.networks.merge_macs import macs
from pipeline_lib.networks.merge_schedule import PRESETS, MergeSchedule
from pipeline_lib.networks.tempme import TempMe
from pipeline_lib.video.probe import timestamps
from pipeline_lib.video.sampling import sample_video
from pipeline_lib.video.scaling import Resize

UNMERGED = PRESETS["none"].schedule
_MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073)).view(3, 1, 1)
_STD = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)
# Blocks that join two clips each; behind all of them there are some left for prompts.
_JOINS = ((1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 8))


def schedules(shape: ClipShape, frames: int, least: float, most: float) -> Iterator[MergeSchedule]:
    """Those of a grid that spare between ``least`` and ``most`` of the multiply-adds."""
    whole = macs(shape, UNMERGED, frames).total
    shares = ((0.05, 0.1, 0.15), (0.1, 0.2, 0.3))
    for r, layers, within, across in product((0, 2, 4, 5, 6), _JOINS, *shares):
        schedule = MergeSchedule(r, layers, (2, 2), across, within)
        if least <= 1 - macs(shape, schedule, frames).total / whole <= most:
            yield schedule


def draw_weights(model: torch.nn.Module) -> None:
    """Matrices that keep the scale of what they multiply, so that class tokens see the patches."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in sorted(model.named_parameters()):
        if parameter.dim() > 1:
            rows = name.endswith(("embedding", "embedding.weight"))
            # A projection is multiplied from the right, all other matrices from the left.
            fan_in = len(parameter) if name.endswith("proj") else parameter[0].numel()
            scale = 0.05 if rows else fan_in**-0.5
            parameter.data.normal_(std=scale, generator=generator)


def network(model: torch.nn.Module, schedule: MergeSchedule, frames: int) -> TempMe:
    """``model`` under a schedule, as it is before training."""
    made = TempMe(clip_shape(model), schedule, frames, lora_dim=0)
    made.load_state_dict(clip_tensors(model), strict=False)
    return made.eval().requires_grad_(False)


def footage(
    paths: list[Path], frames: int, size: int, segment_s: float
) -> tuple[list[torch.Tensor], np.ndarray]:
    """Pixels [1, N, 3, S, S] of each segment, and the number of its video."""
    samples, owners = [], []
    for number, path in enumerate(paths):
        seconds = float(timestamps(path)[-1])
        for part in range(max(1, int(seconds // segment_s))):
            start = part * segment_s
            end = min(seconds, start + segment_s)
            resize = Resize(size, "shortest", "bicubic", crop=size)
            taken = sample_video(path, frames, resize, start_s=start, end_s=end).frames
            pixels = torch.from_numpy(taken).permute(0, 3, 1, 2) / 255
            samples.append(((pixels - _MEAN) / _STD).unsqueeze(0))
            owners.append(number)
    return samples, np.array(owners)


@torch.inference_mode()
def embedded(net: TempMe, samples: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit embeddings of frames [M, N, D] and of videos [M, D]."""
    frames = F.normalize(torch.cat([net.encode_video(pixels) for pixels in samples]), dim=-1)
    return frames, F.normalize(frames.mean(dim=1), dim=-1)


def likeness(
    merged: tuple[torch.Tensor, torch.Tensor], whole: tuple[torch.Tensor, torch.Tensor]
) -> dict[str, float]:
    """Cosines of the merged embeddings to the unmerged ones."""
    frames, videos = ((a * b).sum(dim=-1) for a, b in zip(merged, whole, strict=True))
    nearest = (merged[1] @ whole[1].T).argmax(dim=1) == torch.arange(len(whole[1]))
    return {
        "video_cosine": round(float(videos.mean()), 4),
        "video_cosine_least": round(float(videos.min()), 4),
        "frame_cosine": round(float(frames.mean()), 4),
        "frame_cosine_least": round(float(frames.min()), 4),
        "own_video_nearest": round(float(nearest.double().mean()), 3),
    }


def described(schedule: MergeSchedule) -> str:
    """A schedule in a few words."""
    layers, nums = (
        "-".join(map(str, numbers)) for numbers in (schedule.layers, schedule.frame_nums)
    )
    return (
        f"r {schedule.tome_r}, blocks {layers} join {nums}, across {schedule.across:g}, "
        f"within {schedule.within:g}"
    )


def speed_ups(
    model: Any, chosen: dict[str, MergeSchedule], pixels: torch.Tensor, rounds: int
) -> dict[str, dict[str, float]]:
    """CPU seconds of one video by schedule, and how many times the unmerged tower takes them."""
    frames = pixels.shape[1]
    nets = {name: network(model, s, frames) for name, s in chosen.items()}
    nets["unmerged"] = network(model, UNMERGED, frames)
    cases: dict[str, Callable[[], object]] = {
        name: partial(net.encode_video, pixels) for name, net in nets.items()
    }
    cases["unmerged, open_clip"] = partial(model.encode_image, pixels[0])
    with torch.inference_mode():
        costs = side_by_side(cases, rounds)
    whole, usual = costs["unmerged"].cpu_s, costs["unmerged, open_clip"].cpu_s
    return {
        name: {
            "cpu_s": round(cost.cpu_s, 3),
            "times_faster": round(whole / cost.cpu_s, 2),
            "times_faster_than_open_clip": round(usual / cost.cpu_s, 2),
        }
        for name, cost in costs.items()
    }


def main() -> None:
    """Measure, draw and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, nargs="+", required=True, help="real footage")
    parser.add_argument("--model", default="ViT-B-32-quickgelu", help="an open_clip architecture")
    parser.add_argument("--weights", default="untrained", help="a tag or file; drawn if untrained")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--segment-s", type=float, default=60, help="longer videos give several")
    parser.add_argument("--spared", type=float, nargs=2, default=(0.3, 0.6), help="of the MACs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="only every so many of the schedules")
    parser.add_argument("--picture", type=Path, help="draw the trade-off: a PNG file")
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_clip(ClipConfig(model=given.model, weights=given.weights), Placement()).model
    if given.weights == "untrained":
        draw_weights(model)
    shape, frames = clip_shape(model), given.frames
    samples, owners = footage(given.video, frames, shape.image_size, given.segment_s)
    whole = embedded(network(model, UNMERGED, frames), samples)
    presets = {
        name: preset.schedule
        for name, preset in PRESETS.items()
        if name != "none" and frames % preset.schedule.joined == 0
    }
    grid = list(schedules(shape, frames, *given.spared))[:: given.every]
    total = macs(shape, UNMERGED, frames).total
    rows = []
    for name, schedule in [*presets.items(), *((described(s), s) for s in grid)]:
        spent = macs(shape, schedule, frames).total
        kept = likeness(embedded(network(model, schedule, frames), samples), whole)
        rows.append(
            {"schedule": name, "gmac": round(spent / 1e9, 2),
             "fewer_macs": round(1 - spent / total, 4), **kept}
        )  # fmt: skip
        print(rows[-1], flush=True)
    others = (whole[1] @ whole[1].T)[torch.from_numpy(owners[:, None] != owners[None])]
    figures = {
        "model": given.model, "weights": given.weights, "frames": frames, "samples": len(samples),
        "videos": len(given.video), "unmerged_gmac": round(total / 1e9, 2),
        "different_videos_cosine": round(float(others.mean()), 4),
        "different_videos_cosine_most": round(float(others.max()), 4),
        "time": speed_ups(model, presets, samples[0], given.rounds),
        "schedules": rows,
    }  # fmt: skip
    if given.picture:
        draw(figures, given.picture)
    report(f"token_merging_{given.model}_{frames}", figures, save=given.save)


if __name__ == "__main__":
    main()
