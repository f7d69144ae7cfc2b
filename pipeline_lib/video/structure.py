"""Whether a container is whole, told from the sizes its parts declare; nothing is decoded.

A file cut off where a packet ends decodes without any error. What gives it away is that the parts
that hold the packets declare more bytes than are there.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_BOX_NAMES = frozenset(
    b"ftyp styp moov moof mdat free skip wide pnot udta meta uuid sidx ssix mfra prft emsg "
    b"pdin bloc".split()
)
_SEGMENT = 0x18538067
# Cluster, SeekHead, Info, Tracks, Cues, Chapters, Attachments, Tags, Void, CRC-32.
_SEGMENT_PARTS = frozenset(
    {0x1F43B675, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B}
    | {0x1043A770, 0x1941A469, 0x1254C367, 0xEC, 0xBF}
)
_EBML_HEADER = 0x1A45DFA3


def broken_layout(path: Path, format_name: str) -> tuple[str, str] | None:
    """What is wrong with the outermost layout of a file.

    Args:
        path: The file.
        format_name: The name of the demuxer that reads it.

    Returns:
        The reason (``truncated`` or ``corrupt``) and a sentence; ``None`` where nothing is wrong,
        and for formats that declare no sizes (MPEG-TS, FLV, ...).
    """
    walk = _WALKS.get(format_name.split(",")[0])
    if walk is None:
        return None
    with path.open("rb") as file:
        return walk(file, os.fstat(file.fileno()).st_size)


def _missing(part: str, end: int, size: int) -> tuple[str, str] | None:
    if end <= size:
        return None
    return "truncated", f"its {part} is {end - size} bytes longer than the file"


def _boxes(file: BinaryIO, size: int) -> tuple[str, str] | None:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length, name = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if name not in _BOX_NAMES or length < 8:
            return None  # padding behind the last box, or a box that reaches to the end
        position += length
        if broken := _missing(f"{name.decode()} box", position, size):
            return broken
    return None


def _ebml(file: BinaryIO, size: int) -> tuple[str, str] | None:
    header = _element(file, 0)
    if header is None or header[0] != _EBML_HEADER or header[2] is None:
        return None
    segment = _element(file, header[1] + header[2])
    if segment is None or segment[0] != _SEGMENT or segment[2] is None:
        return None  # a live recording declares no size
    end = segment[1] + segment[2]
    if broken := _missing("segment", end, size):
        return broken
    position = segment[1]
    while position < end:
        part = _element(file, position)
        if part is None or part[0] not in _SEGMENT_PARTS:
            return "corrupt", f"what stands at byte {position} is no part of a Matroska segment"
        if part[2] is None:
            return None
        position = part[1] + part[2]
    return None


def _element(file: BinaryIO, position: int) -> tuple[int, int, int | None] | None:
    """Id, start of the content and its length (``None``: unknown) of an EBML element."""
    file.seek(position)
    header = file.read(12)
    if not header or not header[0]:
        return None
    id_length = 9 - header[0].bit_length()
    if id_length > 4 or len(header) <= id_length or not header[id_length]:
        return None
    size_length = 9 - header[id_length].bit_length()
    content = header[id_length : id_length + size_length]
    if len(content) < size_length:
        return None
    mask = (1 << 7 * size_length) - 1
    length = int.from_bytes(content, "big") & mask
    start = position + id_length + size_length
    return int.from_bytes(header[:id_length], "big"), start, None if length == mask else length


def _riff(file: BinaryIO, size: int) -> tuple[str, str] | None:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        if header[:4] != b"RIFF":
            return None
        position += 8 + int.from_bytes(header[4:], "little")
        position += position % 2
        if broken := _missing("RIFF chunk", position, size + size % 2):
            return broken
    return None


_WALKS: dict[str, Callable[[BinaryIO, int], tuple[str, str] | None]] = {
    "mov": _boxes,
    "matroska": _ebml,
    "avi": _riff,
}
