"""Directories that are replaced as a whole."""

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline_lib.errors import DataError
from pipeline_lib.storage.atomic import TEMPORARY_SUFFIX, want_of_room_told

log = logging.getLogger(__name__)


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success it takes the place of ``path``.

    Nothing of the old directory survives, so that ``path`` holds exactly what one run made. On
    an error the old directory stays as it was. What a killed run left behind is removed.

    Args:
        path: The directory to replace; missing parent folders are made, a link is followed.

    Raises:
        DataError: Another run is at work on the same directory.
    """
    path = path.resolve()
    with claimed(_made(path), path), replacing_in_claimed(path) as made:
        yield made


@contextmanager
def replacing_in_claimed(path: Path) -> Iterator[Path]:
    """As :func:`replacing_directory`, for one of many directories of a folder that is claimed.

    Each claim is an open file, of which a process may have a thousand or so.
    """
    path = path.resolve()
    made, retired = _made(path), path.with_name(f".{path.name}.old{TEMPORARY_SUFFIX}")
    try:
        made.mkdir(parents=True, exist_ok=True)
        for left in made.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with want_of_room_told(path):
            yield made
        shutil.rmtree(retired, ignore_errors=True)
        if path.exists():
            path.rename(retired)
        made.rename(path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _made(path: Path) -> Path:
    return path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")


@contextmanager
def claimed(folder: Path, result: Path) -> Iterator[None]:
    """A context in which no other run can claim ``folder``; a killed one gives it up.

    Args:
        folder: Where a run works; made if it is not there.
        result: What it works on, for the message.

    Raises:
        DataError: Another run has claimed it.
    """
    handle = _locked(folder, result)
    try:
        yield
    finally:
        os.close(handle)


def _locked(folder: Path, result: Path) -> int:
    """A handle of ``folder`` that holds its lock until it is closed."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise DataError(
                f"{result}: another run is at work on it.",
                hint="Wait until it has ended, or end it.",
            ) from None
        except OSError as error:
            log.debug("%s: on a file system without locks: %s", folder, error)
        # Between the two lines above another run may have finished and moved it away.
        if folder.is_dir() and folder.stat().st_ino == os.fstat(handle).st_ino:
            return handle
        os.close(handle)


def refuse_foreign(path: Path, is_ours: Callable[[str], bool], maker: str) -> None:
    """Refuse to replace a directory that holds what ``maker`` did not make.

    Args:
        path: The directory; it need not exist.
        is_ours: Whether ``maker`` makes files or folders of this name.
        maker: For the message.

    Raises:
        DataError: It holds something else, or is no directory.
    """
    if path.exists() and not path.is_dir():
        raise DataError(f"{path}: not a directory.", hint="Choose another --out.")
    names = sorted(entry.name for entry in path.iterdir()) if path.exists() else []
    foreign = next((name for name in names if not is_ours(name)), None)
    if foreign is not None:
        raise DataError(
            f"{path} holds {foreign!r}, which {maker} did not make; the whole directory would be "
            "replaced.",
            hint="Choose another --out, or move that away.",
        )
