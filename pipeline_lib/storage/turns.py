"""Taking turns: work that only one process at a time may do, while others wait."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOG = logging.getLogger(__name__)


@contextmanager
def taking_turns(folder: Path) -> Iterator[bool]:
    """A context that only one process at a time is in; a killed one leaves it.

    Args:
        folder: What it is about; made if it is not there.

    Yields:
        Whether that is so: not every file system has locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _locked(handle, folder)
    finally:
        os.close(handle)


def _locked(handle: int, folder: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _LOG.info("%s: waiting for another run that writes there", folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        _LOG.debug("%s: on a file system without locks: %s", folder, error)
        return False
    return True
