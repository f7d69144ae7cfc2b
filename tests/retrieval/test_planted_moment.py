"""A short event in a long video, found by the demo's own CLIP."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.retrieval_model import load_retrieval_model
from pipeline_lib.config import ClipConfig, TempMeStopModelConfig
from pipeline_lib.retrieval.search import MomentOptions, Searcher

WEIGHTS = Path(__file__).parents[2] / "data" / "weights" / "demo_clip_vit"
RATE, LENGTH_S, FROM_S, TO_S = 5, 300, 171.0, 173.0
GREEN, RED = (40, 180, 60), (200, 30, 30)


def circle(colour: tuple[int, int, int]) -> np.ndarray:
    image = np.full((96, 96, 3), 110, np.uint8)
    rows, columns = np.mgrid[:96, :96]
    image[(rows - 48) ** 2 + (columns - 48) ** 2 < 22**2] = colour
    return image


def planted(path: Path) -> Path:
    """Red circles for five minutes, but for two seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = 96
        for number in range(RATE * LENGTH_S):
            shown = FROM_S <= number / RATE < TO_S
            frame = av.VideoFrame.from_ndarray(circle(GREEN if shown else RED), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.slow
def test_two_seconds_of_five_minutes(tmp_path):
    config = TempMeStopModelConfig(
        merging="none", clips=2, merge_layer=(1,), merge_frame_num=(3,), tome_r=4,
        merge_across=0.3, merge_within=0.1,
    )  # fmt: skip
    placement = Placement(torch.device("cpu"), batch_size=96)
    model = load_retrieval_model(ClipConfig(model=f"local-dir:{WEIGHTS}"), config, placement)
    searcher, video = Searcher(model), planted(tmp_path / "long.mp4")
    found = searcher.in_video(video, "a green circle", MomentOptions(top_k=2))
    first, second = found.moments
    assert FROM_S <= first.timestamp_s < TO_S
    assert first.source_frame == round(first.timestamp_s * RATE)
    # As sharp as the frames that are joined: three, half a second apart.
    assert FROM_S - 1.5 <= first.start_s < first.end_s <= TO_S + 1.5
    assert first.score > second.score + 0.1
    # Six frames of the whole are fifty seconds apart.
    [blind] = searcher.in_video(
        video, "a green circle", MomentOptions(top_k=1, every_s=None)
    ).moments
    assert not FROM_S <= blind.timestamp_s < TO_S
