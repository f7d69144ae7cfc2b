"""An epoch that decodes its videos against one that reads their frames from disk."""

import shutil
import tempfile
from pathlib import Path

from benchmarks.common import options, report, rounded, side_by_side, write_video
from pipeline_lib.datasets.video_text import VideoItem
from pipeline_lib.datasets.video_text.frame_store import FrameStore, open_frames
from pipeline_lib.video.scaling import Resize


def epoch(store: FrameStore) -> int:
    """Read every item once, as a batch would, and touch all its pixels."""
    return sum(int(store.read(item).max()) for item in range(len(store)))


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--segments", type=int, default=2, help="of each video")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = given.video or write_video(folder / "source.mp4", given.seconds, size=(320, 240))
        length_s = given.seconds / given.segments
        items = []
        for number in range(given.videos):
            # Other bytes behind the last box: another video to whoever asks for its hash.
            path = folder / f"{number}.mp4"
            shutil.copy(source, path)
            with path.open("ab") as file:
                file.write(b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
            items += [
                VideoItem(f"{number}_{part}", path, part * length_s, (part + 1) * length_s)
                for part in range(given.segments)
            ]

        def opened(cache: str, where: Path) -> FrameStore:
            return open_frames(
                items, frames=48, draws=1, resize=Resize(224, crop=224), cache=cache, folder=where
            )

        def first() -> None:
            shutil.rmtree(folder / "new", ignore_errors=True)
            epoch(opened("disk", folder / "new"))

        kept, decoded = opened("disk", folder / "kept"), opened("none", folder / "none")
        costs = side_by_side(
            {
                "first_epoch": first,
                "cached_epoch": lambda: epoch(kept),
                "decoded_epoch": lambda: epoch(decoded),
            },
            given.rounds,
        )
        figures: dict[str, object] = dict(rounded(costs))
        figures["items"] = len(items)
        figures["decoded_over_cached_cpu"] = round(
            costs["decoded_epoch"].cpu_s / costs["cached_epoch"].cpu_s, 1
        )
        report("frame_store", figures, save=given.save)


if __name__ == "__main__":
    main()
