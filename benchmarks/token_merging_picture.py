"""The trade-off of merge schedules as a picture."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from pipeline_lib.pictures.figures import (
    BLUE,
    FAINT,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    new_figure,
    save_png,
)

_KINDS = (
    ("video_cosine", "video", BLUE, "o"),
    ("frame_cosine", "mean of its frames", ORANGE, "s"),
)


def draw(figures: dict[str, Any], path: Path) -> None:
    """Draw what is lost over what is spared, and how long one video takes.

    Args:
        figures: As ``benchmarks.token_merging`` reports them.
        path: Of a PNG file.
    """
    figure = new_figure(11, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    _lost(left, figures)
    _times(right, figures["time"])
    figure.suptitle(
        f"{figures['model']}, {figures['frames']} frames a video, {figures['weights']} weights",
        color=INK,
    )
    figure.tight_layout()
    save_png(figure, path)


def _lost(axes: Axes, figures: dict[str, Any]) -> None:
    rows = figures["schedules"]
    named = {row["schedule"]: row for row in rows if row["schedule"] in figures["time"]}
    for key, label, colour, mark in _KINDS:
        spared = [100 * row["fewer_macs"] for row in rows]
        axes.scatter(
            spared, [1 - row[key] for row in rows], s=22, color=colour, marker=mark, alpha=0.6,
            linewidths=0, label=label,
        )  # fmt: skip
    for name, row in named.items():
        place = (100 * row["fewer_macs"], 1 - row["video_cosine"])
        axes.scatter(*place, s=70, facecolors="none", edgecolors=INK, zorder=4)
        axes.annotate(
            name, place, xytext=(0, 9), textcoords="offset points", ha="center", color=INK
        )
    others = 1 - figures["different_videos_cosine"]
    axes.axhline(others, color=VERMILION, linewidth=1.5, label="different videos, mean")
    axes.axhline(0.02, color=GREY, linewidth=1, linestyle="--", label="cosine 0.98")
    axes.set_yscale("log")
    axes.set_xlabel("multiply-adds spared by merging, %")
    axes.set_ylabel("1 - cosine to the unmerged embedding")
    axes.grid(color=FAINT, which="both", zorder=0)
    axes.set_axisbelow(True)
    axes.legend(
        frameon=False, fontsize=8.5, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4
    )  # fmt: skip


def _times(axes: Axes, times: dict[str, dict[str, float]]) -> None:
    ordered = sorted(times.items(), key=lambda item: item[1]["cpu_s"], reverse=True)
    seconds = [values["cpu_s"] for _, values in ordered]
    places = range(len(ordered))
    axes.barh(places, seconds, color=[_colour(name) for name, _ in ordered], height=0.65)
    axes.set_yticks(places, [name for name, _ in ordered])
    for place, (_, values) in zip(places, ordered, strict=True):
        axes.annotate(
            f"{values['cpu_s']:.2f} s, {values['times_faster']:.2f}x",
            (values["cpu_s"], place), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=8.5, color=INK,
        )  # fmt: skip
    axes.set_xlim(0, 1.45 * max(seconds))
    axes.set_xlabel("CPU seconds of a video, one thread")


def _colour(name: str) -> str:
    return GREY if name.startswith("unmerged") else BLUE
