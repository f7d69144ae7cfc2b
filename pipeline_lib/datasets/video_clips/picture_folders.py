"""Frames of clips out of folders of numbered pictures."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline_lib.datasets.video_clips.files import picture_name
from pipeline_lib.datasets.video_clips.items import ClipItem
from pipeline_lib.datasets.video_clips.sources import Indices, Pixels, Window
from pipeline_lib.datasets.video_lists.frame_folder import SideBySide
from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.video.scaling import Resize, resize_image

_HASHES = "picture_folder_hashes.json"
# A file changed this recently may change again within one tick of its clock, unseen.
_SETTLED_NS = 2_000_000_000


class PictureSource:
    """Folders of pictures; a :class:`~pipeline_lib.datasets.video_clips.sources.Source`.

    Args:
        frame_name: What pictures are called, by their number from 1.
        short_side: Pixels that the shorter side is scaled to; ``None`` leaves it.
    """

    def __init__(self, frame_name: str, short_side: int | None) -> None:
        self._frame_name = frame_name
        self._resize = Resize(short_side) if short_side else None

    def settings(self) -> list[object]:
        """Names and scaling."""
        return ["pictures", self._frame_name, self._resize.size if self._resize else None]

    def digests(
        self, items: Sequence[ClipItem], folder: Path, together: SideBySide
    ) -> tuple[dict[Path, str], dict[Path, str]]:
        """Of the listed pictures of each folder, which are read only where one has changed."""
        known = _read_known(folder / _HASHES)
        counts = {item.path: item.listed_frames or 0 for item in items}
        failed: dict[Path, str] = {}

        def digest(path: Path) -> list[str]:
            pictures = self._pictures(path, np.arange(counts[path]))
            try:
                stamp, settled = _stamp(pictures)
                entry = known.get(str(path.absolute()))
                if entry is not None and entry[0] == stamp:
                    return entry
                content = hashlib.sha256("\0".join(map(sha256_file, pictures)).encode())
                return [stamp if settled else "", content.hexdigest()]
            except OSError as error:
                failed[path] = f"{error.filename}: {error.strerror}."
                return []

        found = together.run("hash pictures", sorted(counts), digest)
        usable = {path: entry for path, entry in found.items() if entry}
        new = {str(path.absolute()): entry for path, entry in usable.items() if entry[0]}
        write_json(folder / _HASHES, _read_known(folder / _HASHES) | new)
        return {path: entry[1] for path, entry in usable.items()}, failed

    def windows(self, path: Path, items: Sequence[ClipItem]) -> list[Window | str]:
        """All listed pictures.

        Raises:
            DataError: The first picture cannot be read.
        """
        height, width = self._read(self._pictures(path, np.zeros(1, np.int64))[0]).shape[:2]
        return [Window(0, item.listed_frames or 0, height, width) for item in items]

    def check(self, path: Path, count: int) -> None:
        """Read every picture.

        Raises:
            DataError: A picture cannot be read, or is of another size than the others.
        """
        self._same_size(path, map(self._read, self._pictures(path, np.arange(count))))

    def decode(self, path: Path, wanted: Sequence[Indices]) -> Iterator[tuple[int, Pixels]]:
        """Each picture is read once a clip.

        Raises:
            DataError: A picture cannot be read, or is of another size than the others.
        """
        for clip, indices in enumerate(wanted):
            numbers, places = np.unique(indices, return_inverse=True)
            frames = [self._read(picture) for picture in self._pictures(path, numbers)]
            self._same_size(path, frames)
            yield clip, np.stack(frames)[places]

    def _same_size(self, path: Path, frames: Iterable[Pixels]) -> None:
        if len({frame.shape for frame in frames}) > 1:
            raise DataError(f"{path}: its pictures are not all of one size.")

    def _pictures(self, folder: Path, numbers: Indices) -> list[Path]:
        return [folder / picture_name(self._frame_name, n + 1) for n in numbers.tolist()]

    def _read(self, picture: Path) -> Pixels:
        try:
            with Image.open(picture) as image:
                pixels = np.array(image.convert("RGB"))
            return pixels if self._resize is None else resize_image(pixels, self._resize)
        # Pillow tells a damaged picture in any of these words.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, VideoError) as e:
            raise DataError(f"{picture}: not a readable picture ({e}).") from None


def _stamp(pictures: Sequence[Path]) -> tuple[str, bool]:
    """What changes with any of these files, and whether none of them has just been written."""
    infos = [os.stat(picture) for picture in pictures]  # noqa: PTH116  # millions of them
    facts = [[info.st_size, info.st_mtime_ns, info.st_ino] for info in infos]
    latest = max((info.st_mtime_ns for info in infos), default=0)
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return digest, time.time_ns() - latest > _SETTLED_NS


def _read_known(path: Path) -> dict[str, list[str]]:
    try:
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
    return {
        str(key): [str(value) for value in entry]
        for key, entry in known.items()
        if isinstance(entry, list) and len(entry) == 2
    }
