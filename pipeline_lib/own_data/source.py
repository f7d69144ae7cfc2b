"""How the videos of a folder lie, and what else is there."""

import errno
import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.errors import DataError
from pipeline_lib.own_data.findings import Findings, some
from pipeline_lib.paths import VIDEO_SUFFIXES, name_fault, nfc, same_file_key
from pipeline_lib.video.files import files_below

Kind = Literal["project", "splits", "classes", "flat"]
LAYOUTS = (
    "Known layouts: {train,val,test}/{class}/x.mp4; {class}/x.mp4; or videos in one folder beside "
    "tables that say which video has which events."
)
_SPLIT_NAMES = {
    **{split: split for split in SPLITS},
    **{"training": "train", "valid": "val", "validation": "val", "dev": "val"},
    **{"testing": "test", "eval": "test"},
}
# What lies beside videos without being meant as one.
_COMPANIONS = (
    {".csv", ".json", ".jsonl", ".txt", ".md", ".srt", ".vtt", ".yaml", ".yml", ".xml", ".html"}
    | {".jpg", ".png", ".pdf", ".wav", ".mp3", ".npy", ".npz", ".parquet", ".log"}
    | {".zip", ".tar", ".gz", ".dvc"}
)
_SHEETS = frozenset({".xlsx", ".xls", ".ods", ".numbers"})


@dataclass(frozen=True)
class SourceVideo:
    """A video as it lies in the user's folder.

    Attributes:
        path: The file.
        relative: Its path below the folder of the videos, NFC.
        split: Empty where none is known yet.
        class_name: Empty where none is known yet.
        stem: Its name below split and class, without suffix.
    """

    path: Path
    relative: str
    split: str
    class_name: str
    stem: str

    @property
    def id(self) -> str:
        """``{split}/{class}/{stem}``."""
        return f"{self.split}/{self.class_name}/{self.stem}"

    @property
    def place(self) -> str:
        """Its path below ``videos/`` in the project's layout."""
        return self.id + Path(self.relative).suffix


@dataclass(frozen=True)
class Source:
    """The videos of a folder.

    Attributes:
        folder: What the user named.
        base: The folder of the videos: ``folder``, or ``videos`` in it.
        kind: ``project`` is what the pipeline reads; ``splits`` has splits (perhaps called
            otherwise), ``classes`` classes only, ``flat`` neither.
        videos: Sorted by ``relative``.
    """

    folder: Path
    base: Path
    kind: Kind
    videos: tuple[SourceVideo, ...]


def read_source(folder: Path, exclude: Iterable[str], findings: Findings) -> Source:
    """Find the videos of a folder and tell how they lie.

    Args:
        folder: The user's folder.
        exclude: Paths below the folder of the videos that are left out.
        findings: Gets hidden and dead files, unknown suffixes and names that clash.

    Raises:
        DataError: There is no such folder, no video in it, or the folder above it is meant.
    """
    if not folder.is_dir():
        what = "is a file; name the folder it lies in" if folder.is_file() else "no such folder"
        raise DataError(f"{folder}: {what}.", hint=LAYOUTS)
    base = folder / "videos" if (folder / "videos").is_dir() else folder
    _look_around(base, findings)
    files = files_below(base, VIDEO_SUFFIXES)
    for name in map(nfc, exclude):
        files.pop(name, None)
    if not files:
        known = " ".join(sorted(VIDEO_SUFFIXES))
        raise DataError(f"{base}: holds no videos.", hint=f"Known suffixes: {known}.")
    _note_spellings(files, findings)
    kind = _kind(base, list(files))
    _refuse_videos_alone(folder, base, kind)
    _note_beside_splits(base, kind, files, findings)
    single = ((name, paths[0]) for name, paths in sorted(files.items()))
    videos = [_placed(path, name, kind) for name, path in single]
    _note_clashes(base, videos, findings)
    return Source(folder, base, kind, tuple(videos))


def split_named(name: str) -> str:
    """The split that a folder's name means; empty where it means none."""
    return _SPLIT_NAMES.get(name.casefold(), "")


def _kind(base: Path, names: Sequence[str]) -> Kind:
    first = {name.split("/", 1)[0] for name in names if "/" in name}
    splits = [name for name in first if split_named(name)]
    meant = Counter(map(split_named, splits))
    twice = [split for split, count in meant.items() if count > 1]
    if twice:
        both = ", ".join(sorted(name for name in splits if split_named(name) == twice[0]))
        raise DataError(f"{base}: {both} both mean {twice[0]}.", hint="Join or rename them.")
    if splits:
        deep = any(name.count("/") > 1 and split_named(name.split("/")[0]) for name in names)
        exact = base.name == "videos" and set(splits) <= set(SPLITS)
        return "project" if exact and deep else "splits"
    return "classes" if first else "flat"


