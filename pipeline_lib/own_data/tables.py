"""The annotation tables of a folder: which there are, whose rows are whose, what is wrong."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from pipeline_lib.annotations.events_csv import EventRow, sift_events
from pipeline_lib.annotations.folder import table_paths
from pipeline_lib.annotations.matching import StemIndex
from pipeline_lib.annotations.names import match_name, stem_of
from pipeline_lib.annotations.timestamps import FORMS
from pipeline_lib.errors import DataError, did_you_mean, nearest
from pipeline_lib.own_data.findings import Findings
from pipeline_lib.own_data.source import Source, SourceVideo, with_class
from pipeline_lib.paths import nfc

_ENDING = "_timestamp.csv"
# An event that ends this little after its video was meant to end with it.
_CUT_S = 1.0
# Lost rows for which the nearest name is looked up.
_SUGGESTED = 10


@dataclass(frozen=True)
class Entry:
    """A row of a table.

    Attributes:
        path: The table.
        row: Its content.
        class_name: What the row, or the table's name, says; empty where neither does.
    """

    path: Path
    row: EventRow
    class_name: str

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.path}:{self.row.line}"

    @property
    def times(self) -> tuple[float, float]:
        """Start and end in seconds."""
        return self.row.start_s, self.row.end_s


def read_entries(source: Source, building: bool, findings: Findings) -> tuple[Entry, ...]:
    """Read all tables of a folder.

    Args:
        source: The folder; tables lie in ``annotations/``, or beside or above the videos.
        building: The project's layout is built, so tables may be named freely if a column says
            the class.
        findings: Gets each row that cannot be used, with its line.
    """
    classes = sorted({video.class_name for video in source.videos} - {""})
    entries = []
    for path in _tables(source):
        try:
            rows, bad = sift_events(path)
        except DataError as error:
            findings.refused("table", path, error)
            continue
        for row in bad:
            forms = FORMS if "not a time" in row.says or "60 or more" in row.says else ""
            findings.error("row", f"{path}:{row.line}", f"{row.says}.", forms)
        name = _table_class(path, classes, any(row.label for row in rows))
        if name is None:
            findings.error("table", path, *_unnamed(path, classes))
            continue
        if not building and not nfc(path.name).lower().endswith(_ENDING):
            findings.error("table", path, f"is not named {{class}}{_ENDING}.",
                           "Rename it, or let --into FOLDER write one table a class.")  # fmt: skip
        entries += [Entry(path, row, name or row.label) for row in rows]
        if not rows and not bad:
            findings.warning("table", path, "has a header and no events.")
    for entry in entries:
        if not entry.class_name:
            findings.error("row", entry.where, "names no class.", "Fill in the class.")
    return tuple(entry for entry in entries if entry.class_name)


def give_classes(
    source: Source, entries: Sequence[Entry], normal_class: str, findings: Findings
) -> list[SourceVideo]:
    """Tell the class of each video: its folder, else the table that names it.

    In a folder without any class folder, videos that no table names are of the normal class.

    Args:
        source: The videos.
        entries: The rows of all tables.
        normal_class: The class without events.
        findings: Gets videos of two classes, and such as no class is known of.

    Returns:
        The videos with a class.
    """
    loose = [video for video in source.videos if not video.class_name]
    bare = len(loose) == len(source.videos)
    said = _said_by_tables(loose, entries)
    placed, outside = [], []
    by_table = source.kind != "project"  # there only the folder counts
    for video in source.videos:
        classes = sorted(said.get(video, ()))
        if video.class_name:
            placed.append(video)
        elif by_table and len(classes) > 1:
            first, second = (said[video][name].where for name in classes[:2])
            findings.error(
                "two_classes", video.path, f"has events of {' and '.join(classes)} ({first}, "
                f"{second}); a video has one class.", "Cut it in two, or keep one kind of event.",
            )  # fmt: skip
        elif by_table and (classes or bare):
            placed.append(with_class(video, classes[0] if classes else normal_class))
        else:
            outside.append(video)
    for video in outside:
        findings.warning("outside", video.path, "lies in no class folder and is left out.",
                         "Move it into the folder of its class.")  # fmt: skip
    if bare and by_table and entries:
        unnamed = sum(not said.get(video) for video in source.videos)
        if unnamed:
            findings.note("class", source.base, f"{unnamed} videos that no table names are taken "
                          f"for class {normal_class!r}.")  # fmt: skip
    return placed


def _said_by_tables(
    videos: Iterable[SourceVideo], entries: Sequence[Entry]
) -> Mapping[SourceVideo, dict[str, Entry]]:
    """For each video the classes that tables name it in, each with the first such row."""
    by_stem: defaultdict[str, list[SourceVideo]] = defaultdict(list)
    for video in videos:
        by_stem[PurePosixPath(video.stem).name].append(video)
    index = StemIndex(f"//{stem}" for stem in by_stem)
    said: defaultdict[SourceVideo, dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        for name in index.find(PurePosixPath(entry.row.file_name).name):
            for video in by_stem[name.removeprefix("//")]:
                said[video].setdefault(entry.class_name, entry)
    return said


def place_entries(
    entries: Sequence[Entry], lengths: Mapping[str, float], findings: Findings
) -> dict[str, list[Entry]]:
    """Give every row to its videos and check it against them.

    Args:
        entries: The rows of all tables.
        lengths: Video id to seconds.
        findings: Gets rows without a video, of another class, beyond the end, or overlapping.

    Returns:
        Video id to the rows that lie in it, in time order.
    """
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    for video in lengths:
        by_class[video.split("/", 2)[1]].append(video)
    classes = sorted(by_class)
    indexes = {name: StemIndex(videos) for name, videos in by_class.items()}
    everywhere, lost = StemIndex(lengths), 0
    placed: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        name = match_name(entry.class_name, classes)
        found = _videos_of(indexes[name], entry.row.file_name) if name else []
        if not found:
            lost += 1
            # Looking for the nearest of thousands of names takes long.
            alike = indexes[name].exact if name and lost <= _SUGGESTED else ()
            _note_lost(entry, name, classes, _videos_of(everywhere, entry.row.file_name), alike,
                       findings)  # fmt: skip
        for video in found:
            if _lies_inside(entry, video, lengths[video], findings):
                placed[video].append(entry)
    for video, rows in placed.items():
        rows.sort(key=lambda entry: entry.times)
        _note_overlaps(video, rows, findings)
    return dict(sorted(placed.items()))


def _tables(source: Source) -> list[Path]:
    folders = [source.folder / "annotations"]
    if source.kind != "project":
        folders += [source.folder, *([source.base] if source.base != source.folder else [])]
    return [path for folder in folders for path in table_paths(folder)]


def _table_class(path: Path, classes: Sequence[str], labelled: bool) -> str | None:
    """The class of a table; empty where each row says it, ``None`` where nothing does."""
    name = nfc(path.name)
    if name.lower().endswith(_ENDING):
        written = name[: -len(_ENDING)]
        return match_name(written, classes) or written
    if labelled:
        return ""
    return match_name(nfc(path.stem), classes)


def _unnamed(path: Path, classes: Sequence[str]) -> tuple[str, str]:
    known = f" {did_you_mean(path.stem, classes)}" if classes else ""
    return (
        "does not say which class its events are of.",
        f"Name it {{class}}{_ENDING}, or add a column 'class'.{known}",
    )


def _videos_of(index: StemIndex, name: str) -> list[str]:
    """The videos that a row means; a path in it may name folders of the user's own."""
    return index.find(name) or index.find(PurePosixPath(name.replace("\\", "/")).name)


