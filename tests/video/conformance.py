"""What a decoder makes of a file whose truth is known, as one word for a table."""

import re
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np

from pipeline_lib.errors import VideoError
from pipeline_lib.video.reader import TIME_TOLERANCE_S, open_video
from tests.video.corpus import KINDS, Truth

DOCUMENT = Path(__file__).parents[2] / "docs" / "decoders.md"
EXACT = "exact"


def available(decoder: str) -> bool:
    needs = {"decord": "decord", "opencv": "cv2", "torchcodec": "torchcodec"}
    if decoder == "ffmpeg":
        return which("ffmpeg") is not None
    return decoder not in needs or find_spec(needs[decoder]) is not None


def asked_times(truth: Truth, seed: int = 0) -> np.ndarray:
    """The moment of every frame, and moments between, none where rounding could go either way."""
    rng = np.random.default_rng(seed)
    ends = np.append(truth.pts_s[1:], truth.pts_s[-1] + 0.04)
    inside = rng.uniform(truth.pts_s + 0.0015, ends - 0.0015)
    return np.sort(np.concatenate([truth.pts_s + 0.0015, inside]))


def outcome(decoder: str, path: Path, truth: Truth) -> str:
    """``exact``, ``refused: why``, or ``wrong: what``."""
    times = asked_times(truth)
    numbers, pts_s = [], []
    try:
        with open_video(path, decoder=decoder, threads=1) as video:
            for sample in video.until_end(times):
                numbers.append(truth.read(sample.rgb()))
                pts_s.append(sample.pts_s)
    except VideoError as error:
        what = error.message.removeprefix(f"{path}: ")
        what = re.sub(rf"^{decoder} \S+( on \w+)? ", "", what)
        return "refused: " + re.sub(r" \(.*", "", what).rstrip(".")
    if numbers != [truth.number_at(time) for time in times]:
        return "wrong: other frames"
    shown = np.searchsorted(truth.pts_s - TIME_TOLERANCE_S, times, side="right") - 1
    if np.abs(np.array(pts_s) - truth.pts_s[shown]).max() > truth.tick_s:
        return "wrong: other times"
    if video.errors or video.damage or video.frames != len(truth.numbers):
        return f"wrong: {video.frames} frames, {video.errors} errors, {video.damage}"
    return EXACT


def documented() -> dict[tuple[str, str], str]:
    """Decoder and kind to outcome, as the document's table has it."""
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    head = next(row for row in rows if row[0] == "file")
    return {
        (decoder, row[0].strip("`")): cell
        for row in rows
        if row[0].strip("`") in KINDS
        for decoder, cell in zip(head[1:], row[1:], strict=True)
    }
