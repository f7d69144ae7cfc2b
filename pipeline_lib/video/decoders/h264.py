"""As much of H.264's packet layout as tells whether other pictures build on one.

ITU-T H.264, 7.3.1 (NAL unit header) and Annex B; ISO/IEC 14496-15, 5.3.3 (length prefixes).
"""

from collections.abc import Iterator

_SLICES = range(1, 6)
_START_CODE = b"\0\0\1"


def length_bytes(extradata: bytes | None) -> int:
    """How many bytes hold the length of each unit; 0 where start codes part them instead."""
    if extradata and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return 0


def first_slice_refers(packet: bytes, length_bytes: int) -> bool | None:
    """Whether other pictures may refer to this one, by the header of its first slice.

    Args:
        packet: One coded picture.
        length_bytes: As :func:`length_bytes` tells.

    Returns:
        ``None`` where no slice is found, as in a damaged packet.
    """
    for start in _units(packet, length_bytes):
        if packet[start] & 0x80:  # a bit that is always zero
            return None
        if packet[start] & 0x1F in _SLICES:
            return packet[start] & 0x60 != 0
    return None


def _units(packet: bytes, length_bytes: int) -> Iterator[int]:
    """Where each unit's header stands."""
    position = 0
    while True:
        if length_bytes:
            start = position + length_bytes
            length = int.from_bytes(packet[position:start], "big")
            position = start + length
            if not length or position > len(packet):
                return
        else:
            position = start = packet.find(_START_CODE, position) + len(_START_CODE)
            if start < len(_START_CODE) or start >= len(packet):
                return
        yield start
