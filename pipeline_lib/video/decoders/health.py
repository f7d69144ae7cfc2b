"""How sound a video turned out to be: faults the decoder reports, and losses it does not."""

import heapq

# In these codecs every packet is one shown frame, so a packet without a frame is a lost frame.
_ONE_FRAME_A_PACKET = frozenset(
    {"h264", "hevc", "vp9", "av1", "mpeg1video", "mpeg2video", "mjpeg", "prores"}
)


class Health:
    """Counts what went wrong while one video is decoded.

    Frames leave a decoder in presentation order, so a packet whose time is passed over is lost.
    Pictures that belong before the first key frame (open groups at a cut) are shown by no player
    and not counted.

    Args:
        codec: FFmpeg's name of the codec.
        broadcast: The container is made to be cut anywhere (MPEG-TS): what is wrong before the
            first key frame and in the last packet is a cut, no fault.
    """

    def __init__(self, codec: str, broadcast: bool) -> None:
        self._counts_losses = codec in _ONE_FRAME_A_PACKET
        self._broadcast = broadcast
        self._faults = 0
        self._in_last_packet = 0
        self._explained = 0
        self._sent = 0
        self._waiting: list[tuple[int, int]] = []
        self._first_key: int | None = None
        self._started = False
        self._interlaced = False

    @property
    def errors(self) -> int:
        """Packets that gave no frame, and frames that came out damaged."""
        return self._faults if self._broadcast else self._faults + self._in_last_packet

    def sent(self, pts: int | None, *, key: bool, corrupt: bool, shown: bool) -> None:
        """A packet goes to the decoder.

        Args:
            pts: When its frame is to be shown; ``None`` where the container does not say.
            key: Decoding can start here.
            corrupt: The demuxer says that it is damaged.
            shown: Its frame is to be shown at all.
        """
        self._faults += self._in_last_packet
        self._in_last_packet = 0
        self._sent += 1
        # Files other than broadcasts start with a key frame, though damage may hide that it is one.
        if self._first_key is None and (key or not self._broadcast):
            self._first_key = pts
        if corrupt:
            self._fault(1, self._sent)
        if self._counts_losses and shown and pts is not None and self._first_key is not None:
            heapq.heappush(self._waiting, (pts, self._sent))

    def unreadable(self) -> None:
        """The container could not be read on at some place."""
        self._fault(1, 0)

    def failed(self) -> None:
        """A packet could not be decoded, or its frame is shown at no time of its own."""
        self._fault(1, self._sent)
        self._explained += 1

    def shown(self, pts: int, *, corrupt: bool, interlaced: bool) -> int:
        """A frame came out.

        Args:
            pts: Its presentation time.
            corrupt: The decoder says that it is damaged.
            interlaced: Its two fields may have been packets of their own.

        Returns:
            ``pts``, or the earliest lost time before it.
        """
        lost, packet = [], 0
        while self._waiting and self._waiting[0][0] <= pts:
            time, packet = heapq.heappop(self._waiting)
            if time < pts and (self._started or time >= (self._first_key or 0)):
                lost.append(time)
        self._started = True
        self._interlaced = interlaced
        self._fault(corrupt, packet)
        self._lose(len(lost), 0)
        return min(lost, default=pts)

    def ended(self) -> None:
        """The decoder is drained; what still waits is lost."""
        self._lose(len(self._waiting), max((packet for _, packet in self._waiting), default=0))
        self._waiting.clear()

    def _lose(self, count: int, last_packet: int) -> None:
        """``count`` packets gave no frame; failures reported before explain as many."""
        unexplained = max(0, count - self._interlaced - self._explained)
        self._explained = max(0, self._explained - count)
        self._fault(unexplained, last_packet if unexplained == 1 else 0)

    def _fault(self, count: int, packet: int) -> None:
        if self._broadcast and self._first_key is None:
            return
        if packet and packet == self._sent:
            self._in_last_packet += count
        else:
            self._faults += count