def _note_lost(
    entry: Entry,
    name: str | None,
    classes: Sequence[str],
    elsewhere: Sequence[str],
    alike: Iterable[str],
    findings: Findings,
) -> None:
    written = entry.row.file_name
    if name is None:
        findings.error("class", entry.where, f"there is no class {entry.class_name!r}.",
                       did_you_mean(entry.class_name, classes))  # fmt: skip
    elif elsewhere:
        findings.error("class", entry.where, f"says {written!r} is of class {name!r}, but the "
                       f"video lies in {elsewhere[0].split('/')[1]!r}.",
                       "Move the row or the video.")  # fmt: skip
    else:
        near = nearest(stem_of(written), alike)
        hint = f"Is {near!r} meant?" if near else "Its event is lost."
        findings.warning("no_video", entry.where, f"no video {written!r} of class {name!r}.", hint)


def _lies_inside(entry: Entry, video: str, length: float, findings: Findings) -> bool:
    start, end = entry.times
    span = f"[{start:g}, {end:g}) s"
    if start >= length:
        findings.error("beyond_end", entry.where, f"{span} starts after the end of {video} "
                       f"({length:g} s).", "Correct the times, or remove the row.")  # fmt: skip
        return False
    if end > length + _CUT_S:
        findings.warning("beyond_end", entry.where, f"{span} ends after {video} ({length:g} s) and "
                         "is cut there.")  # fmt: skip
    return True


def _note_overlaps(video: str, rows: Iterable[Entry], findings: Findings) -> None:
    for one, other in pairwise(rows):
        if other.times[0] < one.times[1]:
            findings.warning("overlap", other.where, f"overlaps with line {one.row.line} in "
                             f"{video}; they count as one event.")  # fmt: skip
