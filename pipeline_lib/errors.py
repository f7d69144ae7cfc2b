"""The errors a user can cause, and the exit codes they become.

Exit code 0 is done, 2 is the user's input at fault, 1 is a bug. Every error here says what is
wrong and where; ``hint`` says what repairs it.
"""

import difflib
from collections.abc import Iterable

EXIT_BUG = 1
EXIT_USER = 2

# Known names in a message: of a folder of videos there may be thousands.
_LISTED = 20


class CliplineError(Exception):
    """Base of every error whose cause lies in the user's input, never in this code.

    Attributes:
        message: What is wrong and where (file, field, row).
        hint: What repairs it, or ``None`` where the message already says it.
        exit_code: What a command that meets it exits with.
    """

    exit_code = EXIT_USER

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class ConfigError(CliplineError):
    """A parameter is unknown, missing, of the wrong type or out of range."""


class DataError(CliplineError):
    """A data file (annotations, features, tables, layout) cannot be used as it is."""


class WeightsError(CliplineError):
    """Weights are missing, unreadable, of another model, or untrained where that is refused."""


class VideoError(CliplineError):
    """One video cannot be read.

    Attributes:
        reason: A short stable word for failure tables. Not a video: ``missing``, ``empty``,
            ``unreadable``, ``no_video_stream``, ``no_frames``, ``absurd_size``. A damaged one:
            ``truncated``, ``corrupt``. One that the chosen decoder reads wrongly or not at all:
            ``decoder_mismatch``.
    """

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class BatchError(CliplineError):
    """A batch was finished, but some of its items failed; the failure table lists them."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or ``None`` when nothing is close."""
    by_lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence naming the nearest known name, or the first of them when nothing is close."""
    names = sorted(known)
    near = nearest(name, names)
    if near:
        return f"Did you mean {near!r}?"
    more = len(names) - _LISTED
    return f"Known: {', '.join(names[:_LISTED])}" + (f" and {more} more." if more > 0 else ".")
