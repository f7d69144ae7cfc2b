"""Single frames of videos as JPEG, made when a page asks for them."""

import io

from PIL import Image

from pipeline_lib.errors import VideoError
from pipeline_lib.retrieval.catalogue import Entry
from pipeline_lib.serving.bounded import Bounded, Remembered
from pipeline_lib.serving.originals import Original, Originals
from pipeline_lib.serving.refusal import RefusalError
from pipeline_lib.video.reader import open_video

# Twice what the page shows, for dense screens; smaller frames stay as they are.
_LARGEST = (640, 400)
_QUALITY = 85
_CACHED_BYTES = 64_000_000
# A container's length and its last frame's end differ by a rounding.
_PAST_END_S = 0.1


class Stills:
    """Decodes frames in a few threads, and keeps so many bytes of the last ones.

    Args:
        originals: Opens the videos.
        files: Where they are opened.
        decoders: Where they are decoded.
    """

    def __init__(self, originals: Originals, files: Bounded, decoders: Bounded) -> None:
        self._originals, self._files, self._decoders = originals, files, decoders
        self._kept: Remembered[tuple[str, int], bytes] = Remembered(_CACHED_BYTES, len)

    @property
    def cached_bytes(self) -> int:
        """What the kept pictures take."""
        return self._kept.held

    async def jpeg(self, number: int, time_s: float) -> bytes:
        """The frame that is shown at a time.

        Raises:
            RefusalError: 404, no such video or time; 410, the video is not what was embedded; 503,
                too many frames are waiting.
        """
        entry = await self._files.run(self._checked, number, time_s)
        milliseconds = round(1000 * time_s)
        key = (entry.sha256, milliseconds)
        return await self._kept.get(
            key, lambda: self._decoders.run(self._decoded, number, milliseconds / 1000)
        )

    def _checked(self, number: int, time_s: float) -> Entry:
        original = self._originals.opened(number)
        original.file.close()
        entry = original.entry
        if time_s > entry.duration_s + _PAST_END_S:
            raise RefusalError(
                404, f"{entry.relative}: ends at {entry.duration_s:.2f} s.", kind="time"
            )
        return entry

    def _decoded(self, number: int, time_s: float) -> bytes:
        original = self._originals.opened(number)
        try:
            return _jpeg(original, time_s)
        except VideoError as error:
            raise RefusalError(410, _unreadable(original.entry), kind=error.reason) from None
        finally:
            original.file.close()


def _jpeg(original: Original, time_s: float) -> bytes:
    # One thread: several frames are decoded at a time.
    with open_video(original.path, threads=1) as video:
        picture = Image.fromarray(next(video.at([time_s])).rgb())
    picture.thumbnail(_LARGEST)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _unreadable(entry: Entry) -> str:
    return f"{entry.relative}: this frame cannot be decoded."
