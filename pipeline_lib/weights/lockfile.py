"""Hashes of files whose publisher states none: recorded once, and held to ever after."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline_lib.errors import WeightsError
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.turns import taking_turns

LOCK = "weights.lock.json"
FIRST_FETCH = "recorded at first fetch, not published by its maker"
BY_HAND = "recorded from the file that was put there, not published by its maker"
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Recorded:
    """What is known of one file.

    Attributes:
        sha256: Of its bytes.
        bytes: How many.
        origin: Who says so.
    """

    sha256: str
    bytes: int
    origin: str


def announced_by(host: str) -> str:
    """The origin of a hash that a server states with the file."""
    return f"announced by {host} at first fetch"


def read_lock(path: Path) -> dict[str, Recorded]:
    """What was recorded, by address; nothing where there is no such file yet.

    Raises:
        WeightsError: The file is damaged.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {url: Recorded(**entry) for url, entry in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from None
    for url, entry in known.items():
        if not isinstance(entry.sha256, str) or not _HASH.fullmatch(entry.sha256):
            raise _damaged(path, f"{url} has sha256 {entry.sha256!r}")
    return known


def record(path: Path, url: str, entry: Recorded) -> None:
    """Add what was learned about one file; another process's entries stay.

    Raises:
        WeightsError: The file is damaged, or already says something else.
    """
    with taking_turns(path.absolute().parent):
        known = read_lock(path)
        before = known.setdefault(url, entry)
        if before.sha256 != entry.sha256:
            raise WeightsError(
                f"{path}: {url} has sha256 {before.sha256}, not {entry.sha256}.",
                hint="Two runs met two different files; fetch again and compare.",
            )
        write_json(path, {key: asdict(known[key]) for key in sorted(known)})


def _damaged(path: Path, cause: str) -> WeightsError:
    return WeightsError(
        f"{path}: not a lock file of weights: {cause}.", hint=f"`git checkout {path}`."
    )
