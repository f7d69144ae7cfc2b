"""An embedded folder as a browser asks it: directions in, videos with their moments out."""

from pathlib import Path
from typing import Any

from pipeline_lib.errors import DataError
from pipeline_lib.retrieval.embedded_folder import EmbeddedFolder
from pipeline_lib.retrieval.models import BEST
from pipeline_lib.retrieval.search import Found, MomentOptions, score_moments
from pipeline_lib.serving.encoder import Direction
from pipeline_lib.serving.originals import Originals


class Library:
    """Answers from what was embedded; safe to use in several threads.

    Args:
        folder: What ``embed`` wrote.
        originals: Knows which videos can be played.
        segments: Equal parts of the timeline that label a moment.
        threshold: Least score of a moment; ``None`` has none.
    """

    def __init__(
        self, folder: EmbeddedFolder, originals: Originals, segments: int, threshold: float | None
    ) -> None:
        self._folder, self._originals = folder, originals
        self._segments, self._threshold = segments, threshold

    def info(self) -> dict[str, Any]:
        """What the page says of itself."""
        manifest = self._folder.manifest
        opened = manifest.opened_from
        return {
            "model": manifest.model["network"],
            "opened_from": opened["config"] or opened["model"] or str(BEST),
            "trained": bool(manifest.model["trained"]),
            "videos": manifest.embedded,
            "not_embedded": manifest.failed,
            "duration_s": round(self._folder.duration_s, 3),
            "source": manifest.source,
            "embedded_on": manifest.processing_date,
        }

    def search(
        self, query: str, direction: Direction, videos: int, moments: int
    ) -> list[dict[str, Any]]:
        """The videos that fit best, best first, with their moments.

        Args:
            query: What is looked for.
            direction: Its vector.
            videos: Most videos.
            moments: Most moments of each.

        Raises:
            DataError: The folder is not whole, or was embedded again since it was opened.
        """
        options = MomentOptions(moments, self._segments, self._threshold, None)
        answer = []
        for entry, record in self._folder.nearest(direction.vector, videos):
            if record.sha256 != entry.sha256:
                raise DataError(
                    "The folder was embedded again meanwhile.", hint="Restart `clipline serve`."
                )
            found = score_moments(Path(entry.relative), query, direction.vector, record, options)
            answer.append({"number": entry.row, "name": entry.relative, **_shown(found)})
        return answer

    def problem(self, number: int) -> dict[str, object] | None:
        """Why a video cannot be played, as far as that is known; ``None`` where it can."""
        return self._originals.problem(self._originals.entry(number))


def _shown(found: Found) -> dict[str, Any]:
    record = found.record
    return {
        "score": found.video_score,
        "duration_s": round(record.duration_s, 3),
        "moments": [
            {
                "time_s": round(moment.timestamp_s, 3),
                "start_s": round(moment.start_s, 3),
                "end_s": round(moment.end_s, 3),
                "score": moment.score,
                "frame": moment.source_frame,
            }
            for moment in found.moments
        ],
        "curve": {
            "times_s": [round(time, 3) for time in record.pts_s.tolist()],
            "scores": found.scores.tolist(),
        },
    }
