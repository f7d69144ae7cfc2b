"""Found moments as a picture: their best frames over the scores of the video."""

from pathlib import Path

from pipeline_lib.errors import VideoError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.pictures.figures import BLUE
from pipeline_lib.pictures.strip import StripRow, StripTile, draw_strip
from pipeline_lib.retrieval.search import Found
from pipeline_lib.video.decoders.base import check_file
from pipeline_lib.video.reader import read_frames


def draw_moments(path: Path, found: Found, segments: int) -> None:
    """Write a PNG of the moments of one video, which is read for it.

    Args:
        path: The picture.
        found: What was found.
        segments: Equal parts of the timeline that label the moments.

    Raises:
        VideoError: The video is not where it was when it was embedded, or is another one.
    """
    record, moments = found.record, found.moments
    _refuse_other(found)
    tiles = []
    if moments:
        seen = read_frames(found.video, [moment.timestamp_s for moment in moments])
        for moment, image in zip(moments, seen.frames, strict=True):
            words = f"score {moment.score:.3f}, frame {moment.source_frame}"
            stretch = f"{moment.start_s:.2f} s to {moment.end_s:.2f} s"
            part = f"part {moment.segment} of {segments}"
            tiles.append(StripTile(image, moment.timestamp_s, f"{words}\n{stretch}, {part}"))
    label = (
        f"best moments among {len(found.scores)} frames, best first; the whole video scores "
        f"{found.video_score:.3f}"
        if tiles
        else "no moment scores high enough"
    )
    stretches = [(moment.start_s, moment.end_s) for moment in moments]
    draw_strip(
        path,
        found.query,
        [StripRow(label, tiles, record.pts_s, found.scores, BLUE, stretches)],
        length_s=record.duration_s if len(record.pts_s) > 1 else 0.0,
        source=str(found.video),
    )


def _refuse_other(found: Found) -> None:
    hint = "Only pictures need the video; put it back, or embed the folder again."
    try:
        check_file(found.video)
    except VideoError as error:
        raise VideoError(error.message, reason=error.reason, hint=hint) from None
    if sha256_file(found.video) != found.record.sha256:
        raise VideoError(
            f"{found.video}: not the file that was embedded.", reason="changed", hint=hint
        )
