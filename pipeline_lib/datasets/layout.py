"""The videos of a data set: ``<root>/videos/{train,val,test}/{class}/{stem}.mp4``."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import DataError, did_you_mean, nearest
from pipeline_lib.paths import nfc
from pipeline_lib.video.files import FoundVideos

SPLITS = ("train", "val", "test")
_LISTED = 3


@dataclass(frozen=True)
class VideoId:
    """The parts of ``{split}/{class}/{stem}``."""

    split: str
    class_name: str
    stem: str


def parse_id(video_id: str) -> VideoId | None:
    """The parts of a video id, or ``None`` for a video outside ``{split}/{class}/``."""
    parts = video_id.split("/", 2)
    return VideoId(*parts) if len(parts) == 3 and parts[0] in SPLITS else None


def spread_over_classes(video_ids: Iterable[str], limit: int) -> list[str]:
    """At most ``limit`` videos, as evenly over splits and classes as they come, in their order.

    Within a class of a split they are taken at even distances. The same ids give the same choice.

    Args:
        video_ids: Videos of a split.
        limit: Most videos to choose.
    """
    ids = list(video_ids)
    if limit >= len(ids):
        return ids
    members: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for video_id in ids:
        split, class_name, _ = video_id.split("/", 2)
        members[class_name, split].append(video_id)
    turns = sorted((turn, group) for group, found in members.items() for turn in range(len(found)))
    shares = Counter(group for _, group in turns[:limit])
    chosen = {
        members[group][(2 * k + 1) * len(members[group]) // (2 * share)]
        for group, share in shares.items()
        for k in range(share)
    }
    return [video_id for video_id in ids if video_id in chosen]


def check_classes(classes_of: Mapping[str, Iterable[str]], source: str) -> tuple[str, ...]:
    """The classes of the training split, sorted; no other split may have more.

    Where there is no training split, they are those of the others: what was trained elsewhere can
    be measured on them.

    Args:
        classes_of: Split to its classes.
        source: Where they were found, for the message.

    Raises:
        DataError: There is no class, or a split has one that ``train`` has not and that so could
            never be predicted; the hint names the nearest.
    """
    known = sorted(set(classes_of["train"]) or set().union(*classes_of.values()))
    if not known:
        raise DataError(
            f"{source}: no video of a split.",
            hint="Videos lie in <data.root>/videos/{train,val,test}/{class}/; see data.root in "
            "params.yaml.",
        )
    for split, classes in classes_of.items():
        unknown = sorted(set(classes) - set(known))
        if unknown:
            raise DataError(
                f"{source}: class {unknown[0]!r} of {split} is not in train.",
                hint=f"{did_you_mean(unknown[0], known)} Rename the directory, or add training "
                "videos of the class.",
            )
    return tuple(known)


def layout_warnings(folder: Path, found: FoundVideos) -> list[str]:
    """What the user should know about how the videos of a data set lie in their folders.

    Args:
        folder: ``<data.root>/videos``.
        found: Its videos.

    Returns:
        One sentence each: misspelt or empty splits, classes without videos, videos outside
        ``{split}/{class}/``, and names that stand in several splits, which may be a leak.

    Raises:
        DataError: A class of val or test is not in train.
    """
    classes_of = {split: _directories(folder / split) for split in SPLITS}
    ids = [video.id for video in (*found.videos, *found.ambiguous)]
    classes = check_classes(classes_of, str(folder)) if classes_of["train"] else ()
    return [
        *_split_warnings(folder, classes_of, [name for name in ids if parse_id(name) is None]),
        *_empty_class_warnings(classes, ids),
        *_leak_warnings(ids),
    ]


def _directories(folder: Path) -> set[str]:
    """Names of the visible folders in ``folder``; two spellings of one name are one."""
    if not folder.is_dir():
        return set()
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return {nfc(path.name) for path in visible if path.is_dir()}


def _split_warnings(
    folder: Path, classes_of: Mapping[str, Collection[str]], outside: Sequence[str]
) -> Iterator[str]:
    if any(classes_of.values()) and not classes_of["train"]:
        yield f"{folder / 'train'} has no class directory: nothing can be trained, only measured."
    for split in SPLITS[1:]:
        if not classes_of[split]:
            yield f"{folder / split} has no class directory: nothing is measured on {split}."
    for name in sorted(_directories(folder) - set(SPLITS)):
        near = nearest(name, SPLITS)
        if near:
            yield f"{folder / name} is none of {', '.join(SPLITS)}. Did you mean {near!r}?"
    if outside:
        yield (
            f"{len(outside)} videos lie outside {{train,val,test}}/{{class}}/ and are of no split: "
            f"{_some(outside)}."
        )


def _empty_class_warnings(classes: Iterable[str], video_ids: Iterable[str]) -> Iterator[str]:
    filled = {video_id.split("/")[1] for video_id in video_ids if video_id.startswith("train/")}
    for class_name in classes:
        if class_name not in filled:
            # Nor could it keep its place: neither DVC nor git carries an empty directory along, and
            # a class list that differs from machine to machine would shift every index.
            yield f"Class {class_name!r} has no training video, so no model will know it."


def _leak_warnings(video_ids: Iterable[str]) -> Iterator[str]:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for parts in filter(None, map(parse_id, video_ids)):
        splits[f"{parts.class_name}/{parts.stem}"].add(parts.split)
    shared = [
        f"{name} ({', '.join(split for split in SPLITS if split in found)})"
        for name, found in sorted(splits.items())
        if len(found) > 1
    ]
    if shared:
        yield (
            f"{len(shared)} videos have the same name in more than one split: {_some(shared)}. "
            "If they are the same recordings, what is measured leaks from training; if not, "
            "rename them, for annotations cannot tell them apart."
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
