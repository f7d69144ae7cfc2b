"""Bytes of a video over HTTP, whole or the range a player asks for (RFC 9110, section 14)."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pipeline_lib.serving.bounded import Bounded
from pipeline_lib.serving.originals import Original
from pipeline_lib.serving.refusal import RefusalError

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=([0-9]{0,30})-([0-9]{0,30})", re.ASCII)
# Browsers go by these names; a QuickTime file is played as what it mostly holds.
_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".ts": "video/mp2t",
    ".ogv": "video/ogg",
}


@dataclass(frozen=True)
class Span:
    """Bytes ``start`` up to, and without, ``end``."""

    start: int
    end: int


def asked_span(header: str | None, size: int) -> Span | None:
    """The one range that a header asks for.

    Args:
        header: Of ``Range``.
        size: Of the file, at least 1.

    Returns:
        ``None`` where the whole file is to be sent: without a header, and with one that is of
        another unit, malformed, or asks for several ranges, which may all be ignored.

    Raises:
        RefusalError: 416, the range lies behind the end.
    """
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        if int(last):
            return Span(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return None
    elif int(first) < size:
        return Span(int(first), min(int(last) + 1, size) if last else size)
    raise RefusalError(
        416,
        f"The video has {size} bytes; none of them lies in {header!r}.",
        kind="range",
        headers={"Content-Range": f"bytes */{size}"},
    )


class _Bytes(StreamingResponse):
    """A span of an open file, which is closed however the request ends."""

    def __init__(
        self, original: Original, span: Span, files: Bounded, status: int, headers: dict[str, str]
    ) -> None:
        self._original, self._span, self._files = original, span, files
        super().__init__(self._parts(), status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._original.file.close()

    async def _parts(self) -> AsyncIterator[bytes]:
        place = self._span.start
        while place < self._span.end:
            length = min(_CHUNK, self._span.end - place)
            part = await self._files.run(os.pread, self._original.file.fileno(), length, place)
            if not part:  # cut short meanwhile; the player notices by the length
                return
            place += len(part)
            yield part


def media_response(
    original: Original, method: str, asked: Mapping[str, str], files: Bounded
) -> Response:
    """The answer to a request for a video; takes over its open file.

    Args:
        original: The video.
        method: ``GET`` or ``HEAD``.
        asked: Headers of the request.
        files: Where the file is read.

    Raises:
        RefusalError: 416, the range lies behind the end.
    """
    etag = f'"{original.sha256[:32]}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Type": _TYPES.get(original.path.suffix.lower(), "application/octet-stream"),
    }
    try:
        if etag in asked.get("if-none-match", ""):
            original.file.close()
            return Response(status_code=304, headers=headers)
        fresh = asked.get("if-range", etag) == etag
        # Only GET knows ranges.
        span = asked_span(asked.get("range") if fresh and method == "GET" else None, original.size)
    except BaseException:
        original.file.close()
        raise
    whole = Span(0, original.size)
    headers["Content-Length"] = str((span or whole).end - (span or whole).start)
    if method == "HEAD":
        original.file.close()
        return Response(headers=headers)
    if span is None:
        return _Bytes(original, whole, files, 200, headers)
    headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{original.size}"
    return _Bytes(original, span, files, 206, headers)
