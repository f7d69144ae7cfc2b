"""CLIP ViT-B/32 at 2 fps, 720p: this project against the usual recipe, and against its own parts.

The recipe is what https://github.com/v-iashin/video_features does a frame: OpenCV reads, PIL
scales and crops, torchvision normalises, fp32 batches of 32.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.common import (
    Cost,
    measure,
    options,
    report,
    rounded,
    side_by_side,
    write_video,
)
from pipeline_lib.backbones.base import Backbone, Placement
from pipeline_lib.backbones.clip import ClipBackbone, load_clip
from pipeline_lib.backbones.openvino_engine import OpenVinoBackbone
from pipeline_lib.config import ClipConfig, ExtractConfig, RuntimeConfig
from pipeline_lib.extraction.decode import Job
from pipeline_lib.extraction.decode_pool import DecodePool
from pipeline_lib.extraction.executors import Run
from pipeline_lib.extraction.executors.base import Settings
from pipeline_lib.extraction.output import Output
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.video.files import find_videos

FPS, BATCH = 2, 32
GFLOP_AN_IMAGE = 8.82
CLIP = ClipConfig(model="ViT-B-32-quickgelu", weights="untrained")
# One row a half second and clips that fall on the rows: 2 frames a second, as the recipe samples.
CONFIG = ExtractConfig(every_s=1 / FPS, clip_len_s=2.0, fps=FPS, batch_size=BATCH, clip=CLIP)


def recipe(paths: list[Path], clip: ClipBackbone) -> np.ndarray:
    """Embed frames at 2 fps the usual way; float32 [N, D]."""
    import_open_clip()
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(clip.preprocess.mean, clip.preprocess.std),
        ]
    )
    rows, batch = [], []

    def flush() -> None:
        if batch:
            with torch.inference_mode():
                rows.append(clip.forward(torch.stack(batch)).float().numpy())
            batch.clear()

    for path in paths:
        video = cv2.VideoCapture(str(path))
        step = video.get(cv2.CAP_PROP_FPS) / FPS
        number, due = 0, 0.0
        while True:
            found, picture = video.read()
            if not found:
                break
            if number >= due:
                picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                batch.append(prepare(Image.fromarray(picture)))
                due += step
                if len(batch) == BATCH:
                    flush()
            number += 1
    flush()
    return np.concatenate(rows)


def clipline(folder: Path, clip: Backbone, **runtime: int) -> Callable[[], None]:
    """A whole extraction into a new directory."""

    def run() -> None:
        out = Path(tempfile.mkdtemp())
        settings = Settings(("clip",), CONFIG, RuntimeConfig(device="cpu", **runtime), out)
        outputs = [Output("clip", clip, CONFIG, out / "clip")]
        [done] = Extraction(Run(settings, outputs), own_directory=True).extract(find_videos(folder))
        assert not done.failures
        shutil.rmtree(out)

    return run


def decode_alone(paths: list[Path], clip: ClipBackbone) -> Callable[[], None]:
    """One decoding process, its frames thrown away."""
    stream = Output("clip", clip, CONFIG, Path("unused")).stream

    def run() -> None:
        jobs = [Job(n, path, "pyav", 1, False, (stream,)) for n, path in enumerate(paths)]
        for _ in DecodePool(1, 60.0).events(jobs):
            pass

    return run


def model_alone(images: int, clip: ClipBackbone) -> Callable[[], None]:
    """As many forward passes, on one thread."""
    size = clip.resize.crop or clip.resize.size
    batch = list(np.random.default_rng(0).integers(0, 255, (BATCH, size, size, 3), dtype=np.uint8))

    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        for _ in range(-(-images // BATCH)):
            clip.encode(batch)
        torch.set_num_threads(before)

    return run


def matrix_rate(dtype: torch.dtype) -> float:
    """GFLOP/s of one large matrix product on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    a, b = (torch.randn(3072, 3072, dtype=dtype) for _ in range(2))
    cost = min(measure(lambda: a @ b).cpu_s for _ in range(5))
    torch.set_num_threads(before)
    return 2 * 3072**3 / cost / 1e9


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row."""
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40)
    given = parser.parse_args()
    fp32 = load_clip(CLIP, Placement(batch_size=BATCH))
    bf16 = load_clip(CLIP, Placement(precision="bf16", batch_size=BATCH))
    with tempfile.TemporaryDirectory() as folder:
        source = given.video or write_video(Path(folder) / "source.mp4", given.seconds)
        videos = Path(folder) / "videos"
        videos.mkdir()
        paths = [shutil.copy(source, videos / f"{n}.mp4") for n in range(given.videos)]
        images = len(recipe(paths, fp32))
        costs = side_by_side(
            {
                "recipe fp32": lambda: recipe(paths, fp32),
                "clipline fp32": clipline(videos, fp32),
                "clipline bf16": clipline(videos, bf16),
                "clipline bf16 on OpenVINO": clipline(videos, OpenVinoBackbone(fp32, "bf16")),
                "clipline bf16, a core each": clipline(videos, bf16, threads=1, decode_workers=1),
                "decode alone, a core": decode_alone(paths, bf16),
                "model alone, a core": model_alone(images, bf16),
            },
            given.rounds,
        )
        pictures = [np.roll(np.full((224, 224, 3), 90, np.uint8), n) for n in range(8)]
        rng = np.random.default_rng(1)
        pictures += list(rng.integers(0, 255, (24, 224, 224, 3), dtype=np.uint8))
        close = cosine(fp32.encode(pictures), bf16.encode(pictures))
    alone = max(costs["decode alone, a core"].wall_s, costs["model alone, a core"].wall_s)
    rate = matrix_rate(torch.bfloat16)
    model: Cost = costs["model alone, a core"]
    reached = -(-images // BATCH) * BATCH * GFLOP_AN_IMAGE / model.cpu_s
    figures = {
        "images": images,
        "costs": rounded(costs),
        "cpu_recipe_over_clipline_bf16": round(
            costs["recipe fp32"].cpu_s / costs["clipline bf16"].cpu_s, 2
        ),
        "cpu_recipe_over_clipline_openvino": round(
            costs["recipe fp32"].cpu_s / costs["clipline bf16 on OpenVINO"].cpu_s, 2
        ),
        "cpu_recipe_over_clipline_fp32": round(
            costs["recipe fp32"].cpu_s / costs["clipline fp32"].cpu_s, 2
        ),
        "wall_over_slower_part_alone": round(costs["clipline bf16, a core each"].wall_s / alone, 3),
        "bf16_share_of_matrix_rate": round(reached / rate, 3),
        "bf16_gflops": round(reached, 1),
        "bf16_lowest_cosine": round(float(close.min()), 6),
    }
    report("clip_extraction", figures, save=given.save)


if __name__ == "__main__":
    main()
