"""What the classes, splits and annotations of a data set must have for the pipeline to run."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline_lib.annotations.names import match_name
from pipeline_lib.config import TrainConfig
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.errors import did_you_mean
from pipeline_lib.own_data.findings import Findings, some
from pipeline_lib.own_data.source import SourceVideo
from pipeline_lib.own_data.tables import Entry

# With fewer, one odd video decides what is learned of a class.
_FEW = 5


def check_classes_and_splits(
    base: Path, videos: Sequence[SourceVideo], findings: Findings
) -> tuple[str, ...]:
    """Check that every class can be learned and measured.

    Returns:
        The classes of the training split, sorted.
    """
    counts = Counter((video.split, video.class_name) for video in videos)
    classes = {split: {name for s, name in counts if s == split} for split in SPLITS}
    if not classes["train"]:
        findings.error("split", base, "there is no training video.", "Put videos into train/.")
        return ()
    for split in SPLITS[1:]:
        for name in sorted(classes[split] - classes["train"]):
            hint = did_you_mean(name, classes["train"])
            findings.error("class", base / split / name, "this class is not in train.",
                           f"{hint} Rename it, or add training videos.")  # fmt: skip
        if not classes[split]:
            findings.error("split", base, f"there is no {split} video: nothing can be "
                           f"{'chosen' if split == 'val' else 'measured'}.",
                           f"Move some videos of each class into {split}/.")  # fmt: skip
        elif missing := sorted(classes["train"] - classes[split]):
            findings.warning("class", base / split, f"no video of {some(missing)}: nothing is "
                             "said about that there.")  # fmt: skip
    if len(classes["train"]) < 2:
        findings.error("class", base, f"there is one class only ({next(iter(classes['train']))}).",
                       "Add videos of a second one, such as 'normal'.")  # fmt: skip
    for name in sorted(classes["train"]):
        if counts["train", name] < _FEW:
            findings.warning("few", base, f"class {name!r} has {counts['train', name]} training "
                             "videos; one odd video decides what is learned.")  # fmt: skip
    _note_shared_names(base, videos, findings)
    return tuple(sorted(classes["train"]))


def _note_shared_names(base: Path, videos: Sequence[SourceVideo], findings: Findings) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for video in videos:
        splits[f"{video.class_name}/{video.stem}"].add(video.split)
    for name, found in sorted(splits.items()):
        if len(found) > 1:
            findings.warning(
                "same_name", base / name, f"stands in {' and '.join(sorted(found))}: if these are "
                "one recording, what is measured leaks from training; if not, annotations cannot "
                "tell them apart.", "Rename or remove one.",
            )  # fmt: skip


def check_normal_class(
    base: Path, classes: Sequence[str], normal_class: str, findings: Findings
) -> str | None:
    """The class without events as the folders spell it; ``None`` where there is none."""
    normal = match_name(normal_class, classes)
    if normal is None and classes:
        findings.warning(
            "normal", base, f"no class {normal_class!r} without events: event-free windows of "
            "videos with events do not train.", "Name it with --normal-class, or add such videos.",
        )  # fmt: skip
    return normal


def check_annotated(
    folder: Path,
    videos: Sequence[SourceVideo],
    rows: Mapping[str, Sequence[Entry]],
    normal: str | None,
    config: TrainConfig,
    findings: Findings,
) -> None:
    """Check that videos of classes with events have some, and those of the normal class none."""
    lacking = [v for v in videos if v.class_name != normal and v.id not in rows]
    wanting = [v for v in videos if v.class_name != normal]
    if wanting and not rows and config.strict_normal_sampling:
        findings.error(
            "annotations", folder, "there are no annotated events.",
            "Write {class}_timestamp.csv tables; where no class has events, set "
            "train.strict_normal_sampling: false.",
        )  # fmt: skip
        return
    done = {"keep": "all its windows carry its class", "skip": "it is left out"}
    for video in lacking if rows else ():
        if config.unannotated == "error":
            findings.error("unannotated", video.path, "has no annotated event.",
                           "Add it, or set train.unannotated.")  # fmt: skip
        else:
            findings.warning("unannotated", video.path, "has no annotated event; "
                             f"{done[config.unannotated]} (train.unannotated).")  # fmt: skip
    for video in videos:
        if video.class_name == normal and video.id in rows:
            findings.warning("normal", rows[video.id][0].where, f"an event in {video.id}, which is "
                             "of the normal class; it is ignored.")  # fmt: skip
