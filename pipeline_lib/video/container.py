"""Opening a file with FFmpeg's demuxers: what is let in, and which of its tracks is the video.

Files may come from anywhere. Playlists are refused because they make FFmpeg open other files,
names are never read as patterns or addresses, and a picture too large to hold is refused by its
header, before memory is asked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline_lib.errors import VideoError
from pipeline_lib.video.decoders.base import check_file
from pipeline_lib.video.scaling import MAX_PIXELS, MAX_SIDE

# Demuxers that read one file and nothing else; hls, dash, concat, image2 and the like are not here.
_FORMATS = (
    "mov,matroska,webm,avi,flv,live_flv,asf,mpegts,mpeg,mpegvideo,ogg,mxf,nut,rm,dv,wtv,gif,"
    "ivf,obu,h264,hevc,m4v,mjpeg"
)

# Containers that hold the picture size themselves, so that it is known before decoding.
_SIZE_IN_HEADER = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})


def file_url(path: Path) -> str:
    """The name under which FFmpeg opens exactly this file, whatever characters it holds."""
    return f"file:{path.absolute()}"


@contextmanager
def open_container(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and choose its video track.

    Raises:
        VideoError: The file is missing, empty, no video container, has no video track (cover art
            is no video track), or declares an absurd picture size; ``reason`` says which.
    """
    check_file(path)
    try:
        container = av.open(
            file_url(path),
            metadata_errors="replace",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{path}: not a readable video ({_words(error)}).",
            reason="unreadable",
            hint="Check that it plays; re-download or re-encode it.",
        ) from None
    with container:
        yield container, _video_stream(path, container)


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise VideoError(
                f"{path}: its video codec is unknown to this FFmpeg.", reason="unreadable"
            )
        _check_size(path, container, stream)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        return stream
    raise VideoError(
        f"{path}: has no video track.",
        reason="no_video_stream",
        hint="Remove it from the videos folder, or list it under data.exclude.",
    )


def _check_size(path: Path, container: InputContainer, stream: VideoStream) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    # FFmpeg forgets a size beyond the limit it was given.
    forgotten = not (width and height) and container.format.name in _SIZE_IN_HEADER
    if forgotten or max(width, height) > MAX_SIDE:
        raise VideoError(
            f"{path}: declares no picture size that can be decoded (at most {MAX_SIDE} pixels a "
            f"side, {MAX_PIXELS // 1_000_000} million in all).",
            reason="absurd_size",
            hint="The file is damaged, or not meant to be watched; re-download or re-encode it.",
        )


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text.strip().rstrip(".")
