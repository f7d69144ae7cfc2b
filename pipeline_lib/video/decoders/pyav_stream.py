"""Packets and raw frames of one video track with PyAV, tolerant of corrupt packets.

Packets are decoded one by one, so that a corrupt one costs itself and not the rest of the file:
this recovers what the ffmpeg command line recovers, with the right timestamps.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.video.frame import VideoFrame

from pipeline_lib.video.container import open_container
from pipeline_lib.video.decoders.h264 import first_slice_refers, length_bytes

# A demuxer that fails this often in a row makes no progress any more.
_MAX_DEMUX_ERRORS = 16

# AVI stores decoding times only. FFmpeg derives presentation times from them for MPEG-4, whose
# headers tell the order; for these codecs what it makes up is wrong as soon as frames reorder.
_AVI_WITHOUT_ORDER = frozenset({"h264", "hevc"})

# A stream of these marks pictures that no other one may refer to, whatever comes after. (The like
# mark of HEVC only speaks of its own temporal layer.)
_NEVER_BUILT_ON = frozenset({"h264"})


@dataclass(frozen=True)
class KeyPacket:
    """A packet at which decoding can start; times in ticks of the track.

    Attributes:
        pts: When its frame is shown.
        seek_to: What the demuxer is asked for to get there, its decoding time where it has one.
    """

    pts: int
    seek_to: int


@dataclass(frozen=True)
class PacketIndex:
    """All packets of a track, by their times in ticks.

    Attributes:
        times: Presentation times of the frames that are shown, ascending, each once.
        keys: Where decoding can start, ascending.
        last_length: How long the last frame is shown, 0 where the container does not say.
        sound: Nothing odd was met, so that a frame's place here is its place when decoded.
    """

    times: tuple[int, ...]
    keys: tuple[KeyPacket, ...]
    last_length: int
    sound: bool


class TrackReader:
    """One open video track; a context that closes it.

    Args:
        path: The file.
        threads: Decoding threads; 0 lets FFmpeg choose.

    Attributes:
        container: The open file.
        stream: Its video track.
        time_base: Seconds in a tick.
        codec: FFmpeg's name of the format, whichever library decodes it.
        by_dts: Frames are shown at decoding times, because the container has no others.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self._path, self._threads = path, threads
        self._opened = ExitStack()
        self._open()
        self.codec = self.stream.codec_context.codec.canonical_name
        self.time_base = Fraction(self.stream.time_base or Fraction(1, 1_000_000))
        self.by_dts = self.container.format.name == "avi" and self.codec in _AVI_WITHOUT_ORDER

    def __enter__(self) -> "TrackReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def can_skip(self) -> bool:
        """Its decoder can leave out frames without touching any other."""
        return self.codec in _NEVER_BUILT_ON

    def rewind(self) -> None:
        """Back to the first packet, with every frame decoded again.

        Opened anew, because a seek to the start fails, or ends elsewhere, in damaged files.
        """
        self._opened.close()
        self._open()

    def _open(self) -> None:
        opened = self._opened.enter_context(open_container(self._path))
        self.container, self.stream = opened
        self.stream.codec_context.thread_type = "AUTO"
        self.stream.codec_context.thread_count = self._threads
        self._length_bytes = length_bytes(self.stream.codec_context.extradata)

    def skip(self, packet: av.Packet) -> bool:
        """Leave out this packet's frame if no other one builds on it; whether it is left out."""
        if not self.can_skip or first_slice_refers(bytes(packet), self._length_bytes) is not False:
            return False
        self.stream.codec_context.skip_frame = "NONREF"
        return True

    def keep(self) -> None:
        """Decode the next packet's frame whatever it is."""
        if self.can_skip:
            self.stream.codec_context.skip_frame = "DEFAULT"

    def packets(self, unreadable: Callable[[], None]) -> Iterator[av.Packet]:
        """Packets with content, to the end; ``unreadable`` is called where one is not."""
        failures = 0
        while failures < _MAX_DEMUX_ERRORS:
            try:
                for packet in self.container.demux(self.stream):
                    failures = 0
                    if packet.size:
                        yield packet
                return
            except (av.error.EOFError, IndexError):
                # IndexError: behind the last packet PyAV stumbles over tracks that turned up on
                # the way, as they do in damaged broadcasts.
                return
            except av.error.FFmpegError:
                unreadable()
                failures += 1

    def decode(self, packet: av.Packet | None, failed: Callable[[], None]) -> list[VideoFrame]:
        """The frames that come out when ``packet`` goes in; ``None`` drains the decoder."""
        try:
            return self.stream.codec_context.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            failed()
            return []

    def shown_at(self, raw: VideoFrame, previous: int | None) -> int | None:
        """When a frame is shown, in ticks; ``None`` where nothing tells."""
        if not self.by_dts:
            return raw.pts
        if raw.dts is not None:
            return raw.dts
        # Drained frames carry no decoding time: each takes the next slot.
        return None if previous is None else previous + (raw.duration or 1)

    def index(self) -> PacketIndex | None:
        """All packets' times, by reading but not decoding them; rewinds after.

        Returns:
            ``None`` where the container stores no times.
        """
        times: list[int] = []
        keys: list[KeyPacket] = []
        odd: list[bool] = [self.by_dts]
        last, last_length = None, 0
        for packet in self.packets(lambda: odd.append(True)):
            time = packet.dts if self.by_dts else packet.pts
            if time is None:
                self.rewind()
                return None
            odd[0] |= packet.is_corrupt
            if packet.is_keyframe:
                keys.append(KeyPacket(time, time if packet.dts is None else packet.dts))
            if not packet.is_discard:
                times.append(time)
                if last is None or time > last:
                    last, last_length = time, packet.duration or 0
        self.rewind()
        shown = tuple(sorted(set(times)))
        odd.append(not times or len(shown) != len(times))
        ascending = all(a.pts < b.pts for a, b in pairwise(keys))
        return PacketIndex(shown, tuple(keys), last_length, ascending and not any(odd))
