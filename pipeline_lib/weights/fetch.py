"""Fetching published weights, each file checked against what is known of it."""

import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline_lib.backbones.hub import require_host
from pipeline_lib.backbones.weight_files import PublishedFile
from pipeline_lib.errors import (
    BatchError,
    CliplineError,
    ConfigError,
    WeightsError,
    did_you_mean,
)
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.atomic import TEMPORARY_SUFFIX
from pipeline_lib.storage.turns import taking_turns
from pipeline_lib.weights.catalogue import Item
from pipeline_lib.weights.download import Download, UnfetchedError, host_of
from pipeline_lib.weights.licences import LICENCES
from pipeline_lib.weights.lockfile import (
    BY_HAND,
    FIRST_FETCH,
    Recorded,
    announced_by,
    read_lock,
    record,
)
from pipeline_lib.weights.place import Place


@dataclass(frozen=True)
class Fetched:
    """One file that is there, with the bytes that it has to have.

    Attributes:
        item: Of the catalogue.
        path: Where it is.
        sha256: Of its bytes.
        origin: Who says that they are the right ones.
        new: Whether it was not there before.
    """

    item: Item
    path: Path
    sha256: str
    origin: str
    new: bool


@dataclass(frozen=True)
class Outcome:
    """What became of the files of some weights.

    Attributes:
        fetched: Those that are there.
        failures: Why the others are not, by path.
    """

    fetched: list[Fetched]
    failures: dict[Path, WeightsError]

    def error(self) -> CliplineError | None:
        """What to tell the user, a line for each file that is not there."""
        if len(self.failures) == 1 and not self.fetched:
            return next(iter(self.failures.values()))
        if not self.failures:
            return None
        total = len(self.fetched) + len(self.failures)
        told = "\n".join(str(failure) for failure in self.failures.values())
        return BatchError(f"{len(self.failures)} of {total} files are not there:\n{told}")


def require_consent(
    items: Sequence[Item],
    place: Place,
    accepted: Collection[str] = (),
    ask: Callable[[str], bool] | None = None,
) -> None:
    """Refuse to fetch what a licence restricts, unless the user has said that it is accepted.

    Args:
        items: To be fetched.
        place: Where to; what is there already was accepted before.
        accepted: Networks whose licence is accepted.
        ask: Asks the user a question; ``None`` where nobody is there to answer.

    Raises:
        ConfigError: A name in ``accepted`` is no network.
        WeightsError: A licence is not accepted; nothing has been fetched.
    """
    unknown = next((name for name in accepted if name not in LICENCES), None)
    if unknown is not None:
        raise ConfigError(
            f"--accept-licence {unknown}: there is no such network.",
            hint=did_you_mean(unknown, LICENCES),
        )
    for item in items:
        licence = item.licence
        wanted = licence.needs_consent and item.network not in accepted
        if not wanted or all((place.folder / path).exists() for path in item.files):
            continue
        terms = f"{item.name} is under the {licence.name} ({licence.source}). {licence.allows}"
        if ask is None or not ask(terms):
            raise WeightsError(
                f"{terms} Nothing has been fetched.",
                hint=f"If you accept that: `--accept-licence {item.network}`.",
            )


def fetch(items: Sequence[Item], place: Place) -> Outcome:
    """Fetch all files of ``items`` that are not there; the others are checked.

    A file that fails does not keep the others from being fetched.
    """
    outcome = Outcome([], {})
    for item in items:
        for path, file in item.files.items():
            try:
                outcome.fetched.append(_fetch_file(item, path, file, place))
            except WeightsError as error:
                outcome.failures[place.folder / path] = error
    return outcome


def _fetch_file(item: Item, path: PurePosixPath, file: PublishedFile, place: Place) -> Fetched:
    target = place.folder / path
    with taking_turns(target.parent) as alone:
        known = place.known_hash(file)
        if target.exists():
            digest = _checked_on_disk(item, target, known)
            origin = BY_HAND
            new = False
        else:
            with _partial(target, alone) as partial:
                digest, announced = _download(item, target, partial, file, place)
            origin = announced_by(host_of(file.url)) if announced else FIRST_FETCH
            new = True
        if known is None:
            record(place.lock, file.url, Recorded(digest, target.stat().st_size, origin))
        elif file.sha256:
            origin = "published by its maker"
        else:
            origin = read_lock(place.lock)[file.url].origin
    return Fetched(item, target, digest, origin, new)


def _checked_on_disk(item: Item, target: Path, known: str | None) -> str:
    digest = sha256_file(target)
    if known is not None and digest != known:
        raise WeightsError(
            f"{target}: has sha256 {digest}, but {known} is known of it.",
            hint=f"Delete it and run `clipline weights fetch {item.name}` again.",
        )
    return digest


@contextmanager
def _partial(target: Path, alone: bool) -> Iterator[Path]:
    """Where a file is put together: to be resumed, unless other runs cannot be kept away."""
    if alone:
        yield target.with_name(f".{target.name}{TEMPORARY_SUFFIX}")
        return
    with tempfile.TemporaryDirectory(dir=target.parent, suffix=TEMPORARY_SUFFIX) as own:
        yield Path(own) / target.name


def _download(
    item: Item, target: Path, partial: Path, file: PublishedFile, place: Place
) -> tuple[str, bool]:
    """Put a file in its place; its hash, and whether the server announced it."""
    known = place.known_hash(file)
    download = Download(
        file.url, partial, f"{item.name} {target.name}", known, place.patience, place.progress
    )
    try:
        require_host(file.url)
    except OSError:
        reason = f"{host_of(file.url)} cannot be reached from this machine"
        raise _unfetched(item, target, file, reason) from None
    resumed = partial.exists()
    try:
        announced = download.fetch()
        digest = sha256_file(partial)
        wanted = known or announced
        if wanted and digest != wanted and resumed:
            download.forget()  # what an earlier run left may have been the damaged part
            announced = download.fetch()
            digest = sha256_file(partial)
    except UnfetchedError as error:
        raise _unfetched(item, target, file, f"{host_of(file.url)}: {error}") from None
    if wanted and digest != wanted:
        download.forget()
        reason = f"what came has sha256 {digest} instead of {wanted}, and was deleted"
        raise _unfetched(item, target, file, f"{host_of(file.url)}: {reason}")
    with partial.open("rb") as whole:
        os.fsync(whole.fileno())
    partial.chmod(0o644)
    partial.replace(target)
    download.forget()
    return digest, announced is not None


def _unfetched(item: Item, target: Path, file: PublishedFile, reason: str) -> WeightsError:
    return WeightsError(
        f"{item.name}: cannot fetch {file.filename}: {reason}.",
        hint=f"By hand: download {file.url} elsewhere, copy it to {target}, then run `clipline "
        f"weights verify {item.name}`.",
    )
