"""Reading: one pass against a seek for every frame, and a few frames of a long video."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import options, report, rounded, side_by_side, write_video
from pipeline_lib.video.decoders.pyav import open_pyav
from pipeline_lib.video.reader import open_video, read_frames


def seek_each(path: Path, numbers: range) -> int:
    """Set the position before every read, as scripts on the web do."""
    video = cv2.VideoCapture(str(path))
    read = 0
    for number in numbers:
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        read += bool(video.read()[0])
    return read


def one_pass(path: Path, times: list[float]) -> int:
    """Every wanted frame in one sequential pass, at full resolution."""
    with open_video(path, threads=1) as video:
        return sum(1 for sample in video.at(times) if sample.rgb().size)


def all_frames(path: Path) -> int:
    """Decode everything there is."""
    with open_pyav(path, threads=1) as decoder:
        return sum(1 for _ in decoder)


def main() -> None:
    """Measure and report."""
    given = options(__doc__ or "").parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        short = given.video or write_video(Path(folder) / "short.mp4", 10, size=(640, 360))
        long = write_video(Path(folder) / "long.mp4", 200, size=(320, 180))
        few = [20.0, 70.0, 120.0, 190.0]
        costs = side_by_side(
            {
                "300 frames, a seek each": lambda: seek_each(short, range(300)),
                "300 frames, one pass": lambda: one_pass(short, (np.arange(300) / 30).tolist()),
                "4 of 6000 frames": lambda: read_frames(long, few),
                "6000 frames decoded": lambda: all_frames(long),
            },
            given.rounds,
        )
    figures = {
        "costs": rounded(costs),
        "seek_each_over_one_pass": round(
            costs["300 frames, a seek each"].cpu_s / costs["300 frames, one pass"].cpu_s, 1
        ),
        "one_pass_over_keyframe_seeks": round(
            costs["6000 frames decoded"].cpu_s / costs["4 of 6000 frames"].cpu_s, 1
        ),
    }
    report("reading", figures, save=given.save)


if __name__ == "__main__":
    main()
