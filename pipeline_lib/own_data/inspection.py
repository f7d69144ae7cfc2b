"""The whole look at a folder: how it lies, what is wrong, what it is enough for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline_lib.annotations.names import match_name
from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.own_data.checks import (
    check_annotated,
    check_classes_and_splits,
    check_normal_class,
)
from pipeline_lib.own_data.companions import (
    CAPTIONS,
    Companion,
    VideoNames,
    check_captions,
    check_questions,
)
from pipeline_lib.own_data.findings import Findings
from pipeline_lib.own_data.numbers import rough_numbers
from pipeline_lib.own_data.probing import note_copies, probe_videos
from pipeline_lib.own_data.source import Source, SourceVideo, read_source
from pipeline_lib.own_data.splitting import Shares, assign_splits
from pipeline_lib.own_data.tables import Entry, give_classes, place_entries, read_entries
from pipeline_lib.paths import nfc
from pipeline_lib.runtime.progress import SILENT, Progress


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user wants.

    Attributes:
        folder: Where the data is.
        into: Where the project's layout is built; ``None`` where it is not.
        shares: Of train, val and test, where they are drawn.
        seed: Of that draw.
        normal_class: The class without events; ``None`` is that of the parameters.
        clip: ``MODEL:WEIGHTS``; ``None`` leaves the CLIP as it is.
        exclude_broken: Leave out videos that cannot be used.
        force: Go on in spite of errors.
        dry_run: Write nothing.
    """

    folder: Path
    into: Path | None
    shares: Shares
    seed: int
    normal_class: str | None
    clip: str | None
    exclude_broken: bool = False
    force: bool = False
    dry_run: bool = False

    @property
    def root(self) -> Path:
        """The data root that the parameters will name."""
        return self.into or self.folder


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a folder holds.

    Attributes:
        source: How it lies.
        videos: The sound videos, with split and class.
        broken: Paths of the others, below the folder of the videos.
        rows: Video id to its annotated events.
        classes: Of the training split.
        normal: The one without events, where there is one.
        names: Which video an item of a companion file means.
        questions: The question file, where there is one.
        captions: The caption file, where there is one.
        numbers: Videos, hours, events and windows.
        findings: What is wrong.
    """

    source: Source
    videos: Sequence[SourceVideo]
    broken: Sequence[str]
    rows: Mapping[str, Sequence[Entry]]
    classes: tuple[str, ...]
    normal: str | None
    names: VideoNames
    questions: Companion | None
    captions: Companion | None
    numbers: Mapping[str, Any]
    findings: Findings = field(default_factory=Findings)

    @property
    def as_it_is(self) -> bool:
        """Whether the pipeline can read the folder without a new layout."""
        return self.source.kind == "project"


def inspect(asked: Asked, params: Params, progress: Progress = SILENT) -> Inspection:
    """Look at a folder; nothing is written.

    Args:
        asked: What the user wants.
        params: The present parameters: windows are counted by them.
        progress: Told of the videos.

    Raises:
        ConfigError: The normal class that was asked for is none.
        DataError: The folder holds no videos.
    """
    findings = Findings()
    same_root = Path(params.data.root).resolve() == asked.folder.resolve()
    exclude = params.data.exclude if same_root else ()
    source = read_source(asked.folder, exclude, findings)
    building = asked.into is not None or source.kind != "project"
    entries = read_entries(source, building, findings)
    wanted = nfc(asked.normal_class or params.train.normal_class)
    placed = give_classes(source, entries, wanted, findings)
    facts = probe_videos(placed, asked.exclude_broken, findings, progress)
    copies = note_copies(facts, findings)
    videos = list(facts)
    if source.kind != "project":
        videos = assign_splits(videos, asked.shares, asked.seed, copies)
    lengths = {new.id: facts[old].seconds for old, new in zip(facts, videos, strict=True)}
    classes = check_classes_and_splits(source.base, videos, findings)
    if asked.normal_class and classes and match_name(wanted, classes) is None:
        raise ConfigError(
            f"--normal-class {wanted!r} is no class of {source.base}.",
            hint=did_you_mean(wanted, classes),
        )
    normal = check_normal_class(source.base, classes, wanted, findings)
    broken = [video for video in placed if video not in facts]
    rows = place_entries(_not_about(broken, entries), lengths, findings)
    counted = replace(params, train=replace(params.train, normal_class=normal or wanted))
    folder = source.folder / "annotations"
    check_annotated(folder, videos, rows, normal, counted.train.coop, findings)
    names = VideoNames(source, videos, exact=not building)
    questions = check_questions(source.folder / params.data.questions, names, findings)
    captions = check_captions(source.folder / CAPTIONS, names, not building, findings)
    return Inspection(
        source=source,
        videos=videos,
        broken=[video.relative for video in broken],
        rows=rows,
        classes=classes,
        normal=normal,
        names=names,
        questions=questions,
        captions=captions,
        numbers=rough_numbers(lengths, rows, counted, normal),
        findings=findings,
    )


def _not_about(broken: Sequence[SourceVideo], entries: Sequence[Entry]) -> list[Entry]:
    """The rows that name no video of which was told already that it is broken."""
    told = {name for video in broken for name in (video.stem, Path(video.relative).name)}
    return [entry for entry in entries if Path(entry.row.file_name).name not in told]
