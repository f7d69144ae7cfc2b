"""Frames of a video, side by side over a time axis."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline_lib.reporting.pictures import Picture, embed
from pipeline_lib.video.reader import open_video

_MOST_FRAMES = 12
_HIGHEST = 1.25  # of a frame, in widths; upright videos are scaled into it
_SEAM = 2  # pixels between two frames
_GROUND = (128, 128, 128)


@dataclass(frozen=True)
class Film:
    """A row of frames.

    Attributes:
        picture: They, from the beginning of the axis to its end.
        times_s: The time of each, the middle of what it covers.
    """

    picture: Picture
    times_s: tuple[float, ...]

    @property
    def words(self) -> str:
        """The times in words."""
        return ", ".join(f"{time:.4g}" for time in self.times_s)


def make_film(video: Path, seconds: float, every_s: float, width: int) -> Film:
    """Frames at the middles of equal parts of the time, each as wide as its part.

    Args:
        video: The file.
        seconds: Length of the time axis; a part that begins behind the video's last frame shows
            that frame.
        every_s: Shortest part.
        width: Of the row, in pixels at most; small frames are not scaled up.

    Raises:
        VideoError: The video cannot be read.
    """
    parts = max(1, min(int(seconds / every_s + 1e-6), _MOST_FRAMES))
    times = [(k + 0.5) * seconds / parts for k in range(parts)]
    with open_video(video) as opened:
        images = [Image.fromarray(sample.rgb()) for sample in opened.at(times)]
    cell = min(max(image.width for image in images), width // parts)
    shape = images[0].height / images[0].width
    height = max(1, round(cell * min(shape, _HIGHEST)))
    row = Image.new("RGB", (cell * parts, height), _GROUND)
    for k, image in enumerate(images):
        image.thumbnail((cell - _SEAM, height), Image.Resampling.LANCZOS)
        left = k * cell + (cell - image.width) // 2
        row.paste(image, (left, (height - image.height) // 2))
    return Film(embed(row), tuple(times))
