"""Times as people write them in tables: 7.25, 61:05, 01:02:03.5."""

import re

from pipeline_lib.errors import DataError

FORMS = "Times are seconds (7.25), minutes:seconds (61:05) or hours:minutes:seconds (01:02:03.5)."

_SECONDS = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CLOCK = re.compile(r"(?:(?P<h>[0-9]+):)?(?P<m>[0-9]+):(?P<s>[0-9]{1,2}(?:\.[0-9]*)?)")
_BLANK = frozenset({"", "-", "nan", "na", "n/a", "none", "null"})


def parse_time(text: str) -> float:
    """Seconds of a time written as a number, ``MM:SS[.f]`` or ``HH:MM:SS[.f]``.

    Minutes of the two-part form may go beyond 59; parts after a colon may not.

    Args:
        text: One table cell; surrounding white space is ignored.

    Raises:
        DataError: The cell is blank (also ``-`` and ``NaN``), negative, or no time.
    """
    cell = text.strip()
    if cell.casefold() in _BLANK:
        raise DataError(f"{cell!r} is blank", hint=FORMS)
    if cell.startswith("-"):
        raise DataError(f"{cell!r} is negative", hint=FORMS)
    if _SECONDS.fullmatch(cell):
        seconds = float(cell)
        if seconds == float("inf"):
            raise DataError(f"{cell!r} is too large", hint=FORMS)
        return seconds
    clock = _CLOCK.fullmatch(cell)
    if clock is None:
        raise DataError(f"{cell!r} is not a time", hint=FORMS)
    hours, minutes, seconds = int(clock["h"] or 0), int(clock["m"]), float(clock["s"])
    if seconds >= 60 or (clock["h"] and minutes >= 60):
        raise DataError(f"{cell!r} has a part of 60 or more after a colon", hint=FORMS)
    return hours * 3600 + minutes * 60 + seconds
