"""Mining 50 questions on 10 videos, against the usual loop: a seek and a forward pass a frame.

The loop is what scripts for this do: OpenCV seeks each true frame of an item and random frames of
each segment until one differs from all of them, and each frame goes through CLIP ViT-B/32 alone, in
fp32. It draws no contact sheets. A part of the items is timed and scaled up. CPU time is compared
with the loop on one thread, since waiting for one another its threads would only cost it more; wall
time with the loop on torch's own number of threads.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.common import Cost, measure, options, report, rounded, write_video
from pipeline_lib.backbones.base import Backbone, Placement
from pipeline_lib.backbones.clip import ClipBackbone, load_clip
from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.config import ClipConfig, ExtractConfig, MineConfig, RuntimeConfig
from pipeline_lib.datasets.questions import Question, QuestionFile
from pipeline_lib.mining.items import VideoFolder
from pipeline_lib.mining.report import MiningReport
from pipeline_lib.mining.run import Miner
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.runtime.torchvision_ops import import_open_clip

VIDEOS, ITEMS_A_VIDEO, TRUE_FRAMES = 10, 5, 2
CLIP = ClipConfig(model="ViT-B-32", weights="untrained")
CASES = {
    "random, 1 try": MineConfig(tries_per_segment=1),
    "random, 4 tries": MineConfig(tries_per_segment=4),
    "hard, 24 tries": MineConfig(strategy="hard", tries_per_segment=24),
}


class UsualLoop:
    """Mines one item after the other, frame by frame.

    Attributes:
        frames: Frames that were read and embedded so far.
    """

    def __init__(self, clip: ClipBackbone, root: Path, out: Path) -> None:
        import_open_clip()
        from torchvision import transforms

        self.frames = 0
        self._clip, self._root, self._out = clip, root, out
        self._rng = np.random.default_rng(42)
        bicubic = transforms.InterpolationMode.BICUBIC
        self._prepare = transforms.Compose(
            [
                transforms.Resize(224, interpolation=bicubic),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(clip.preprocess.mean, clip.preprocess.std),
            ]
        )

    def mine(self, item: Question, config: MineConfig) -> None:
        """Save the true frames of an item and its negatives."""
        video = cv2.VideoCapture(str(self._root / item.video_path))
        fps, count = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        numbers = [min(int(time * fps), count - 1) for time in item.support_frames]
        true = [self._look(video, number) for number in numbers]
        for number, (picture, _) in zip(numbers, true, strict=True):
            self._save(item, number, picture)
        directions = torch.stack([direction for _, direction in true])
        for segment in range(config.segments):
            first, last = (count * k // config.segments for k in (segment, segment + 1))
            best = None
            for _ in range(config.tries_per_segment):
                number = int(self._rng.integers(first, last))
                picture, direction = self._look(video, number)
                cosine = float((directions @ direction).max())
                if cosine < config.threshold and (best is None or cosine > best[0]):
                    best = (cosine, number, picture)
                    if config.strategy == "random":
                        break
            if best is not None:
                self._save(item, best[1], best[2])

    def _look(self, video: cv2.VideoCapture, number: int) -> tuple[np.ndarray, torch.Tensor]:
        self.frames += 1
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        picture = video.read()[1]
        image = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        with torch.inference_mode():
            row = self._clip.forward(self._prepare(image)[None])[0]
        return picture, row / row.norm()

    def _save(self, item: Question, number: int, picture: np.ndarray) -> None:
        cv2.imwrite(str(self._out / f"{item.id}_{number:06d}.png"), picture)


def questions(seconds: Sequence[float]) -> list[Question]:
    """Items with true frames anywhere in their videos, each video's one after the other."""
    rng = np.random.default_rng(0)
    return [
        Question(
            id=f"v{video}q{number}",
            question="What happens here?",
            choices=("this", "that"),
            video_path=f"{video}.mp4",
            support_frames=tuple(rng.uniform(0, length - 1, TRUE_FRAMES).tolist()),
            line=1,
        )
        for video, length in enumerate(seconds)
        for number in range(ITEMS_A_VIDEO)
    ]


def clipline(
    clip: Backbone, root: Path, items: Sequence[Question], config: MineConfig, scratch: Path
) -> MiningReport:
    """All items, into a new directory."""
    out = Path(tempfile.mkdtemp(dir=scratch.parent))
    done = Miner(clip, config, out, scratch=scratch).run(
        QuestionFile(tuple(items), ()), VideoFolder(root)
    )
    done.write_tables(out)
    assert len(done.mined) == len(items)
    shutil.rmtree(out)
    return done


