import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.errors import VideoError
from pipeline_lib.reporting.film import make_film
from tests.support.video_files import constant_rate, garbage, read_number


def pixels(picture):
    content = base64.b64decode(picture.uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_each_frame_stands_over_its_part_of_the_time(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 100, 10)
    film = make_film(video, 10.0, 2.0, 4000)
    assert film.times_s == (1.0, 3.0, 5.0, 7.0, 9.0)
    row = pixels(film.picture)
    cells = np.split(row, 5, axis=1)
    assert [read_number(cell) for cell in cells] == [10, 30, 50, 70, 90]


@pytest.mark.parametrize(
    ("seconds", "every_s", "frames"), [(10, 2, 5), (10, 3, 3), (1, 2, 1), (10, 0.1, 12)]
)
def test_frames_are_never_closer_than_asked_for(tmp_path, seconds, every_s, frames):
    video = constant_rate(tmp_path / "a.mp4", 100, 10)
    assert len(make_film(video, seconds, every_s, 600).times_s) == frames


def test_a_row_is_never_wider_than_asked_for_and_upright_videos_fit(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 20, 10, size=(96, 256))
    film = make_film(video, 2.0, 0.5, 200)
    assert film.picture.width == 200
    assert film.picture.height == round(50 * 1.25)


def test_a_broken_video_is_told(tmp_path):
    with pytest.raises(VideoError):
        make_film(garbage(tmp_path / "a.mp4"), 10.0, 2.0, 600)
