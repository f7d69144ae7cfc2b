"""Pictures as PNG."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.storage.png import encode_png


@pytest.mark.parametrize("shape", [(1, 1, 3), (96, 257, 3), (480, 3, 3)])
def test_every_pixel_and_colour_comes_back(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    content = encode_png(image)
    assert content == encode_png(image.copy())
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.mode == "RGB"
        assert (np.asarray(opened) == image).all()


def test_a_part_of_a_picture_is_encoded_as_it_looks():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    part = image[2:10, 5:20]
    with Image.open(io.BytesIO(encode_png(part))) as opened:
        assert (np.asarray(opened) == part).all()


def test_every_row_has_the_same_filter():
    # Trying all of them takes twice as long; 2 is "up".
    image = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    content = encode_png(image)
    start = content.index(b"IDAT")
    length = int.from_bytes(content[start - 4 : start], "big")
    rows = zlib.decompress(content[start + 4 : start + 4 + length])
    assert set(rows[:: 1 + 8 * 3]) == {2}
