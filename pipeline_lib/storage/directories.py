"""Directories that are replaced as a whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline_lib.storage.atomic import TEMPORARY_SUFFIX


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success it takes the place of ``path``.

    Nothing of the old directory survives, so that ``path`` holds exactly what one run made. On
    an error the old directory stays as it was. What a killed run left behind is removed.

    Args:
        path: The directory to replace; missing parent folders are made, a link is followed.
    """
    path = path.resolve()
    made = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    retired = path.with_name(f".{path.name}.old{TEMPORARY_SUFFIX}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        yield made
        shutil.rmtree(retired, ignore_errors=True)
        if path.exists():
            path.rename(retired)
        made.rename(path)
        shutil.rmtree(retired, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)
