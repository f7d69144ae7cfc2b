"""Short stable names for configurations and contents."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def sha256_file(path: Path, tick: Callable[[], None] = lambda: None) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks; ``tick`` is called after each."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            tick()
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """16 hex digits that change when the JSON form of ``value`` changes.

    Keys are sorted, so the order in which a mapping was built does not matter.

    Raises:
        TypeError: ``value`` holds something that JSON has no form for.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
