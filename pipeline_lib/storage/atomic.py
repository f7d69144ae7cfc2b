"""Writes that either happen whole or not at all."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".partial"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A writer that fails with less than this left failed for want of room.
_LITTLE = 1 << 20


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, else it is removed.

    The file is flushed to disk before the rename, so after a crash ``path`` is either the old
    content or the new one. Outputs are never opened for writing in place: DVC may have linked
    them to its cache, and a write through the link would corrupt the cache.

    Args:
        path: The file to write; missing parent folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent,
        prefix=temporary_prefix(path.name),
        suffix=TEMPORARY_SUFFIX + path.suffix,
    )
    os.close(handle)
    temporary = Path(name)
    try:
        with want_of_room_told(path):
            yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def want_of_room_told(path: Path) -> Iterator[None]:
    """A context in which a full disk is an ``OSError`` that says where.

    A failed write does not name its file, and writers in C++ and Rust have errors and words of
    their own.

    Args:
        path: What is being written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM and error.filename is None:
            error.filename = str(path)
        raise
    except Exception as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        number = int(told[1]) if told else 0
        if isinstance(error, RuntimeError) and shutil.disk_usage(path.parent).free < _LITTLE:
            number = errno.ENOSPC
        if number in _NO_ROOM:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


def temporary_prefix(name: str) -> str:
    """How the temporary files of a file called ``name`` begin: a killed run's can be told by it.

    Of one length, since a long name leaves no room for more.
    """
    return f".{hashlib.sha256(name.encode()).hexdigest()[:12]}-"


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 ``text`` with ``\\n`` line ends to ``path`` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON, keys in the order given; NaN is refused.

    Raises:
        ValueError: ``value`` holds NaN or infinity; an undefined number is ``None``.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
