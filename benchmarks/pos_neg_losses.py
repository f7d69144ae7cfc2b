"""Losses, modes and learning rates of fine-tuning on frames of questions, over several seeds.

Runs in a project whose `dvc repro` is done, on its own videos: nothing of the project is changed.
Choose by val; test says what the choice is worth.
"""

import argparse
import itertools
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import report
from pipeline_lib.config import Params
from pipeline_lib.evaluation import SPLITS, Request
from pipeline_lib.evaluation.pos_neg.evaluate import evaluate_pos_neg
from pipeline_lib.params_file import load_params
from pipeline_lib.trainers.pos_neg.losses import LOSSES
from pipeline_lib.trainers.pos_neg.training import Places, train_pos_neg

_PATHS = (("recall", "at_1"), ("recall", "at_4"), ("sim_m", "mean"))


def measured(params: Params) -> tuple[float, dict[str, tuple[float, float]]]:
    """Train once; seconds, and each number after and before."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        places = Places(
            out=root / "model", history=root / "history.csv", tensorboard=root, scratch=root
        )
        section = getattr(params.extract, params.train.pos_neg.backbone)
        start = time.perf_counter()
        train_pos_neg(params.train.pos_neg, section, places)
        seconds = time.perf_counter() - start
        tree = evaluate_pos_neg(params, Request(checkpoint=places.out / "best")).metrics
    return seconds, {
        f"{split}.{group}.{name}": (
            tree[split][group][name],
            tree[split]["control"]["zero_shot"][group][name],
        )
        for split in SPLITS
        for group, name in _PATHS
    }


def main() -> None:
    """Print a table; keep it with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--modes", nargs="+", default=["full"])
    parser.add_argument("--lrs", nargs="+", type=float, default=[3e-4])
    parser.add_argument("--epochs", nargs="+", type=int, default=[10])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[16])
    parser.add_argument("--selects", nargs="+", default=["average_precision"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    params = load_params(Path("params.yaml"))
    rows = {}
    grid = itertools.product(
        args.losses, args.modes, args.lrs, args.epochs, args.batch_sizes, args.selects
    )
    for loss, mode, lr, epochs, batch_size, select in grid:
        runs = []
        for seed in args.seeds:
            config = replace(
                params.train.pos_neg,
                loss=loss, mode=mode, lr=lr, epochs=epochs, batch_size=batch_size, select=select,
                seed=seed,
            )  # fmt: skip
            train = replace(params.train, pos_neg=config)
            runs.append(measured(replace(params, train=train)))
        name = f"{loss}, {mode}, lr {lr:g}, {epochs} epochs, batch {batch_size}, {select}"
        rows[name] = {"seconds": round(float(np.mean([seconds for seconds, _ in runs])), 1)} | {
            key: {
                "mean": round(float(np.mean([values[key][0] for _, values in runs])), 3),
                "sd": round(float(np.std([values[key][0] for _, values in runs])), 3),
                "zero_shot": round(runs[0][1][key][1], 3),
            }
            for key in runs[0][1]
        }
        print(name, rows[name], flush=True)
    report("pos_neg_losses", rows, save=args.save)


if __name__ == "__main__":
    main()