def usual(
    loop: UsualLoop, timed: Sequence[Question], config: MineConfig, threads: int
) -> Callable[[], None]:
    """Some items, one after the other."""

    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        for item in timed:
            loop.mine(item, config)
        torch.set_num_threads(before)

    return run


def compare(
    config: MineConfig,
    loop: UsualLoop,
    timed: Sequence[Question],
    items: Sequence[Question],
    ours: Callable[[Path], object],
    rounds: int,
) -> dict[str, object]:
    """One case: least costs of some turns."""
    loop.frames = 0
    loops = {"usual loop": 1, "usual loop, all threads": cores()}
    costs: dict[str, list[Cost]] = {name: [] for name in (*loops, "cold", "warm")}
    share = len(items) / len(timed)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder) / "scratch"
            for name, threads in loops.items():
                part = measure(usual(loop, timed, config, threads))
                costs[name].append(Cost(share * part.wall_s, share * part.cpu_s))
            costs["cold"].append(measure(partial(ours, scratch)))
            costs["warm"].append(measure(partial(ours, scratch)))
    least = {
        name: Cost(min(c.wall_s for c in taken), min(c.cpu_s for c in taken))
        for name, taken in costs.items()
    }
    wall = least["usual loop, all threads"].wall_s
    return {
        "loop_items_timed": len(timed),
        "loop_frames_an_item": round(loop.frames / rounds / len(loops) / len(timed), 1),
        "costs": rounded(least),
        "usual_over_cold_cpu": round(least["usual loop"].cpu_s / least["cold"].cpu_s, 1),
        "usual_over_warm_cpu": round(least["usual loop"].cpu_s / least["warm"].cpu_s, 1),
        "usual_over_cold_wall": round(wall / least["cold"].wall_s, 1),
        "usual_over_warm_wall": round(wall / least["warm"].wall_s, 1),
    }


def network(engine: str) -> Backbone:
    """The network as mining runs it on a CPU."""
    extract = ExtractConfig(clip=CLIP, batch_size=8, precision="auto", engine=cast(Any, engine))
    return load_backbone("clip", extract, RuntimeConfig(device="cpu"))


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360))
    parser.add_argument("--seconds", type=float, nargs=2, default=(20, 60))
    parser.add_argument("--engine", choices=("torch", "openvino"), default="torch")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    width, height = given.size
    fp32 = load_clip(CLIP, Placement(batch_size=1))
    fast = network(given.engine)
    seconds = np.linspace(given.seconds[0], given.seconds[1], VIDEOS).round(1).tolist()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "videos"
        for number, length in enumerate(seconds):
            if given.video:
                # A free box behind the last one makes each copy a video of its own.
                padding = (8 + number).to_bytes(4, "big") + b"free" + bytes(number)
                root.mkdir(exist_ok=True)
                (root / f"{number}.mp4").write_bytes(given.video.read_bytes() + padding)
            else:
                write_video(root / f"{number}.mp4", length, size=(width, height))
        items = questions(seconds)
        loop_out = Path(folder) / "loop"
        loop_out.mkdir()
        loop = UsualLoop(fp32, root, loop_out)
        # What an untrained network finds similar says little: half of all frames shall pass.
        look = clipline(fast, root, items, CASES["random, 4 tries"], Path(folder) / "look")
        threshold = float(np.median([c for item in look.mined for c in item.drawn_cosines]))
        figures: dict[str, object] = {
            "videos": VIDEOS,
            "items": len(items),
            "size": list(given.size),
            "precision": fast.precision,
            "engine": given.engine,
            "threshold": round(threshold, 6),
        }
        for name in given.cases:
            config = CASES[name]
            case = replace(config, threshold=threshold)
            every = ITEMS_A_VIDEO * (VIDEOS // 2 if config.strategy == "hard" else 2) + 1
            figures[name] = compare(
                case,
                loop,
                items[::every],
                items,
                partial(clipline, fast, root, items, case),
                given.rounds,
            )
    suffix = "" if given.engine == "torch" else f", {given.engine}"
    size = "" if (width, height) == (640, 360) else f", {height}p"
    report(f"mining{size}{suffix}", figures, save=given.save)


if __name__ == "__main__":
    main()
