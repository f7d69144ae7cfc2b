"""A quick look into every video: does it open, how long is it, does its layout end too soon."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import VideoError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.own_data.findings import Findings
from pipeline_lib.own_data.source import SourceVideo
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.video.announcement import announcement
from pipeline_lib.video.decoders.pyav import PyAvDecoder
from pipeline_lib.video.decoders.pyav_stream import TrackReader

# Opening a video mostly waits for the disk, or for FFmpeg, which lets other threads run.
_MOST_THREADS = 8
_REMEDIES = {
    "truncated": "Copy or download it again.",
    "missing": "Repair or remove the link.",
    "empty": "Copy it again, or remove it.",
}
_LET_OUT = "Or leave it out with --exclude-broken."


@dataclass(frozen=True)
class Facts:
    """What a quick look told about a sound video.

    Attributes:
        seconds: Its length.
        width: Of a picture.
        height: Of a picture.
    """

    seconds: float
    width: int
    height: int


def probe_videos(
    videos: Sequence[SourceVideo],
    leave_out: bool,
    findings: Findings,
    progress: Progress = SILENT,
) -> dict[SourceVideo, Facts]:
    """Look into every video; the first frame of each is decoded.

    A damage in the middle of a file is not seen: extraction finds it and says so.

    Args:
        videos: To look into.
        leave_out: Those that cannot be used are left out, so they are no errors.
        findings: Gets what cannot be used.
        progress: Told of each video.

    Returns:
        The sound ones.
    """
    facts: dict[SourceVideo, Facts] = {}
    with (
        ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool,
        progress.task("look into the videos", len(videos)) as advance,
    ):
        for video, found in zip(videos, pool.map(_look, videos), strict=True):
            if isinstance(found, Facts):
                facts[video] = found
            else:
                remedy = found.hint or _REMEDIES.get(found.reason, "Re-encode or remove it.")
                what = found.message.removeprefix(f"{video.path}: ")
                if leave_out:
                    findings.warning(found.reason, video.path, f"{what} It is left out.")
                else:
                    findings.error(found.reason, video.path, what, f"{remedy} {_LET_OUT}")
            advance()
    return facts


def _look(video: SourceVideo) -> Facts | VideoError:
    path = video.path
    try:
        if path.is_symlink() and not path.exists():
            target = path.readlink()
            return VideoError(f"{path}: is a link to nowhere ({target}).", reason="missing")
        return _facts(path)
    except VideoError as error:
        return error
    except OSError as error:
        return VideoError(
            f"{path}: cannot be read: {error.strerror}.",
            reason="unreadable",
            hint="Check who may read it.",
        )


def _facts(path: Path) -> Facts:
    with TrackReader(path) as track:
        decoder = PyAvDecoder(path, track)
        if decoder.damage:
            raise VideoError(
                f"{path}: {decoder.damage.message}.", reason=decoder.damage.reason,
                hint=_REMEDIES.get(decoder.damage.reason),
            )  # fmt: skip
        first = next(iter(decoder), None)
        if first is None:
            raise VideoError(f"{path}: no frame could be decoded.", reason="no_frames")
        ticks = track.stream.duration
        seconds = float(ticks * track.time_base) if ticks else 0.0
        width, height = first.raw.width, first.raw.height
    if seconds <= 0:  # Matroska tells no length of a track
        told = announcement(path)
        seconds = told.end_s(len(told.times))
    if seconds <= 0:
        raise VideoError(f"{path}: has no length: it is a single picture.", reason="no_length")
    return Facts(seconds, width, height)


def note_copies(videos: Iterable[SourceVideo], findings: Findings) -> dict[SourceVideo, str]:
    """Find videos with the same bytes; only files of one size are read.

    Args:
        videos: Sound ones, with their split where it is known.
        findings: Gets copies in several splits or classes as errors, others as warnings.

    Returns:
        Hash of each video that has a copy.
    """
    by_size: defaultdict[int, list[SourceVideo]] = defaultdict(list)
    for video in videos:
        by_size[video.path.stat().st_size].append(video)
    hashes = {
        video: sha256_file(video.path)
        for same in by_size.values()
        if len(same) > 1
        for video in same
    }
    by_hash: defaultdict[str, list[SourceVideo]] = defaultdict(list)
    for video, digest in hashes.items():
        by_hash[digest].append(video)
    copies = {video: digest for video, digest in hashes.items() if len(by_hash[digest]) > 1}
    for same in by_hash.values():
        if len(same) > 1:
            _note_copy(same, findings)
    return copies


def _note_copy(same: Sequence[SourceVideo], findings: Findings) -> None:
    first, *others = same
    names = ", ".join(video.relative for video in others)
    splits = sorted({video.split for video in same} - {""})
    classes = sorted({video.class_name for video in same} - {""})
    if len(splits) > 1:
        findings.error(
            "leak", first.path, f"has the same bytes as {names}: one recording in "
            f"{' and '.join(splits)}, so what is measured leaks from training.",
            "Keep it in one split.",
        )  # fmt: skip
    elif len(classes) > 1:
        findings.error(
            "two_classes", first.path, f"has the same bytes as {names}: one recording in the "
            f"classes {' and '.join(classes)}.", "Keep it in one class.",
        )  # fmt: skip
    else:
        findings.warning("copy", first.path, f"has the same bytes as {names}.", "Remove one.")
