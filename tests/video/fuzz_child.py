"""Decode the files named on the command line and report each as one line of JSON.

Runs in a process of its own, so that a crash or a hang is seen from outside.
"""

import json
import sys
import time
from pathlib import Path

from pipeline_lib.errors import VideoError
from pipeline_lib.video.reader import open_video
from tests.support.video_files import read_number

RATE = 25


def reads_cleanly(image) -> bool:
    """Whether every cell of the burnt-in number is black or white, and the mark beside it red."""
    if image.shape != (96, 256, 3):
        return False
    cells = image[20:28, 20:212].reshape(8, 12, 16, 3)[:, :, :8].astype(int)
    plain = ((cells < 40) | (cells > 215)).all(axis=(0, 2, 3))
    red = abs(image[56, 24].astype(int) - (255, 0, 0)).max() < 60
    return bool(plain.all() and red)


def report(path: Path) -> dict:
    begin = time.monotonic()
    shown, reason = [], None
    try:
        with open_video(path, threads=1) as video:
            for frame in video.until_end(k / (2 * RATE) for k in range(2 * 200)):
                flagged = video.errors > 0 or video.damage is not None
                image = frame.rgb()
                number = read_number(image) if reads_cleanly(image) else None
                shown.append((frame.pts_s + video.start_s, frame.source_index, number, flagged))
            reason = video.damage.reason if video.damage else "sound"
        with open_video(path, threads=1) as video:
            for frame in video.at([0.5, 1.9]):
                frame.rgb()
        with open_video(path) as video:
            for frame in video.until_end(float(k) for k in range(9)):
                frame.rgb()
    except VideoError as error:
        reason = error.reason
    return {"shown": shown, "reason": reason, "seconds": time.monotonic() - begin}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(json.dumps({"file": name, **report(Path(name))}), flush=True)
