"""Many machines without a scheduler of our own: each takes its part, the last one sums up."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pipeline_lib.errors import ConfigError
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.features import VideoEntry

FOLDER = ".shards"
_CLAIM = "summing-up"
# Launchers and the variables in which they tell a process its rank and how many there are; torchrun
# first, which may itself be the one task of a SLURM step.
_RANKS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))
Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count``, counted from 0."""

    index: int
    count: int

    def part(self, items: Sequence[Item]) -> list[Item]:
        """This shard's items: every ``count``-th, so that sorted videos spread evenly."""
        return list(items[self.index :: self.count])


@dataclass(frozen=True)
class Part:
    """What one shard did, or several.

    Attributes:
        entries: Manifest entries of its videos whose features stand.
        failures: Its rows of the failure table.
    """

    entries: dict[str, VideoEntry]
    failures: list[dict[str, str]]


def choose_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """The shard that ``text`` (``i/n``, i from 0) or the launcher's variables name.

    Raises:
        ConfigError: That is no part of a whole, neither is given, or a job array, whose tasks
            cannot know how many there were before some were submitted again, does not name it.
    """
    if text is None:
        text = _told_by_launcher(environment)
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not int(match[1]) < int(match[2]):
        raise ConfigError(
            f"Shard {text!r} is no part of a whole.", hint="Parts of 8 are 0/8, 1/8, … 7/8."
        )
    return Shard(int(match[1]), int(match[2]))


def _told_by_launcher(environment: Mapping[str, str]) -> str:
    if environment.get("SLURM_ARRAY_TASK_COUNT", "1") != "1":
        raise ConfigError(
            "A task of a job array needs to be told its part.",
            hint="Give --shard $SLURM_ARRAY_TASK_ID/8 with the whole number of parts, from 0.",
        )
    for rank, size in _RANKS:
        if rank in environment and size in environment:
            return f"{environment[rank]}/{environment[size]}"
    raise ConfigError(
        "The shard executor needs to know its part.",
        hint="Give --shard 0/8 … 7/8, or start under srun or torchrun, which set "
        "SLURM_PROCID and SLURM_NTASKS, or RANK and WORLD_SIZE.",
    )


def leave_part(directory: Path, shard: Shard, key: str, part: Part) -> None:
    """Record that this shard is done, and with what.

    Args:
        directory: The features directory all shards share.
        shard: This shard.
        key: Names the videos and settings; shards of another run do not count.
        part: What it did.
    """
    write_json(_file(directory, shard), {"key": key, **asdict(part)})


def gather_parts(directory: Path, count: int, key: str) -> Part | None:
    """What all ``count`` shards did, or ``None`` while one of them is not done."""
    whole = Part({}, [])
    for index in range(count):
        try:
            content = json.loads(_file(directory, Shard(index, count)).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if content["key"] != key:
            return None
        whole.entries.update({k: VideoEntry(**v) for k, v in content["entries"].items()})
        whole.failures.extend(content["failures"])
    return whole


def claim(directory: Path) -> bool:
    """Whether this shard sums up: of several that end at the same moment only one may."""
    try:
        os.close(os.open(directory / FOLDER / _CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except (FileExistsError, FileNotFoundError):
        return False
    return True


def begin(directory: Path, shard: Shard) -> None:
    """Forget that this shard was done, or was killed while it summed up."""
    for path in (_file(directory, shard), directory / FOLDER / _CLAIM):
        path.unlink(missing_ok=True)


def clear(directory: Path) -> None:
    """Remove what the shards left."""
    folder = directory / FOLDER
    for path in sorted(folder.glob("*")):
        path.unlink(missing_ok=True)
    if folder.is_dir():
        folder.rmdir()


def _file(directory: Path, shard: Shard) -> Path:
    return directory / FOLDER / f"{shard.index}-of-{shard.count}.json"
