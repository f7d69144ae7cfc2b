"""What the command ``weights`` says: lines for people, or records for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.errors import CliplineError
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.weights.catalogue import Item
from pipeline_lib.weights.fetch import Outcome
from pipeline_lib.weights.licences import LICENCES
from pipeline_lib.weights.place import Place
from pipeline_lib.weights.use import Switched
from pipeline_lib.weights.verify import Checked, check, fault

# The worst state of an item's files is the item's.
_WORST_FIRST = ("differs", "missing", "unknown", "verified")


@dataclass(frozen=True)
class Report:
    """What a command has to say.

    Attributes:
        records: For ``--json``.
        lines: For people.
        error: What failed; the rest was done.
    """

    records: Any
    lines: list[str]
    error: CliplineError | None = None

    def text(self, *, as_json: bool) -> str:
        """What to print."""
        if as_json:
            return json.dumps(self.records, indent=1, ensure_ascii=False)
        return "\n".join(self.lines)

    def raise_error(self) -> None:
        """Raise what failed, once the rest has been printed."""
        if self.error is not None:
            raise self.error


def listing(items: Mapping[str, Item], place: Place, cache: Path | None) -> Report:
    """All weights of the catalogue, and which are here.

    Args:
        items: The catalogue.
        place: Where they are.
        cache: Remembers hashes of files that have not changed.
    """
    hashes = HashCache(cache)
    rows, networks = [], dict.fromkeys(item.network for item in items.values())
    for item in items.values():
        states = [result.state for result in check(item, place, hashes.sha256)]
        rows.append(_row(item, place, next(state for state in _WORST_FIRST if state in states)))
    hashes.save()
    columns = ("name", "size", "state", "path")
    table = [columns, *(tuple(str(row[key]) for key in columns) for row in rows)]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    lines += ["", "A network's first row is meant by its name alone. Licences:"]
    for network in networks:
        licence = next(item for item in items.values() if item.network == network).licence
        consent = f" Fetch with --accept-licence {network}." if licence.needs_consent else ""
        lines.append(f"  {network}: {licence.name}. {licence.allows}{consent} {licence.source}")
    return Report(rows, lines)


def fetched(outcome: Outcome, switched: Switched | None, place: Place) -> Report:
    """What was fetched, what it changed in the parameters, and how to share it."""
    results = outcome.fetched
    records: dict[str, Any] = {
        "files": [
            {
                "name": result.item.name,
                "path": result.path.as_posix(),
                "sha256": result.sha256,
                "origin": result.origin,
                "new": result.new,
            }
            for result in results
        ],
        "failed": [path.as_posix() for path in outcome.failures],
    }
    total = len(results) + len(outcome.failures)
    lines = [f"{len(results)} of {total} files are there:"]
    lines += [
        f"{'fetched' if result.new else 'was there'}: {result.path}, sha256 {result.sha256[:12]}… "
        f"({result.origin})"
        for result in results
    ]
    for network in dict.fromkeys(result.item.network for result in results if result.new):
        if (licence := LICENCES[network]).needs_consent:
            lines.append(f"licence of {network}: {licence.name}. {licence.allows}")
    if switched is not None:
        records |= {"changed": switched.changed, "advice": switched.advice}
        lines += [f"params: {line}" for line in switched.changed] or ["params: unchanged"]
        lines += [f"note: {line}" for line in switched.advice]
    elif results:
        lines.append("Not in params.yaml yet: add --use.")
    targets = dict.fromkeys((place.folder / result.item.weights).as_posix() for result in results)
    lines += [f"share: dvc add {target}" for target in targets]
    return Report(records, lines, outcome.error())


def verified(results: Sequence[Checked]) -> Report:
    """What was verified, and what is wrong."""
    records = [
        {
            "name": result.item.name,
            "path": result.path.as_posix(),
            "state": result.state,
            "sha256": result.sha256,
            "known": result.known,
        }
        for result in results
    ]
    right = [result for result in results if result.state == "verified"]
    lines = [f"{len(right)} of {len(results)} files are right:"]
    lines += [f"right: {result.path}, sha256 {str(result.sha256)[:12]}…" for result in right]
    if not results:
        lines = ["No published weights are here: `clipline weights fetch NAME`."]
    return Report(records, lines, fault(results))


def _row(item: Item, place: Place, state: str) -> dict[str, Any]:
    size = item.megabytes
    return {
        "name": item.name,
        "network": item.network,
        "size": "?" if size is None else f"{size} MB",
        "megabytes": size,
        "state": state,
        "path": (place.folder / item.weights).as_posix(),
        "licence": item.licence.name,
        "allows": item.licence.allows,
        "source": item.licence.source,
        "needs_consent": item.licence.needs_consent,
        "urls": [file.url for file in item.files.values()],
    }
