"""Which published weights are there, and whether they are what they should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pipeline_lib.backbones.weight_files import PublishedFile
from pipeline_lib.errors import BatchError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.weights.catalogue import Item
from pipeline_lib.weights.lockfile import BY_HAND, Recorded, record
from pipeline_lib.weights.place import Place

State = Literal["missing", "verified", "unknown", "differs"]


@dataclass(frozen=True)
class Checked:
    """One file of the catalogue.

    Attributes:
        item: It is of.
        path: Where it is, or has to be.
        state: ``unknown`` is there, but nobody has said yet what its hash is.
        sha256: Of its bytes; ``None`` where it is missing.
        known: What it should be, where that is known.
    """

    item: Item
    path: Path
    state: State
    sha256: str | None
    known: str | None


def check(item: Item, place: Place, hash_of: Callable[[Path], str] = sha256_file) -> list[Checked]:
    """The state of each file of ``item``.

    Args:
        item: Of the catalogue.
        place: Where its files are.
        hash_of: The SHA-256 of a file; one that remembers saves time.
    """
    return [_check(item, path, file, place, hash_of) for path, file in item.files.items()]


def verify(items: Sequence[Item], place: Place, *, named: bool) -> list[Checked]:
    """Hash all files that are there, and record the hash of those of which none is known.

    Args:
        items: To verify.
        place: Where they are.
        named: Whether the user asked for just these, so that all of them must be there.
    """
    return [result for item in items for result in _verified(item, place, named)]


def fault(results: Sequence[Checked]) -> BatchError | None:
    """What to tell the user about files that differ or are missing, each by its path."""
    wrong = [_complaint(result) for result in results if result.state != "verified"]
    if not wrong:
        return None
    told = "\n".join(wrong)
    return BatchError(
        f"{len(wrong)} of {len(results)} files are not what they should be:\n{told}",
        hint="Delete what differs; `clipline weights fetch NAME` fetches what is missing.",
    )


def _verified(item: Item, place: Place, named: bool) -> list[Checked]:
    results = check(item, place)
    if not named and all(result.state == "missing" for result in results):
        return []
    for index, (result, file) in enumerate(zip(results, item.files.values(), strict=True)):
        if result.state == "unknown" and result.sha256 is not None:
            entry = Recorded(result.sha256, result.path.stat().st_size, BY_HAND)
            record(place.lock, file.url, entry)
            results[index] = Checked(item, result.path, "verified", result.sha256, result.sha256)
    return results


def _check(
    item: Item,
    path: PurePosixPath,
    file: PublishedFile,
    place: Place,
    hash_of: Callable[[Path], str],
) -> Checked:
    target, known = place.folder / path, place.known_hash(file)
    if not target.is_file():
        return Checked(item, target, "missing", None, known)
    digest = hash_of(target)
    state: State = "unknown" if known is None else "verified" if digest == known else "differs"
    return Checked(item, target, state, digest, known)


def _complaint(result: Checked) -> str:
    if result.state == "missing":
        return f"{result.path}: missing ({result.item.name})"
    return f"{result.path}: has sha256 {result.sha256}, known is {result.known}"
