"""Names and paths that come from data files: what they may be, and how they are compared."""

import unicodedata
from pathlib import Path

from pipeline_lib.errors import DataError

_SUFFIXES = "3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv"
VIDEO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())

# Leaves room in a 255-byte file name for what is put behind a name.
_LONGEST_NAME_BYTES = 150
# Control, format (direction marks, zero-width joiners) and half characters, line separators: they
# change how a name looks, or some file systems ignore them.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_REFUSED_ON_WINDOWS = frozenset('<>:"|?*')
_PORTS = {f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"}
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | _PORTS)


def under(root: Path, relative: str) -> Path:
    """``root / relative``, refused when its words lead out of ``root``.

    Links below ``root`` are followed wherever they lead: whoever owns the folder put them there,
    and DVC itself does so with ``cache.type symlink``.

    Args:
        root: The folder that must contain the result.
        relative: A path read from a data file, with forward slashes.

    Raises:
        DataError: ``relative`` is empty or absolute, holds ``..``, a backslash or a NUL.
    """
    fault = path_fault(relative)
    if fault:
        raise DataError(
            f"Path {relative!r} cannot be used below {root}: {fault}.",
            hint="Give a path relative to that folder, with forward slashes and without '..'.",
        )
    return root / relative


def path_fault(relative: str) -> str | None:
    """Why a path from a data file may not be used below a folder, or ``None`` where it may."""
    parts = relative.split("/")
    if all(part in ("", ".") for part in parts):
        return "it names no file"
    if "\0" in relative:
        return "it holds a NUL character"
    if "\\" in relative:
        return "it holds a backslash"
    if relative.startswith("/") or relative[1:2] == ":":
        return "it is absolute"
    if ".." in parts:
        return "it leaves its folder by '..'"
    return None


def name_fault(name: str) -> str | None:
    """Why a name from a data file may not name files on every system, or ``None`` where it may.

    Args:
        name: One part of a path, in the form it would be written.
    """
    if not name:
        return "it is empty"
    if "/" in name or "\\" in name:
        return "it holds a slash"
    if name.startswith("."):
        return "it starts with a dot"
    if any(unicodedata.category(character) in _INVISIBLE for character in name):
        return "it holds a control or invisible character"
    refused = next((character for character in name if character in _REFUSED_ON_WINDOWS), None)
    if refused:
        return f"it holds {refused!r}, which Windows refuses"
    if name.endswith((".", " ")):
        return "it ends with a dot or a space, which Windows drops"
    if name.split(".")[0].rstrip().upper() in _DEVICES:
        return "Windows reserves it for a device"
    size = len(name.encode("utf-8"))
    if size > _LONGEST_NAME_BYTES:
        return f"it is {size} bytes long (at most {_LONGEST_NAME_BYTES})"
    return None


def same_file_key(name: str) -> str:
    """Equal for names that are one file where letter case or Unicode form does not count."""
    # Case folding can undo the normal form, so it is normalised on both sides.
    return nfc(unicodedata.normalize("NFD", name).casefold())


def nfc(text: str) -> str:
    """``text`` in Unicode NFC, the form names are compared in (macOS writes file names in NFD)."""
    return unicodedata.normalize("NFC", text)
