"""How sound a video turned out to be: faults the decoder reports, and losses it does not."""

import heapq

# In these codecs every packet is one shown frame, so a packet without a frame is a lost frame.
_ONE_FRAME_A_PACKET = frozenset(
    {"h264", "hevc", "vp9", "av1", "mpeg1video", "mpeg2video", "mjpeg", "prores"}
)

# A broadcast is cut anywhere: its last packet may be half there. That shows as at most so many
# faults, among at most so many frames (reordering shows later frames first).
_EDGE_FAULTS = 3
_EDGE_FRAMES = 16


class Health:
    """Counts what went wrong while one video is decoded.

    Frames leave a decoder in presentation order, so a packet whose time is passed over is lost.
    Pictures that belong before the first key frame (open groups at a cut) are shown by no player
    and not counted.

    Args:
        codec: FFmpeg's name of the codec.
        broadcast: The container is made to be cut anywhere (MPEG-TS): what is wrong before the
            first frame and in the last packet is a cut, no fault.
    """

    def __init__(self, codec: str, broadcast: bool) -> None:
        self._counts_losses = codec in _ONE_FRAME_A_PACKET
        self._broadcast = broadcast
        self._confirmed = 0
        self._recent = 0
        self._shown_since = 0
        self._waiting: list[int] = []
        self._first_key: int | None = None
        self._explained = 0
        self._started = False
        self._interlaced = False

    @property
    def errors(self) -> int:
        """Packets that gave no frame, and frames that came out damaged."""
        at_edge = self._broadcast and (not self._started or self._recent <= _EDGE_FAULTS)
        return self._confirmed if at_edge else self._confirmed + self._recent

    def sent(self, pts: int | None, key: bool) -> None:
        """A packet that is to be shown at ``pts`` goes to the decoder."""
        if not self._counts_losses or pts is None:
            return
        if self._first_key is None:
            if self._broadcast and not key:
                return  # other files start with a key frame, though damage may hide that it is one
            self._first_key = pts
        heapq.heappush(self._waiting, pts)

    def unreadable(self) -> None:
        """The container could not be read on at some place."""
        self._fault(1)

    def failed(self) -> None:
        """A packet could not be decoded, or its frame is shown at no time of its own."""
        self._fault(1)
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
        lost = []
        while self._waiting and self._waiting[0] <= pts:
            time = heapq.heappop(self._waiting)
            if time < pts and (self._started or time >= (self._first_key or 0)):
                lost.append(time)
        self._interlaced = interlaced
        if not corrupt:
            self._clean_frame()
        self._fault(corrupt)
        self._lose(len(lost))
        return min(lost, default=pts)

    def ended(self) -> None:
        """The decoder is drained; what still waits is lost."""
        self._lose(len(self._waiting))
        self._waiting.clear()
        if not self._started:  # no clean frame at all is no cut
            self._confirmed += self._recent
            self._recent = 0

    def _lose(self, count: int) -> None:
        """``count`` packets gave no frame; failures reported before explain as many."""
        unexplained = max(0, count - self._interlaced - self._explained)
        self._explained = max(0, self._explained - count)
        self._fault(unexplained)

    def _clean_frame(self) -> None:
        if self._broadcast and not self._started:
            self._recent = 0
        self._started = True
        self._shown_since += 1
        if self._shown_since > _EDGE_FRAMES:
            self._confirmed += self._recent
            self._recent = 0

    def _fault(self, count: int) -> None:
        if count:
            self._recent += count
            self._shown_since = 0
