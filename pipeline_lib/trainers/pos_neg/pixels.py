"""The mined pictures as a network takes them: decoded and scaled once, then read from disk."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import replacing
from pipeline_lib.video.scaling import Resize, resize_image


def write_pixels(
    path: Path, pictures: Sequence[Path], resize: Resize, progress: Progress = SILENT
) -> None:
    """Decode and scale ``pictures`` into one matrix uint8 [n, S, S, 3], unless it is there.

    It lies in a file because it may be larger than memory, and because training that goes on
    after a kill needs it again; the system keeps in memory what fits.

    Args:
        path: The file, in a folder named by the pictures' content and by ``resize``.
        pictures: PNG files.
        resize: With a crop, so that all come out alike.
        progress: Told of each picture.

    Raises:
        DataError: A picture cannot be read.
        OSError: The disk has no room for it.
    """
    if path.is_file():
        return
    side = resize.crop or resize.size
    with replacing(path) as temporary:
        matrix = open_memmap(
            temporary, mode="w+", dtype=np.uint8, shape=(len(pictures), side, side, 3)
        )
        _reserve(temporary)

        def fill(row: int) -> None:
            matrix[row] = _scaled(pictures[row], resize)

        with (
            ThreadPoolExecutor(os.cpu_count()) as threads,
            progress.task("read frames", len(pictures)) as advance,
        ):
            for _ in threads.map(fill, range(len(pictures))):
                advance()
        matrix.flush()


def open_pixels(path: Path) -> NDArray[np.uint8]:
    """The matrix that :func:`write_pixels` wrote; its rows are read when they are used."""
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return pixels


def _reserve(path: Path) -> None:
    """Take the room of a file that is full of holes: a page with no room ends the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _scaled(picture: Path, resize: Resize) -> NDArray[np.uint8]:
    try:
        with Image.open(picture) as image:
            pixels = np.asarray(image.convert("RGB"))
        return resize_image(pixels, resize)
    # Pillow tells a damaged picture in any of these words.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, VideoError) as error:
        raise DataError(
            f"{picture}: not a readable picture ({error}).",
            hint="Mine the frames again: `dvc repro mine`.",
        ) from None
