"""Which video an annotated event belongs to, and how much of it lies inside that video."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline_lib.annotations.events_csv import EventRow
from pipeline_lib.annotations.folder import EventTable
from pipeline_lib.annotations.names import stem_of, without_encoder
from pipeline_lib.annotations.strict_normal import Event, merge_events
from pipeline_lib.errors import nearest
from pipeline_lib.paths import nfc

_LOG = logging.getLogger(__name__)
_LISTED = 5
# An event that ends this little after the last row was meant to end with it.
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class MatchedEvents:
    """Events by video.

    Attributes:
        events: Video id to its events, cut at the video's end, merged and sorted; videos without
            an event are left out.
        unmatched_rows: Rows whose video was not found.
    """

    events: dict[str, tuple[Event, ...]]
    unmatched_rows: int


def match_events(tables: Mapping[str, EventTable], lengths: Mapping[str, float]) -> MatchedEvents:
    """Give every row to the videos of its class that it names.

    A name matches a stem exactly, then without its video or feature suffix, then when a trailing
    ``_x264`` on either side is ignored; never as a part of a longer name. What does not fit
    (unmatched rows, events beyond the video's end, one name in two splits) is logged and counted.

    Args:
        tables: Class directory to its table.
        lengths: Video id ``{split}/{class}/{stem}`` to length in seconds.
    """
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    for video in lengths:
        by_class[video.split("/", 2)[1]].append(video)
    found: defaultdict[str, list[Event]] = defaultdict(list)
    unmatched = 0
    for class_name, table in tables.items():
        stems = StemIndex(by_class[class_name])
        lost: list[EventRow] = []
        for row in table.rows:
            videos = stems.find(row.file_name)
            if not videos:
                lost.append(row)
            for video in videos:
                found[video].append((row.start_s, row.end_s))
        unmatched += len(lost)
        _warn_unmatched(table, class_name, lost, stems)
        _warn_shared(table, stems)
    return MatchedEvents(_inside(found, lengths), unmatched)


class StemIndex:
    """The videos of one class by stem, and by stem without encoder.

    Args:
        videos: Ids ``{split}/{class}/{stem}``.

    Attributes:
        asked: The names that were looked up, and what was found.
    """

    def __init__(self, videos: Iterable[str]) -> None:
        self.exact: defaultdict[str, list[str]] = defaultdict(list)
        self.plain: defaultdict[str, list[str]] = defaultdict(list)
        self.asked: dict[str, list[str]] = {}
        for video in videos:
            stem = nfc(video.split("/", 2)[2])
            self.exact[stem].append(video)
            self.plain[without_encoder(stem)].append(video)

    def find(self, file_name: str) -> list[str]:
        """The videos that a row means: those of its name in any split."""
        stem = stem_of(file_name)
        found = (
            self.exact.get(file_name)
            or self.exact.get(stem)
            or self.plain.get(without_encoder(stem), [])
        )
        self.asked[file_name] = found
        return found


def _warn_unmatched(
    table: EventTable, class_name: str, rows: Sequence[EventRow], stems: StemIndex
) -> None:
    if not rows:
        return
    named = []
    for row in rows[:_LISTED]:
        near = nearest(stem_of(row.file_name), stems.exact)
        named.append(f"row {row.line} {row.file_name!r}" + (f" (near: {near!r})" if near else ""))
    more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    _LOG.warning(
        "%s: %d of %d rows name no video of class %r: %s%s.",
        table.path,
        len(rows),
        len(table.rows),
        class_name,
        ", ".join(named),
        more,
    )


def _warn_shared(table: EventTable, stems: StemIndex) -> None:
    shared = [(name, videos) for name, videos in stems.asked.items() if len(videos) > 1]
    if shared:
        name, videos = shared[0]
        _LOG.warning(
            "%s: %d names match videos of more than one split; their events apply to each. "
            "First: %r in %s. Rename the videos if they are different recordings.",
            table.path,
            len(shared),
            name,
            ", ".join(sorted(video.split("/", 1)[0] for video in videos)),
        )


def _inside(
    found: Mapping[str, Sequence[Event]], lengths: Mapping[str, float]
) -> dict[str, tuple[Event, ...]]:
    events: dict[str, tuple[Event, ...]] = {}
    cut: list[str] = []
    beyond: list[str] = []
    for video, all_events in sorted(found.items()):
        length = lengths[video]
        inside = [(start, min(end, length)) for start, end in all_events if start < length]
        for start, end in all_events:
            if end > length + _ROUNDING_S:
                said = f"{video} [{start:g}, {end:g}) s in {length:g} s of video"
                (cut if start < length else beyond).append(said)
        if inside:
            events[video] = merge_events(inside)
    if cut:
        _LOG.warning("%d events cut at the end of their video. First: %s.", len(cut), cut[0])
    if beyond:
        _LOG.warning(
            "%d events ignored: they start after the end of their video. First: %s.",
            len(beyond),
            beyond[0],
        )
    return events
