"""The lists of LVU as ViS4mer distributes them, https://github.com/md-mohaiminul/ViS4mer.

``{train,val,test}.csv`` of a task have a header, are separated by blanks, and end each line with
the YouTube id of the video and the IMDb id of the film; ``lvu_durations.csv`` beside them or one
folder up has the length of every video in seconds.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.video_clips.entries import Entries, Entry, read_seconds
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_lists.text_files import read_csv, read_rows
from pipeline_lib.errors import DataError, did_you_mean

_VIDEO, _CLASS, _NAME = "youtube_id", "class_id", "class_name"
_COLUMNS = {"view_count": ("view_count",), "like_ratio": ("like_count", "dislike_count")}
_DURATIONS = "lvu_durations.csv"


def read_lvu(config: VideoListConfig, folder: Path, split: str) -> Entries | None:
    """The videos of a task; ``None`` where there is no list.

    Raises:
        DataError: A file cannot be used.
    """
    path = folder / f"{split}.csv"
    if not path.is_file():
        return None
    rows = read_rows(path, " ")
    header = rows[0][1] if rows else ()
    wanted = (config.column,) if config.column else _COLUMNS.get(config.target, (_CLASS,))
    for column in (*wanted, _VIDEO):
        if column not in header:
            raise DataError(
                f"{path} line 1: no column {column!r}; it has {', '.join(header) or 'nothing'}.",
                hint=did_you_mean(column, header) if header else None,
            )
    durations = _durations(folder)
    entries, faults = [], []
    for line, cells in rows[1:]:
        if len(cells) < len(header) or (len(cells) > len(header) and _NAME not in header):
            faults.append(Fault(line, f"{len(cells)} cells where the header has {len(header)}"))
            continue
        row = _by_column(header, cells)
        entries.append(
            Entry(
                row[_VIDEO],
                tuple(row[column] for column in wanted),
                line,
                class_name=row.get(_NAME, "") if wanted == (_CLASS,) else "",
                duration_s=durations.get(row[_VIDEO]),
            )
        )
    refuse_faults(path, faults)
    return Entries(path, tuple(entries))


def _by_column(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Names of classes hold blanks that are not quoted; all other cells hold none."""
    if more := len(cells) - len(header):
        place = header.index(_NAME)
        name = " ".join(cells[place : place + more + 1])
        cells = [*cells[:place], name, *cells[place + more + 1 :]]
    return dict(zip(header, cells, strict=True))


def _durations(folder: Path) -> dict[str, float]:
    paths = (folder / _DURATIONS, folder.parent / _DURATIONS)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return {}
    durations, faults = {}, []
    for line, (video, seconds) in read_csv(path, ("videoid", "duration")):
        duration_s = read_seconds(seconds)
        if duration_s is None:
            faults.append(Fault(line, f"{seconds!r} is not a number of seconds"))
        else:
            durations[video] = duration_s
    refuse_faults(path, faults)
    return durations