def _refuse_videos_alone(folder: Path, base: Path, kind: Kind) -> None:
    """Refuse ``videos`` of a data root in the root's place: the pipeline looks for it below."""
    above = folder.resolve().parent
    if base == folder and (kind == "project" or _is_in_root(folder)):
        raise DataError(
            f"{folder}: is the 'videos' of a data root; annotations lie beside it.",
            hint=f"Name the folder above: clipline init {shlex.quote(str(above))}",
        )


def _is_in_root(folder: Path) -> bool:
    whole = folder.resolve()
    return whole.name == "videos" and (whole.parent / "annotations").is_dir()


def _note_beside_splits(base: Path, kind: Kind, names: Iterable[str], findings: Findings) -> None:
    """Folders beside splits: of a class called ``train`` its neighbours tell."""
    first = {name.split("/", 1)[0] for name in names if "/" in name}
    others = sorted(name for name in first if not split_named(name))
    if kind not in ("project", "splits") or not others:
        return
    splits = ", ".join(sorted(first - set(others)))
    findings.error(
        "beside", base, f"{some(others)} beside {splits}, which names a split: nothing is known of "
        "their split.", f"If {splits} is a class, rename it; else move the others into a split.",
    )  # fmt: skip


def _placed(path: Path, name: str, kind: Kind) -> SourceVideo:
    parts = name.rsplit(".", 1)[0].split("/")
    split = class_name = ""
    if kind in ("project", "splits") and len(parts) > 1:
        split = split_named(parts[0])
        parts = parts[1:] if split else parts
    # Of folders that are no split beside splits nothing is known.
    if len(parts) > 1 and (split or kind == "classes"):
        class_name, parts = parts[0], parts[1:]
    return SourceVideo(path, name, split, class_name, "/".join(parts))


def _look_around(base: Path, findings: Findings) -> None:
    """What the readers leave out in silence, or stop at."""
    unread: list[str] = []
    hidden: list[str] = []
    strange: defaultdict[str, list[str]] = defaultdict(list)

    def refused(error: OSError) -> None:
        unread.append(str(error.filename))

    for folder, folders, names in os.walk(base, onerror=refused):
        _note_linked_folders(Path(folder), folders, findings)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(names):
            path, suffix = Path(folder, name), Path(name).suffix.lower()
            if _leads_in_a_circle(path):
                raise DataError(f"{path}: is a link to itself.", hint="Remove it.")
            if name.startswith("."):
                hidden += [str(path)] * (suffix in VIDEO_SUFFIXES)
            elif suffix not in VIDEO_SUFFIXES | _COMPANIONS:
                strange[suffix].append(str(path))
    if unread:
        raise DataError(
            f"{some(sorted(unread))}: cannot be opened.", hint="Check who may read there."
        )
    if hidden:
        findings.note("hidden", base, f"hidden files are skipped: {some(hidden)}.")
    for suffix, paths in sorted(strange.items()):
        findings.warning(
            "suffix", paths[0],
            f"skipped; the suffix {suffix or '(none)'} is not known ({len(paths)} in all).",
            "Save each sheet as 'CSV UTF-8 (comma delimited)'." if suffix in _SHEETS
            else f"Videos end in one of: {' '.join(sorted(VIDEO_SUFFIXES))}.",
        )  # fmt: skip


def _leads_in_a_circle(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _note_linked_folders(parent: Path, names: Iterable[str], findings: Findings) -> None:
    for name in names:
        if (parent / name).is_symlink():
            findings.warning(
                "linked_folder", parent / name,
                "is a link to a folder: DVC sees it as empty, and no change in it.",
                "Put the folder itself there, or links to the single files (--into makes them).",
            )  # fmt: skip


def _note_spellings(files: Mapping[str, Sequence[Path]], findings: Findings) -> None:
    for paths in files.values():
        if len(paths) > 1:
            findings.error(
                "spelling", paths[0],
                f"{len(paths)} files have this name in different Unicode forms.",
                "Rename or remove all but one.",
            )  # fmt: skip


def _note_clashes(base: Path, videos: Sequence[SourceVideo], findings: Findings) -> None:
    """Videos that would share the name of their features, and names that cannot be used."""
    sharing: defaultdict[str, list[SourceVideo]] = defaultdict(list)
    for video in videos:
        sharing[same_file_key(video.id)].append(video)
        parts = [video.class_name, *video.stem.split("/")]
        fault = next((fault for fault in map(name_fault, filter(None, parts)) if fault), None)
        if fault:
            findings.warning("name", base / video.relative, f"its name is unsafe: {fault}.",
                             "Rename it.")  # fmt: skip
    for same in sharing.values():
        if len(same) > 1:
            first, *others = (video.relative for video in same)
            findings.error(
                "same_stem", base / first, f"has the name of {some(others)} but for the suffix "
                "or letter case; both would have the same features.",
                "Rename or remove one.",
            )  # fmt: skip


def with_split(video: SourceVideo, split: str) -> SourceVideo:
    """``video`` in another split."""
    return replace(video, split=split)


def with_class(video: SourceVideo, class_name: str) -> SourceVideo:
    """``video`` in another class."""
    return replace(video, class_name=class_name)
