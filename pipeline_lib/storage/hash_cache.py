"""Hashes of files that need not be read again while size and times of the file stay the same."""

import json
import os
import time
from pathlib import Path

from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.atomic import write_text

# A file changed this recently may change again within one tick of its clock, unseen.
_SETTLED_NS = 2_000_000_000
_Stamp = tuple[int, int, int]
# The stamp and the hash.
_Entry = list[int | str]


class HashCache:
    """SHA-256 by path, size, modification time and inode.

    Args:
        path: A JSON file, or ``None`` to remember nothing. A damaged one is started anew: it only
            saves time.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known = _read(path) if path is not None else {}
        self._changed = False

    def sha256(self, path: Path) -> str:
        """The hash of a file; its bytes are read only where it is new or has changed.

        Raises:
            OSError: The file cannot be read.
        """
        info = path.stat()
        digest = self.get(str(path), info)
        if digest is None:
            digest = sha256_file(path)
            self.put(str(path), info, digest)
        return digest

    def get(self, path: str, info: os.stat_result) -> str | None:
        """The hash of an unchanged file, or ``None``."""
        entry = self._known.get(os.path.abspath(path))  # noqa: PTH100  # 100,000 of them
        return str(entry[3]) if entry and tuple(entry[:3]) == _stamp(info) else None

    def put(self, path: str, info: os.stat_result, digest: str) -> None:
        """Remember the hash of a file whose bytes were read after ``info`` was taken."""
        if time.time_ns() - info.st_mtime_ns > _SETTLED_NS:
            self._known[os.path.abspath(path)] = [*_stamp(info), digest]  # noqa: PTH100
            self._changed = True

    def save(self) -> None:
        """Write what is new; what another run has written meanwhile stays."""
        if self._path is not None and self._changed:
            self._known = {**_read(self._path), **self._known}
            text = json.dumps(self._known, ensure_ascii=True, separators=(",", ":"))
            write_text(self._path, text)
            self._changed = False


def _read(path: Path) -> dict[str, _Entry]:
    try:
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
    return {key: entry for key, entry in known.items() if _is_entry(entry)}


def _is_entry(value: object) -> bool:
    return isinstance(value, list) and len(value) == 4


def _stamp(info: os.stat_result) -> _Stamp:
    return info.st_size, info.st_mtime_ns, info.st_ino
