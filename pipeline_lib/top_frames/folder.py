"""A folder of results for one caption: frames, the scores of all, a picture, and what they are."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.backbones.clip import ClipBackbone
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.pictures.figures import BLUE
from pipeline_lib.pictures.strip import StripRow, StripTile, draw_strip
from pipeline_lib.storage.atomic import write_bytes, write_json
from pipeline_lib.storage.directories import refuse_foreign
from pipeline_lib.storage.png import encode_png
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.top_frames.options import ChoiceOptions
from pipeline_lib.top_frames.ranking import Ranking

RECORD = "frames.json"
_STRIP, _SCORES = "strip.png", "scores.csv"
# Raised whenever the same inputs give other files.
_VERSION = 1
_FRAME = re.compile(r"top_\d{2,}_f\d{6,}\.png")


@dataclass(frozen=True)
class Source:
    """Where a ranking comes from.

    Attributes:
        video: As the user named it.
        facts: What else its record says: model, weights, options.
    """

    video: str
    facts: Mapping[str, Any]


def facts_of(
    model: ClipBackbone, options: ChoiceOptions, video_sha256: str, caption: str
) -> dict[str, Any]:
    """Model, options, and a fingerprint of everything that the chosen frames depend on.

    Args:
        model: That scores frames.
        options: How they are chosen.
        video_sha256: Of the video's bytes.
        caption: What is looked for.
    """
    inputs = {
        "version": _VERSION,
        "video_sha256": video_sha256,
        "caption": caption,
        "model": dict(model.identity),
        "options": options.as_dict(),
    }
    return {
        "video_sha256": video_sha256,
        "model": model.weights_id,
        "weights_sha256": model.weights_sha256,
        "trained": model.trained,
        "precision": model.precision,
        **options.as_dict(),
        "fingerprint": fingerprint(inputs),
    }


def write_frame(folder: Path, ranking: Ranking, index: int, image: NDArray[np.uint8]) -> None:
    """Write the PNG of one chosen frame.

    Args:
        folder: Of the ranking.
        ranking: That chose the frame.
        index: Of the frame among all of its video.
        image: uint8 [H, W, 3].
    """
    position = ranking.source_index[ranking.chosen].tolist().index(index)
    write_bytes(folder / _names(ranking)[position], encode_png(image))


def write_rest(folder: Path, ranking: Ranking, source: Source) -> dict[str, Any]:
    """Write everything but the frames, which are there.

    Args:
        folder: Of the ranking.
        ranking: What was chosen.
        source: Where it comes from.

    Returns:
        The record, as ``frames.json`` has it.
    """
    _write_scores(folder / _SCORES, ranking)
    _write_strip(folder, ranking, source)
    record = _record(ranking, source)
    write_json(folder / RECORD, record)
    return record


def read_record(folder: Path) -> dict[str, Any] | None:
    """What :func:`write_rest` has written; ``None`` where it is not there or not whole."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = [frame["file"] for frame in record["frames"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all((folder / str(name)).is_file() for name in (*files, _STRIP, _SCORES))
    return dict(record) if whole else None


def refuse_foreign_result(folder: Path) -> None:
    """Refuse to replace a folder with anything that was not made here.

    Raises:
        DataError: It holds something else, or is none.
    """
    is_result = (folder / RECORD).exists()
    refuse_foreign(folder, lambda name: is_result and _is_made_here(name), "top-frames")


def _is_made_here(name: str) -> bool:
    return name in (RECORD, _STRIP, _SCORES) or _FRAME.fullmatch(name) is not None


def _names(ranking: Ranking) -> list[str]:
    """File names of the chosen frames, in the order of time."""
    indices = ranking.source_index[ranking.chosen].tolist()
    return [f"top_{number:02d}_f{index:06d}.png" for number, index in enumerate(indices, 1)]


def _record(ranking: Ranking, source: Source) -> dict[str, Any]:
    return {
        "video": source.video,
        "caption": ranking.caption,
        **source.facts,
        "duration_s": ranking.duration_s,
        "sampled_frames": len(ranking.scores),
        "frames": [
            {
                "rank": int(rank),
                "segment": int(ranking.segment[position]),
                "source_index": int(ranking.source_index[position]),
                "time_s": float(ranking.times_s[position]),
                "score": float(ranking.scores[position]),
                "file": name,
            }
            for position, rank, name in zip(
                ranking.chosen, ranking.rank, _names(ranking), strict=True
            )
        ],
    }


def _write_scores(path: Path, ranking: Ranking) -> None:
    chosen = np.zeros(len(ranking.scores), dtype=np.int64)
    chosen[ranking.chosen] = 1
    columns = {
        "source_index": ranking.source_index,
        "time_s": ranking.times_s,
        "score": ranking.scores,
        "segment": ranking.segment,
        "chosen": chosen,
    }
    write_csv(path, pd.DataFrame(columns))


def _write_strip(folder: Path, ranking: Ranking, source: Source) -> None:
    tiles = []
    for position, rank, name in zip(ranking.chosen, ranking.rank, _names(ranking), strict=True):
        words = f"score {ranking.scores[position]:.3f}, rank {rank}"
        frame = f"frame {ranking.source_index[position]}"
        tiles.append(
            StripTile(folder / name, float(ranking.times_s[position]), f"{words}\n{frame}")
        )
    starts = np.flatnonzero(np.diff(ranking.segment)) + 1
    label = "the best frame of each part" if len(starts) else "the best frame"
    draw_strip(
        folder / _STRIP,
        ranking.caption,
        [StripRow(label, tiles, ranking.times_s, ranking.scores, BLUE)],
        length_s=ranking.duration_s if len(ranking.scores) > 1 else 0.0,  # one score is no curve
        parts_s=ranking.times_s[starts].tolist(),
        source=source.video,
    )
