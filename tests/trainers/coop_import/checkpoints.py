"""Checkpoints as other programs write them."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline_lib.datasets.window_store import STORE
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop_import.importing import CHECKPOINT

CPU = torch.device("cpu")
NAMES = ("Abuse", "RoadAccidents", "Shoplifting in store", "normal")


def learner(
    tower: TextTower, names=NAMES, n: int = 4, csc: bool = False, dtype=torch.float32
) -> dict[str, Tensor]:
    """The tensors of CoOp's prompt learner: placeholder words stand where the context will."""
    texts = [f"{' '.join(['X'] * n)} {name.replace('_', ' ')}." for name in names]
    rows = tower.embed(tower.tokenize(texts))
    shape = (len(names), n, tower.width) if csc else (n, tower.width)
    context = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    tensors = {"ctx": context, "token_prefix": rows[:, :1], "token_suffix": rows[:, 1 + n :]}
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def script(tensors: dict[str, Tensor]) -> dict[str, object]:
    """As the script for video features saves it."""
    return {
        "epoch": 7,
        "prompt_learner_state_dict": OrderedDict(tensors),
        "optimizer_state_dict": torch.optim.SGD([torch.zeros(1)], lr=0.1).state_dict(),
        "val_loss": np.float64(0.25),
        "val_acc": np.float32(89.5),
    }


class Warmup(torch.optim.lr_scheduler.LRScheduler):
    """A warm-up around another schedule, which its state then holds as an object."""

    def __init__(self, optimizer, successor):
        self.successor = successor
        super().__init__(optimizer)

    def get_lr(self):
        return [1e-5]


def dassl(tensors: dict[str, Tensor]) -> dict[str, object]:
    """As CoOp's own trainer saves it."""
    context = torch.nn.Parameter(tensors["ctx"].clone())
    optimizer = torch.optim.SGD([context], lr=0.002, momentum=0.9)
    schedule = Warmup(optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50.0))
    context.sum().backward()
    optimizer.step()
    schedule.step()
    return {
        "state_dict": OrderedDict((f"prompt_learner.{k}", v) for k, v in tensors.items()),
        "epoch": 50,
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "val_result": 61.5,
    }


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def described(out: Path) -> dict:
    return read_checkpoint(out / CHECKPOINT)[1]


def pack(folder: Path, class_names: list[str]) -> None:
    """A store as far as an import looks at it."""
    folder.mkdir(parents=True)
    (folder / STORE).write_text("{}")
