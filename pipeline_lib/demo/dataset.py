"""The demo data set on disk: videos, annotations, questions and captions."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pandas as pd

from pipeline_lib.config import DemoDataConfig
from pipeline_lib.demo.encoding import write_mp4
from pipeline_lib.demo.filming import Film
from pipeline_lib.demo.motion_clips import plan_clips
from pipeline_lib.demo.questions import minutes, questions_about
from pipeline_lib.demo.scenes import Scene, plan
from pipeline_lib.demo.vocabulary import CLIP_MOTIONS, MOTIONS
from pipeline_lib.errors import DataError
from pipeline_lib.runtime.progress import SILENT, Advance, Progress
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.tables import write_csv


def write_demo_data(root: Path, config: DemoDataConfig, progress: Progress = SILENT) -> list[Scene]:
    """Render the demo data set into ``root``.

    The same config gives the same pixels and annotations, and on one machine the same bytes.

    Args:
        root: Gets ``videos/{split}/{class}/{stem}.mp4``, ``annotations/{class}_timestamp.csv``,
            ``qa.json`` and ``captions.json``; and below ``clips`` the videos and captions of
            another, whose classes are motions.
        config: How many videos, how long and how large.
        progress: Told of every video.

    Returns:
        The scripts of the videos, without the clips: the truth the annotations were written from.

    Raises:
        DataError: ``root`` holds other videos, which the annotations would not know.
    """
    scenes, clips = plan(config), plan_clips(config.motions, config.seed)
    motions = config.motions
    with progress.task("render the demo videos", len(scenes) + len(clips)) as advance:
        _render(root, scenes, config.seed, (config.width, config.height), advance)
        _render(root / "clips", clips, config.seed, (motions.width, motions.height), advance)
    for class_name in sorted({scene.class_name for scene in scenes if scene.events}):
        of_class = [scene for scene in scenes if scene.class_name == class_name]
        table = _annotations(of_class, config.seed)
        write_csv(root / "annotations" / f"{class_name}_timestamp.csv", table)
    write_json(
        root / "qa.json", {"data": [q for s in scenes for q in questions_about(s, config.seed)]}
    )
    write_json(root / "captions.json", {"data": [c for s in scenes for c in _moments(s)]})
    write_json(
        root / "clips" / "captions.json",
        {"data": [c for s in clips for c in _captions(s, CLIP_MOTIONS)]},
    )
    return scenes


def _render(
    root: Path, scenes: list[Scene], seed: int, size: tuple[int, int], advance: Advance
) -> None:
    videos = root / "videos"
    _refuse_strangers(videos, {scene.video_path for scene in scenes})
    for scene in scenes:
        film = Film(scene, seed, *size)
        write_mp4(videos / scene.video_path, film.frames(), scene.timing, size)
        advance(note=scene.stem)


def _refuse_strangers(videos: Path, planned: set[str]) -> None:
    for path in sorted(videos.rglob("*")):
        relative = path.relative_to(videos).as_posix()
        if path.is_file() and not path.name.startswith(".") and relative not in planned:
            raise DataError(
                f"{path}: not a video of this demo data set.",
                hint=f"Remove {videos.parent} to render it again, or choose another folder.",
            )


def _annotations(scenes: list[Scene], seed: int) -> pd.DataFrame:
    """One row an event, in the ways people write file names and times."""
    rows = []
    for scene in scenes:
        rng = numpy_stream(seed, "demo annotations", scene.stem)
        name = scene.stem + (".mp4" if rng.random() < 0.5 else "")
        write = (_seconds, minutes)[rng.integers(2)]
        rows += [(name, write(event.start_s), write(event.end_s)) for event in scene.events]
    return pd.DataFrame(rows, columns=["file_name", "start_time", "end_time"])


def _seconds(time: Fraction) -> str:
    """``7.25``."""
    return f"{float(time):.2f}"


def _moments(scene: Scene) -> list[dict[str, object]]:
    """What is said of the events of a long video, and when it is true."""
    return [
        {
            **said,
            "start_s": float(event.start_s),
            "end_s": float(event.end_s),
        }
        for said, event in zip(_captions(scene, MOTIONS), scene.events, strict=True)
    ]


def _captions(scene: Scene, words: Mapping[str, str]) -> list[dict[str, object]]:
    return [
        {
            "id": f"{scene.stem}_{number}",
            "video_path": scene.video_path,
            "caption": f"a {event.kind.words} {words[event.motion]}",
            "colour": event.kind.colour,
            "shape": event.kind.shape,
            "motion": event.motion,
        }
        for number, event in enumerate(scene.events)
    ]
