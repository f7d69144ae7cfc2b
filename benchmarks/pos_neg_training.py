"""Fine-tuning ViT-B/32 on frames of questions, against the usual loop of one item a pass.

The loop is what scripts for this do: it opens an item's pictures with Pillow at every step, scales
them with torchvision, embeds them and the caption padded to 77 tokens in fp32, and steps once in 16
items. Both sides train on the same items, five to a video, and compute with one thread.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks.common import measure, options, report, rounded, side_by_side
from pipeline_lib.config import ClipConfig, PosNegConfig
from pipeline_lib.runtime.device import choose_precision, precision_name
from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.storage.png import encode_png
from pipeline_lib.trainers.pos_neg.data import Item, PosNegData
from pipeline_lib.trainers.pos_neg.embedding import Towers
from pipeline_lib.trainers.pos_neg.model import TrainableClip, load_trainable
from pipeline_lib.trainers.pos_neg.pixels import open_pixels, write_pixels
from pipeline_lib.trainers.pos_neg.task import PosNegTask

CLIP = ClipConfig(model="ViT-B-32", weights="untrained")
VIDEOS, ITEMS_A_VIDEO, TRUE, NEGATIVE = 10, 5, 2, 5
STEP = 16  # items
SIZE = (640, 360)
EPOCHS = 10  # over which a frozen trunk's one pass is spread


def make_data(folder: Path) -> PosNegData:
    """One step's items, drawn from all; items of a video have their negatives in common."""
    rng = np.random.default_rng(0)
    width, height = SIZE
    a_video = ITEMS_A_VIDEO * TRUE + NEGATIVE
    drawn = np.sort(rng.choice(VIDEOS * ITEMS_A_VIDEO, STEP, replace=False)).tolist()
    wanted: dict[int, None] = {}
    frames_of = []
    for number in drawn:
        video, place = divmod(number, ITEMS_A_VIDEO)
        first = video * a_video
        true = [first + NEGATIVE + place * TRUE + k for k in range(TRUE)]
        negative = list(range(first, first + NEGATIVE))
        frames_of.append((true, negative))
        wanted |= dict.fromkeys([*negative, *true])
    row = {frame: place for place, frame in enumerate(sorted(wanted))}
    frames = []
    for frame in sorted(wanted):
        noise = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        path = folder / f"{frame:04d}.png"
        path.write_bytes(encode_png(noise.repeat(8, axis=0).repeat(8, axis=1)))
        frames.append(path)
    items = tuple(
        Item(f"q{number}", place, tuple(row[t] for t in true), tuple(row[n] for n in negative))
        for place, (number, (true, negative)) in enumerate(zip(drawn, frames_of, strict=True))
    )
    captions = tuple(f"What does person number {number} take from the table?" for number in drawn)
    return PosNegData(captions=captions, frames=tuple(frames), train=items, val=(),
                      split=pd.DataFrame())  # fmt: skip


class UsualLoop:
    """One optimizer step of the usual loop."""

    def __init__(self, data: PosNegData, config: PosNegConfig) -> None:
        import_open_clip()
        from torchvision import transforms

        self._data = data
        self._model = load_trainable(CLIP, config, ALONE.device)
        preprocess = self._model.preprocess
        self._optimizer = torch.optim.AdamW(list(self._model.trainable().values()), lr=1e-6)
        self._prepare = transforms.Compose(
            [
                transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(preprocess.mean, preprocess.std),
            ]
        )

    def step(self, items: Sequence[Item]) -> None:
        """Accumulate the gradients of all items, each on its own."""
        self._optimizer.zero_grad()
        for item in items:
            paths = [self._data.frames[row] for row in (*item.true, *item.negative)]
            pixels = torch.stack([self._prepare(Image.open(p).convert("RGB")) for p in paths])
            tokens = self._model.tokenizer([self._data.captions[item.caption]])
            images, texts = self._model(pixels, tokens)
            wanted = (torch.arange(len(paths)) < len(item.true)).float()
            logits = self._model.logit_scale * images @ texts[0]
            (F.binary_cross_entropy_with_logits(logits, wanted) / len(items)).backward()
        torch.nn.utils.clip_grad_norm_(self._model.trainable().values(), 1.0)
        self._optimizer.step()


class OneRun:
    """The trainer, as far as its first epoch."""

    def __init__(self, data: PosNegData, config: PosNegConfig, folder: Path) -> None:
        self._data, self._config, self._folder = data, config, folder
        self._dtype = choose_precision(config.precision, ALONE.device)
        self._model: TrainableClip = load_trainable(CLIP, config, ALONE.device)

    def prepare(self) -> None:
        """What is done once: scaled frames, and a frozen trunk's features."""
        pixels = self._folder / "pixels.npy"
        pixels.unlink(missing_ok=True)
        write_pixels(pixels, self._data.frames, self._model.preprocess.resize)
        towers = Towers(
            self._model, open_pixels(pixels), self._data.captions, dtype=self._dtype, group=ALONE
        )
        self._task = PosNegTask(self._config, self._model, towers, self._data, ALONE)

    def epoch(self) -> None:
        """One step with all items."""
        self._task.train_epoch(1)


def compare(
    data: PosNegData, mode: str, precisions: Sequence[str], folder: Path, rounds: int
) -> dict[str, object]:
    """One mode: milliseconds of CPU time an item."""
    base: dict[str, Any] = {"mode": mode, "loss": "bce", "batch_size": STEP, "select": "last"}
    loop = UsualLoop(data, PosNegConfig(**base))
    cases: dict[str, Callable[[], None]] = {"usual loop": partial(loop.step, data.train)}
    once = {}
    for precision in precisions:
        run = OneRun(data, PosNegConfig(**base, precision=cast(Any, precision)), folder)
        once[precision] = measure(run.prepare)
        run.epoch()  # makes the optimizer's moments
        cases[precision] = run.epoch
    costs = side_by_side(cases, rounds)
    per_item = {name: 1000 * cost.cpu_s / STEP for name, cost in costs.items()}
    shared = {name: 1000 * cost.cpu_s / STEP / EPOCHS for name, cost in once.items()}
    return {
        "costs": rounded(costs),
        "once": rounded(once),
        "ms_an_item_usual": round(per_item["usual loop"], 1),
    } | {
        precision: {
            "ms_an_item": round(per_item[precision] + shared[precision], 1),
            "usual_over_ours": round(
                per_item["usual loop"] / (per_item[precision] + shared[precision]), 1
            ),
        }
        for precision in precisions
    }


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--modes", nargs="+", default=["full", "lora", "head"])
    parser.add_argument("--precisions", nargs="+", default=None)
    given = parser.parse_args()
    fast = precision_name(choose_precision("auto", ALONE.device))
    precisions = given.precisions or sorted({"fp32", fast})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder)
        figures: dict[str, object] = {
            "items_a_step": STEP,
            "frames_in_the_loop": STEP * (TRUE + NEGATIVE),
            "distinct_frames": len(data.frames),
            "epochs": EPOCHS,
        }
        for mode in given.modes:
            figures[mode] = compare(data, mode, precisions, folder, given.rounds)
    report("pos_neg_training", figures, save=given.save)


if __name__ == "__main__":
    main()
