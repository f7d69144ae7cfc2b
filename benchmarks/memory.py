"""Resident memory of an extraction: of a long video, and over many short ones."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.clip_extraction import BATCH, CLIP, CONFIG
from benchmarks.common import (
    PeakMemory,
    options,
    repeat_video,
    report,
    resident_mb,
    write_video,
)
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import ClipBackbone, load_clip
from pipeline_lib.config import RuntimeConfig
from pipeline_lib.extraction.executors import Run
from pipeline_lib.extraction.executors.base import Settings
from pipeline_lib.extraction.output import Output
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.runtime.lanes import Lanes
from pipeline_lib.video.files import find_videos


def extract(folder: Path, out: Path, clip: ClipBackbone) -> None:
    """A whole extraction."""
    settings = Settings(("clip",), CONFIG, RuntimeConfig(device="cpu"), out)
    run = Run(settings, [Output("clip", clip, CONFIG, out / "clip")])
    [done] = Extraction(run, own_directory=True).extract(find_videos(folder))
    assert not done.failures


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--many", type=int, default=200)
    given = parser.parse_args()
    clip = load_clip(CLIP, Placement(precision="bf16", batch_size=BATCH))
    blank = np.zeros((clip.resize.size, clip.resize.size, 3), np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        twenty = given.video or write_video(folder / "twenty.mp4", 20)
        clip.encode([blank])
        loaded = resident_mb()
        with PeakMemory() as alone, Lanes(clip.device) as lanes:
            for batch in [lanes.submit(clip.encode, [blank] * BATCH) for _ in range(20)]:
                batch.result()
        (folder / "long").mkdir()
        long = folder / "long" / "ten_minutes.mp4"
        if given.video:
            shutil.copy(given.video, long)
        else:
            repeat_video(twenty, long, 30)
        with PeakMemory() as long_run:
            extract(folder / "long", folder / "out_long", clip)
        short = write_video(folder / "short.mp4", 2, size=(640, 360))
        for n in range(given.many):
            (folder / "many").mkdir(exist_ok=True)
            shutil.copy(short, folder / "many" / f"{n:03}.mp4")
        (folder / "few").mkdir()
        for n in range(20):
            shutil.copy(short, folder / "few" / f"{n:03}.mp4")
        extract(folder / "few", folder / "out_few", clip)
        before = resident_mb()
        extract(folder / "many", folder / "out_many", clip)
        after = resident_mb()
    figures = {
        "runtime_and_model_mb": round(loaded),
        "model_alone_peak_above_mb": round(alone.peak_mb - loaded),
        "ten_minutes_peak_above_mb": round(long_run.peak_mb - loaded),
        "ten_minutes_peak_above_model_alone_mb": round(long_run.peak_mb - alone.peak_mb),
        "many": given.many,
        "growth_over_many_mb": round(after - before, 1),
    }
    report("memory", figures, save=given.save)


if __name__ == "__main__":
    main()
