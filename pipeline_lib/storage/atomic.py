"""Writes that either happen whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".partial"


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
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
