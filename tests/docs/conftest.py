"""The finished small project: made once for all workers, copied for every page."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.shell import warm_python


@pytest.fixture(scope="session")
def warm(tmp_path_factory) -> Iterator[Path]:
    """A Python that has imported torch already, for all commands of this worker."""
    with warm_python(tmp_path_factory.mktemp("warm")) as address:
        yield address


@pytest.fixture(scope="session")
def small(tmp_path_factory, warm) -> Path:
    """The folder of the finished project; nobody changes it."""
    from tests.docs.small_project import finished  # torch, which the quick tests do without

    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "documented"
    with (base / "documented.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = base / "documented.done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            finished(folder / "project", warm)
            done.touch()
    return folder / "project"


def _copy(source: str, target: str) -> None:
    """Content-addressed files are never written again: another name is enough."""
    if "/.dvc/cache/" in source or "/.git/objects/" in source:
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def project(small, tmp_path) -> Iterator[Path]:
    """A copy of it for one page; it is removed afterwards."""
    folder = tmp_path / "project"
    shutil.copytree(small, folder, symlinks=True, copy_function=_copy)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
