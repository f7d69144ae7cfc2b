"""The videos themselves: only those of the catalogue, and only as they were when embedded."""

import hashlib
import os
import stat
import threading
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from pipeline_lib.errors import DataError
from pipeline_lib.retrieval.catalogue import Entry
from pipeline_lib.retrieval.embedded_folder import EmbeddedFolder
from pipeline_lib.serving.refusal import RefusalError
from pipeline_lib.storage.hash_cache import HashCache

_AGAIN = "Search still finds what it showed; put the file back, or run `clipline embed` again."


@dataclass(frozen=True)
class Original:
    """One open video whose bytes are those that were embedded.

    Attributes:
        file: Open for reading, at any place; the caller closes it.
        path: Without links.
        size: Bytes.
        sha256: Of them.
        entry: Of the catalogue.
    """

    file: BufferedReader
    path: Path
    size: int
    sha256: str
    entry: Entry


class Originals:
    """Opens videos by their number.

    No path ever comes from a request. A file is opened first and then looked at, so what is sent
    is what was checked, whatever happens to its name meanwhile.

    Args:
        folder: Says which videos there are.
        root: Folder of the videos.
        hashes: Remembers what was checked.
        follow_links: Also open links that lead out of the folder.

    Raises:
        DataError: There is no such folder.
    """

    def __init__(
        self, folder: EmbeddedFolder, root: Path, hashes: HashCache, *, follow_links: bool = False
    ) -> None:
        if not root.is_dir():
            raise DataError(
                f"{root}: no such folder of videos.",
                hint="Name the one that was embedded: --videos FOLDER. A relative path counts from "
                "where the command runs.",
            )
        self._folder, self._root = folder, root
        self._resolved = root.resolve()
        self._hashes, self._follow = hashes, follow_links
        # Two viewers of one new video shall not both read it through; a disk is one disk.
        self._reading = threading.Lock()

    def entry(self, number: int) -> Entry:
        """The video with a number.

        Raises:
            RefusalError: 404, there is none.
        """
        entry = self._folder.entry(number)
        if entry is None:
            raise RefusalError(404, f"There is no video {number} here.", kind="unknown")
        return entry

    def problem(self, entry: Entry) -> dict[str, object] | None:
        """What is known to be wrong with a video, without reading it; ``None`` for nothing."""
        try:
            path = self._path(entry)
            digest = self._hashes.get(str(self._root / entry.relative), path.stat())
        except OSError:
            return _gone(entry).as_dict()
        except RefusalError as refusal:
            return refusal.as_dict()
        return _changed(entry).as_dict() if digest not in (None, entry.sha256) else None

    def opened(self, number: int) -> Original:
        """Open a video; reads it once through where its content is not known yet.

        Raises:
            RefusalError: 404, there is none; 410, it is gone, has changed, or is a link out of
                the folder.
        """
        entry = self.entry(number)
        path = self._path(entry)
        try:
            file = _open(path)
        except OSError:
            raise _gone(entry) from None
        try:
            info = os.fstat(file.fileno())
            if self._digest(entry, file, info) != entry.sha256:
                raise _changed(entry)
        except BaseException:
            file.close()
            raise
        return Original(file, path, info.st_size, entry.sha256, entry)

    def _path(self, entry: Entry) -> Path:
        try:
            path = (self._root / entry.relative).resolve(strict=True)
        except (OSError, RuntimeError):  # a loop of links is one or the other
            raise _gone(entry) from None
        if not self._follow and not path.is_relative_to(self._resolved):
            raise RefusalError(
                410,
                f"{entry.relative}: a link that leads out of the folder of videos.",
                hint="Start with --follow-links where that is meant.",
                kind="outside",
            )
        return path

    def _digest(self, entry: Entry, file: BufferedReader, info: os.stat_result) -> str:
        if not stat.S_ISREG(info.st_mode):
            raise _gone(entry)
        name = str(self._root / entry.relative)
        with self._reading:
            digest = self._hashes.get(name, info)
            if digest is None:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                self._hashes.put(name, info, digest)
        return digest


def _open(path: Path) -> BufferedReader:
    # Neither does a pipe make the server wait for its writer, nor is a link followed once more.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags), "rb")


def _gone(entry: Entry) -> RefusalError:
    return RefusalError(410, f"{entry.relative}: the file is gone.", hint=_AGAIN, kind="missing")


def _changed(entry: Entry) -> RefusalError:
    return RefusalError(
        410,
        f"{entry.relative}: the file has changed since it was embedded.",
        hint=_AGAIN,
        kind="changed",
    )
