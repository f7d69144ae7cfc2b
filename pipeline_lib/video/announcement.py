"""What a container announces of its video: how many frames there are and when each is shown.

Read from the packets, without decoding more than the first frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

from pipeline_lib.errors import VideoError
from pipeline_lib.video.decoders.base import Damage
from pipeline_lib.video.decoders.pyav import PyAvDecoder, PyAvFrame
from pipeline_lib.video.decoders.pyav_stream import PacketIndex, TrackReader


@dataclass(frozen=True)
class Announcement:
    """What packets and header say of a video.

    Attributes:
        path: The file.
        times: Container times of the presented frames, ascending.
        last_length: Seconds for which the last one is shown.
        tick_s: The resolution of these times.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the codec.
        stream: The track's number in the file.
        width: Of the stored picture.
        height: Of the stored picture.
        interlaced: Its pictures are made of two fields.
        turns: Quarter turns counter-clockwise that bring the picture upright.
        color_range: FFmpeg's number, as the decoder gives it.
        colorspace: FFmpeg's number, as the decoder gives it.
        by_dts: The times are decoding times, which may be shifted by a constant.
        layout: What is wrong with the container's layout, if anything.
    """

    path: Path
    times: Sequence[Fraction]
    last_length: Fraction
    tick_s: float
    container: str
    codec: str
    stream: int
    width: int
    height: int
    interlaced: bool
    turns: int
    color_range: int
    colorspace: int
    by_dts: bool
    layout: Damage | None

    def pts_s(self, number: int) -> float:
        """Seconds from the first presented frame to this one."""
        return float(self.times[number] - self.times[0])

    def end_s(self, frames: int) -> float:
        """Seconds to the end of the last of the first ``frames`` frames."""
        if not frames:
            return 0.0
        if frames < len(self.times):
            return self.pts_s(frames)
        return float(self.times[-1] - self.times[0] + self.last_length)

    def refuse(self, library: str, what: str) -> NoReturn:
        """Raise the error that says ``library`` does ``what`` with this file."""
        raise VideoError(
            f"{self.path}: {library} {what}.",
            reason="decoder_mismatch",
            hint="Use --decoder pyav, which reads this file.",
        )


def announcement(path: Path) -> Announcement:
    """Read the packets of a video, and decode its first frame.

    Containers that store no presentation times are decoded instead.

    Raises:
        VideoError: The file cannot be read as a video, or holds no frame.
    """
    with TrackReader(path) as track:
        index = track.index()
        decoder = PyAvDecoder(path, track)
        frames = iter(decoder)
        first = next(frames, None)
        if first is None:
            raise VideoError(
                f"{path}: no frame could be decoded.",
                reason="no_frames",
                hint="The file is damaged or its codec is not supported; re-encode it.",
            )
        start = Fraction(decoder.start_s or 0.0)
        times = _shown_times(index, track) if index else _decoded_times(first, frames, start)
        if not track.by_dts:
            # Open groups at a cut: packets before the first frame that can be shown at all.
            times = [time for time in times if float(time) >= float(start)]
        base, rate = track.time_base, track.stream.average_rate
        length = index.last_length * base if index else Fraction(0)
        return Announcement(
            path=path,
            times=times,
            last_length=length or (1 / Fraction(rate) if rate else Fraction(0)),
            tick_s=float(base),
            container=track.container.format.name,
            codec=track.codec,
            stream=track.stream.index,
            width=first.raw.width,
            height=first.raw.height,
            interlaced=first.raw.interlaced_frame,
            turns=first.turns,
            color_range=int(first.raw.color_range),
            colorspace=int(first.raw.colorspace),
            by_dts=track.by_dts,
            layout=decoder.damage,
        )


def _shown_times(index: PacketIndex, track: TrackReader) -> list[Fraction]:
    return [time * track.time_base for time in index.times]


def _decoded_times(
    first: PyAvFrame, others: Iterator[PyAvFrame], start: Fraction
) -> list[Fraction]:
    return [start + Fraction(frame.pts_s) for frame in (first, *others)]
