"""Names and paths that come from data files: what they may be, and how they are compared."""

import unicodedata
from pathlib import Path, PurePosixPath

from pipeline_lib.errors import DataError

_SUFFIXES = "3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv"
VIDEO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())


def under(root: Path, relative: str) -> Path:
    """``root / relative``, refused when it would leave ``root``.

    Args:
        root: The folder that must contain the result.
        relative: A path read from a data file, with forward slashes.

    Raises:
        DataError: ``relative`` is absolute, empty, or climbs out of ``root`` (also through a link).
    """
    pure = PurePosixPath(relative)
    if not relative or pure.is_absolute() or ".." in pure.parts or "\0" in relative:
        raise DataError(
            f"Path {relative!r} leaves its folder {root}.",
            hint="Give a path relative to that folder, without '..'.",
        )
    path = root / pure
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"Path {relative!r} leads out of {root} through a link.",
            hint="Put the file itself under that folder.",
        )
    return path


def nfc(text: str) -> str:
    """``text`` in Unicode NFC, the form names are compared in (macOS writes file names in NFD)."""
    return unicodedata.normalize("NFC", text)
