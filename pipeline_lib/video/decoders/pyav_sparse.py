"""The frames that are asked for, and as few others as possible.

The packets tell without decoding which frame is shown when and where decoding can start. A few
frames of a long video are decoded from the key frame before each. Many are decoded on the way
through, without the frames that no other one builds on. Every frame that comes out is held against
the packets, so what is returned is what a sequential pass returns.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import NoReturn

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame

from pipeline_lib.video.decoders.base import Wanted
from pipeline_lib.video.decoders.health import Health
from pipeline_lib.video.decoders.pyav_stream import KeyPacket, PacketIndex, TrackReader

# Looking into the packets costs about a hundredth of decoding; with no longer gap between the
# requested times there is nothing to gain.
_GAP_WORTH_A_LOOK_S = 1.0
# A seek throws away what decoding threads have begun; so many frames are decoded sooner.
_FRAMES_WORTH_A_SEEK = 16


class UnlikeItsIndexError(Exception):
    """What was decoded is not what the packets announced; only a sequential pass can tell more."""


def worth_a_look(track: TrackReader, wanted: Wanted) -> bool:
    """Whether frames may be left out, and their times be far enough apart for it to pay."""
    if track.by_dts:
        return False
    if wanted.to_end:
        return track.can_skip
    times_s = wanted.times_until(math.inf)
    return any(
        after - before > _GAP_WORTH_A_LOOK_S
        for before, after in zip((0.0, *times_s), times_s, strict=False)
    )


def shown_numbers(index: PacketIndex, base: Fraction, wanted: Wanted) -> list[int]:
    """Which frames are wanted: numbers among all frames, ascending, each once."""
    last = len(index.times) - 1

    def shown_from(number: int) -> float:
        return float((index.times[number] - index.times[0]) * base) - wanted.tolerance_s

    every = range(last + 1)
    times_s = wanted.times_until(shown_from(last) if wanted.to_end else math.inf)
    numbers = {max(0, bisect_right(every, t, key=shown_from) - 1) for t in times_s}
    return sorted(numbers | {last} if wanted.to_end else numbers)


def sparse_frames(
    track: TrackReader, index: PacketIndex, numbers: Sequence[int], *, seek: bool
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode the frames with these numbers, and as little else as possible.

    Args:
        track: Stands at its first packet.
        index: Its packets.
        numbers: Which frames, ascending.
        seek: Whole stretches may be left out.

    Yields:
        Number and frame.

    Raises:
        UnlikeItsIndexError: Anything differs from what the packets announced.
    """
    firsts = [bisect_left(index.times, key.pts) for key in index.keys]
    # Wherever the wanted frames are, the first one is decoded: times count from it.
    needed = [0, *(number for number in numbers if number)]
    frames = _checked(track, index, needed, track.packets(_refuse))
    reached, raw = next(frames)
    for position, number in enumerate(numbers):
        nearest = bisect_right(firsts, number) - 1
        if seek and nearest >= 0 and firsts[nearest] - reached > _FRAMES_WORTH_A_SEEK:
            packets = _packets_from(track, index.keys[nearest])
            frames = _checked(track, index, numbers[position:], packets)
        while reached < number:
            reached, raw = next(frames)
        yield number, raw


def _packets_from(track: TrackReader, key: KeyPacket) -> Iterator[Packet]:
    try:
        track.container.seek(key.seek_to, stream=track.stream)
    except FFmpegError:
        _refuse()
    packets = track.packets(_refuse)
    for packet in packets:
        if packet.is_keyframe and packet.pts == key.pts:
            yield packet
            break
        # By presentation time: what Matroska calls a decoding time is a guess, made anew here.
        if packet.is_keyframe and (packet.pts is None or packet.pts > key.pts):
            _refuse()
    yield from packets


def _checked(
    track: TrackReader, index: PacketIndex, numbers: Sequence[int], packets: Iterator[Packet]
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames with these numbers, and others that had to be decoded on the way."""
    needed = {index.times[number] for number in numbers}
    health = Health(track.codec, broadcast=False)
    key = next(packets, None)
    if key is None or key.pts is None:
        _refuse()
    waiting, reached = iter(numbers), -1
    expected = next(waiting)
    for packet in chain([key], packets, [None]):
        if packet is not None:
            _announce(track, health, packet, packet.pts in needed)
        for raw in track.decode(packet, _refuse):
            if raw.pts is None:
                _refuse()
            if reached < 0 and raw.pts < key.pts:
                continue  # shown before the key frame, and not decodable from it
            health.shown(raw.pts, corrupt=raw.is_corrupt, interlaced=raw.interlaced_frame)
            number = bisect_left(index.times, raw.pts, lo=reached + 1)
            known = index.times[number : number + 1] == (raw.pts,)
            if health.errors or number > expected or not known:
                _refuse()
            if number == expected:
                expected = next(waiting, len(index.times) - 1)
            yield number, raw
            reached = number
    _refuse()


def _announce(track: TrackReader, health: Health, packet: Packet, needed: bool) -> None:
    """Prepare for the next packet: its frame has to come unless it may be left out."""
    if needed or not track.skip(packet):
        track.keep()
        health.sent(
            packet.pts,
            key=packet.is_keyframe,
            corrupt=packet.is_corrupt,
            shown=not packet.is_discard,
        )


def _refuse() -> NoReturn:
    raise UnlikeItsIndexError
