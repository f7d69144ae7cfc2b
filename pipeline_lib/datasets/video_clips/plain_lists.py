"""Lists without a header, as for Kinetics and Something-Something: ``train.csv`` and its like."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.video_clips.entries import Entries, Entry, read_seconds
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_lists.text_files import read_rows
from pipeline_lib.errors import ConfigError

_SEPARATORS = {",": "a comma", " ": "a space", "\t": "a tab", ";": "a semicolon", "|": "a bar"}
# Up to ten million.
_PICTURES = re.compile(r"0*[1-9]\d{0,6}", re.ASCII)
_HEADER_PATHS = {"path", "video", "video_path", "file", "filename", "file_name", "name", "id"}
_HEADER_LABELS = {"label", "class", "class_id", "class_name", "category", "target"}
_VIDEOS = "path, label and, if known, seconds"
_FRAMES = "path, number of pictures and label"
_NO_HEADER = "Remove the line; in a list without a header it would be a video."


def read_video_list(config: VideoListConfig, folder: Path, split: str) -> Entries | None:
    """``path,label`` or ``path,label,seconds`` of video files; ``None`` where there is no list.

    Raises:
        ConfigError: The separator is not one character.
        DataError: The list cannot be used.
    """
    return _read(config, folder, split, _VIDEOS)


def read_frame_list(config: VideoListConfig, folder: Path, split: str) -> Entries | None:
    """``path,frames,label`` of folders of pictures; as :func:`read_video_list`."""
    return _read(config, folder, split, _FRAMES)


def _read(config: VideoListConfig, folder: Path, split: str, columns: str) -> Entries | None:
    path = folder / f"{split}.csv"
    if not path.is_file():
        return None
    if len(config.separator) != 1:
        raise ConfigError(f"dataset.separator = {config.separator!r} is not one character.")
    entry_of = _video_entry if columns == _VIDEOS else _frames_entry
    entries, faults, misread = [], [], False
    rows = read_rows(path, config.separator)
    if rows and _is_header(rows[0][1]):
        refuse_faults(path, [Fault(rows[0][0], f"{list(rows[0][1])} is a header")], _NO_HEADER)
    for line, cells in rows:
        wide_enough = len(cells) in (2, 3) if columns == _VIDEOS else len(cells) >= 3
        found = entry_of(line, cells) if wide_enough else _width(cells, columns)
        if isinstance(found, Entry):
            entries.append(found)
        else:
            misread |= not wide_enough
            faults.append(Fault(line, found))
    refuse_faults(path, faults, _hint(config.separator, path, columns) if misread else None)
    return Entries(path, tuple(entries))


def _is_header(cells: Sequence[str]) -> bool:
    path, *others = (cell.lower() for cell in cells)
    return path in _HEADER_PATHS and not _HEADER_LABELS.isdisjoint(others)


def _video_entry(line: int, cells: Sequence[str]) -> Entry | str:
    duration_s = read_seconds(cells[2]) if len(cells) == 3 else None
    if len(cells) == 3 and duration_s is None:
        return f"{cells[2]!r} is not a number of seconds"
    return Entry(cells[0], (cells[1],), line, duration_s=duration_s)


def _frames_entry(line: int, cells: Sequence[str]) -> Entry | str:
    frames = cells[1]
    if not _PICTURES.fullmatch(frames):
        return f"{frames!r} is not a number of pictures"
    return Entry(cells[0], (cells[-1],), line, frames=int(frames))


def _width(cells: Sequence[str], columns: str) -> str:
    many = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
    return f"{many} where there should be {columns}: {list(cells)}"


def _hint(separator: str, path: Path, columns: str) -> str:
    if columns == _FRAMES and {len(cells) for _, cells in read_rows(path, separator)} == {2}:
        return "dataset.format is 'frames'; lists of path and label are of format 'videos'."
    said = f"dataset.separator is {_SEPARATORS.get(separator, repr(separator))}"
    for other, name in _SEPARATORS.items():
        rows = read_rows(path, other) if other != separator else []
        widths = {len(cells) for _, cells in rows}
        if widths and widths <= ({2, 3} if columns == _VIDEOS else {3}):
            return f"{said}, but what separates the columns here is {name}."
    return f"{said}; a path that holds it has to be in double quotes."
