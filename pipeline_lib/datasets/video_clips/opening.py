"""Looking at every video of a list once, and keeping those of its frames that are to be kept."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from pipeline_lib.datasets.video_clips.items import ClipItem
from pipeline_lib.datasets.video_clips.sources import Indices, Pixels, Source, Window
from pipeline_lib.datasets.video_lists.frame_folder import (
    KnownKeys,
    SideBySide,
    frame_path,
    refuse_full_disk,
    remove_unfinished,
)
from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.storage.atomic import replacing, write_json
from pipeline_lib.storage.turns import taking_turns
from pipeline_lib.video.clip_sampling import ClipSampling

# Raised whenever this code changes which pixels are kept.
_VERSION = 1
_CHECKED, _WINDOWS = "checked_clips.json", "clip_windows.json"


@dataclass(frozen=True)
class Plan:
    """Which frames of a window will be asked for.

    Attributes:
        sampling: How clips are taken.
        segments: Clips that are always the same.
        training: Random clips are taken as well.
        draws: Frames kept for each frame of a random clip; ``None`` keeps nothing.
    """

    sampling: ClipSampling
    segments: int
    training: bool
    draws: int | None

    def frames(self, count: int) -> Indices:
        """Those of a window of ``count`` frames: int64, ascending; all where nothing is kept."""
        if self.draws is None:
            return np.arange(count)
        clips = [self.sampling.test(count, k, self.segments) for k in range(self.segments)]
        if self.training:
            clips.append(self.sampling.candidates(count, self.draws).ravel())
        return np.unique(np.concatenate(clips))


@dataclass(frozen=True)
class Opened:
    """What is known of the items of a list.

    Attributes:
        windows: Of each usable item, by its row.
        keys: Name of all that decides which pixels each of these gives.
        failed: Reasons of the others.
    """

    windows: dict[int, Window]
    keys: dict[int, str]
    failed: dict[int, str]


class Opening:
    """Opens the items of a list.

    Args:
        items: Of the list.
        source: Where their frames come from.
        plan: Which frames will be asked for.
        folder: Of the kept frames; may be shared by any lists and settings.
        together: How the work is done.
    """

    def __init__(
        self,
        items: Sequence[ClipItem],
        source: Source,
        plan: Plan,
        folder: Path,
        together: SideBySide,
    ) -> None:
        self._items, self._source, self._plan = items, source, plan
        self._folder, self._together = folder, together

    def run(self) -> Opened:
        """Find every window, and decode what is not known yet.

        Raises:
            ConfigError: The disk has no room, or there is no such decoder.
        """
        digests, unreadable = self._source.digests(self._items, self._folder, self._together)
        failed = {
            row: unreadable[item.path]
            for row, item in enumerate(self._items)
            if item.path in unreadable
        }
        with taking_turns(self._folder) as alone:
            if alone:
                remove_unfinished(self._folder)
            found = self._windows(digests)
            failed |= {row: why for row, why in found.items() if isinstance(why, str)}
            windows = {row: window for row, window in found.items() if isinstance(window, Window)}
            keys = {
                row: self._key(digests[self._items[row].path], window)
                for row, window in windows.items()
            }
            bad = self._decode(windows, keys)
        failed |= {row: bad[key] for row, key in keys.items() if key in bad}
        usable = [row for row in windows if row not in failed]
        return Opened({r: windows[r] for r in usable}, {r: keys[r] for r in usable}, failed)

    def _key(self, digest: str, window: Window) -> str:
        kept = None if self._plan.draws is None else self._plan.frames(window.count).tolist()
        facts = [_VERSION, *self._source.settings(), window.first, window.count, kept]
        return f"{digest}-{fingerprint(facts)}"

    def _windows(self, digests: Mapping[Path, str]) -> dict[int, Window | str]:
        """Where each item of a readable video lies in it, or why it does not."""
        path = self._folder / _WINDOWS
        known, settings = _read_windows(path), self._source.settings()
        names, rows_of = {}, defaultdict(list)
        for row, item in enumerate(self._items):
            if item.path in digests:
                place = [item.start_s, item.end_s, item.listed_frames]
                names[row] = fingerprint([_VERSION, settings, digests[item.path], place])
                if names[row] not in known:
                    rows_of[item.path].append(row)
        unknown: dict[int, Window | str] = {}

        def look(video: Path) -> None:
            rows = rows_of[video]
            try:
                found = self._source.windows(video, [self._items[row] for row in rows])
            except (VideoError, DataError) as error:
                found = [error.message] * len(rows)
            unknown.update(zip(rows, found, strict=True))

        if rows_of:
            self._together.run("look at videos", sorted(rows_of), look)
            new = {names[r]: list(astuple(w)) for r, w in unknown.items() if isinstance(w, Window)}
            write_json(path, {name: list(astuple(w)) for name, w in known.items()} | new)
        return {row: unknown.get(row) or known[name] for row, name in names.items()}

    def _decode(self, windows: Mapping[int, Window], keys: Mapping[int, str]) -> dict[str, str]:
        """Decode what is not known yet; key to reason for what cannot be decoded."""
        checked = KnownKeys(self._folder / _CHECKED)
        todo: defaultdict[Path, dict[str, Window]] = defaultdict(dict)
        for row, window in windows.items():
            if not self._is_known(keys[row], window, checked):
                todo[self._items[row].path][keys[row]] = window
        if not todo:
            return {}
        if self._plan.draws is not None:
            self._refuse_full_disk([w for of_video in todo.values() for w in of_video.values()])
        bad: dict[str, str] = {}

        def work(path: Path) -> None:
            failed = self._decode_video(path, todo[path])
            bad.update(failed)
            checked.keys |= todo[path].keys() - failed.keys()

        try:
            self._together.run("decode videos", sorted(todo), work)
        finally:
            if self._plan.draws is None:
                checked.save()
        return bad

    def _is_known(self, key: str, window: Window, checked: KnownKeys) -> bool:
        if self._plan.draws is None:
            return key in checked.keys
        try:
            load_kept(self._folder, key, len(self._plan.frames(window.count)))
        except DataError:
            return False
        return True

    def _refuse_full_disk(self, windows: Sequence[Window]) -> None:
        size = sum(
            len(self._plan.frames(window.count)) * window.height * window.width * 3
            for window in windows
        )
        hint = "Lower dataset.short_side or dataset.frame_draws; null decodes them in each epoch."
        refuse_full_disk(self._folder, size, f"{len(windows)} videos or windows", hint)

    def _decode_video(self, path: Path, windows: Mapping[str, Window]) -> dict[str, str]:
        """One pass for all windows; where it meets damage, each gets a pass of its own.

        Whether one can be decoded must not depend on which others are asked for.
        """
        failed: dict[str, str] = {}
        passes = [dict(windows)]
        while passes:
            several = passes.pop()
            try:
                self._pass(path, several)
            except (VideoError, DataError) as error:
                if len(several) > 1:
                    passes += [{key: window} for key, window in several.items()]
                else:
                    failed |= dict.fromkeys(several, error.message)
        return failed

    def _pass(self, path: Path, windows: Mapping[str, Window]) -> None:
        if self._plan.draws is None:
            self._source.check(path, max(w.first + w.count for w in windows.values()))
            return
        keys = list(windows)
        wanted = [w.first + self._plan.frames(w.count) for w in windows.values()]
        # All files take their names at the end, when the whole pass has turned out to be sound.
        with ExitStack() as waiting:
            for number, frames in self._source.decode(path, wanted):
                target = frame_path(self._folder, keys[number])
                np.save(waiting.enter_context(replacing(target)), frames)


def load_kept(folder: Path, key: str, count: int) -> Pixels:
    """The kept frames of a window: uint8 [count, H, W, 3], read from disk when they are used.

    Raises:
        DataError: The file has gone or is damaged.
    """
    path = frame_path(folder, key)
    try:
        frames: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}.", hint="Remove it and run again.") from (
            None
        )
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[::3] != (count, 3):
        raise DataError(
            f"{path}: {frames.dtype} {list(frames.shape)} instead of {count} frames.",
            hint="Remove it and run again.",
        )
    return frames


def _read_windows(path: Path) -> dict[str, Window]:
    try:
        known = dict(json.loads(path.read_text(encoding="utf-8")))
        return {str(name): Window(*map(int, place)) for name, place in known.items()}
    except (OSError, ValueError, TypeError):
        return {}
