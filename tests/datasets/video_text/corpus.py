"""Small data sets of videos with captions, in the formats as they are distributed."""

import json
from pathlib import Path

from pipeline_lib.config import VideoTextConfig
from pipeline_lib.datasets.video_text import VideoText
from pipeline_lib.datasets.video_text.reading import read_video_text


def put(folder: Path, files: dict[str, object]) -> Path:
    """Write texts, bytes and JSON values; a video is an empty file: lists only look for it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content, indent=1)
            path.write_bytes(text.encode())
    return folder


def videos(root: Path, *names: str) -> None:
    put(root / "videos", dict.fromkeys(names, b""))


def read(root: Path, kind: str, split: str, **options) -> VideoText:
    return read_video_text(VideoTextConfig(kind=kind, **options), root, split)


def texts_of(data: VideoText) -> dict[str, list[str]]:
    """Id of each video to its texts."""
    found: dict[str, list[str]] = {video.id: [] for video in data.videos}
    for text, owner in zip(data.texts, data.video_of_text, strict=True):
        found[data.videos[owner].id].append(text)
    return found


def missing_of(data: VideoText) -> list[tuple[str, int | None]]:
    return [(video.id, video.line) for video in data.missing]
