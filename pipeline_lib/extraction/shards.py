"""Many machines without a scheduler of our own: each takes its part, the last one sums up."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline_lib.errors import ConfigError
from pipeline_lib.storage.atomic import write_json

FOLDER = ".shards"
# Launchers and the variables in which they tell a process its rank and how many there are.
_RANKS = (("SLURM_PROCID", "SLURM_NTASKS"), ("RANK", "WORLD_SIZE"))
Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count``, counted from 0."""

    index: int
    count: int

    def part(self, items: Sequence[Item]) -> list[Item]:
        """This shard's items: every ``count``-th, so that sorted videos spread evenly."""
        return list(items[self.index :: self.count])


def choose_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """The shard that ``text`` (``i/n``, i from 0) or the launcher's variables name.

    Raises:
        ConfigError: ``text`` is no shard, or neither is given.
    """
    if text is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = Shard(int(match[1]), int(match[2])) if match else None
    else:
        shard = next(
            (
                Shard(int(environment[rank]), int(environment[size]))
                for rank, size in _RANKS
                if environment.get(rank, "").isdigit() and environment.get(size, "").isdigit()
            ),
            None,
        )
        if shard is None:
            raise ConfigError(
                "The shard executor needs to know its part.",
                hint="Give --shard 0/8 … 7/8, or start under srun or torchrun, which set "
                "SLURM_PROCID and SLURM_NTASKS, or RANK and WORLD_SIZE.",
            )
    if shard is None or not shard.index < shard.count:
        raise ConfigError(
            f"--shard {text!r} is no part of a whole.", hint="Parts of 8 are 0/8, 1/8, … 7/8."
        )
    return shard


def leave_failures(
    directory: Path, shard: Shard, key: str, failures: Sequence[Mapping[str, str]]
) -> None:
    """Record that this shard is done, and the rows of its failure table.

    Args:
        directory: The features directory all shards share.
        shard: This part.
        key: Names the videos and settings; shards of another run do not count.
        failures: Its rows.
    """
    content = {"key": key, "failures": [dict(row) for row in failures]}
    write_json(_file(directory, shard), content)


def gather_failures(directory: Path, count: int, key: str) -> list[dict[str, str]] | None:
    """The rows of all ``count`` shards, or ``None`` while one of them is not done."""
    rows: list[dict[str, str]] = []
    for index in range(count):
        try:
            content = json.loads(_file(directory, Shard(index, count)).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if content["key"] != key:
            return None
        rows += content["failures"]
    return rows


def clear(directory: Path) -> None:
    """Remove what the shards left; another shard that finished at the same moment may do it too."""
    folder = directory / FOLDER
    for path in sorted(folder.glob("*.json")):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _file(directory: Path, shard: Shard) -> Path:
    return directory / FOLDER / f"{shard.index}-of-{shard.count}.json"
