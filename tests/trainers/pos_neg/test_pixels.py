import numpy as np
from PIL import Image

from pipeline_lib.trainers.pos_neg import pixels
from pipeline_lib.trainers.pos_neg.pixels import open_pixels, write_pixels
from pipeline_lib.video.scaling import Resize

RESIZE = Resize(32, "shortest", "bicubic", crop=32)


def test_the_matrix_has_its_room_before_it_is_filled(tmp_path, monkeypatch):
    """A page that the disk has no room for would end the process without a word."""
    pictures = []
    for value in (10, 200):
        pictures.append(tmp_path / f"{value}.png")
        Image.new("RGB", (40, 32), (value,) * 3).save(pictures[-1])
    folder, reserved = tmp_path / "run", []
    scaled = pixels._scaled

    def watched(picture, resize):
        (made,) = folder.iterdir()
        info = made.stat()
        reserved.append(512 * info.st_blocks >= info.st_size)
        return scaled(picture, resize)

    monkeypatch.setattr(pixels, "_scaled", watched)
    write_pixels(folder / "pixels.npy", pictures, RESIZE)
    assert reserved == [True, True]
    matrix = open_pixels(folder / "pixels.npy")
    assert matrix.shape == (2, 32, 32, 3)
    assert np.unique(matrix[0]).tolist() == [10]
