"""One masked pretraining."""

import math
from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from pipeline_lib.config import VideoMambaPretrainConfig
from pipeline_lib.datasets.video_clips.augment import PretrainView
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.device import to_device
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.drop_paths import DropPaths
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.schedules import linear_cosine
from pipeline_lib.trainers.updating import Updates
from pipeline_lib.trainers.videomamba.layer_decay import parameter_groups
from pipeline_lib.trainers.videomamba.splits import Splits
from pipeline_lib.trainers.videomamba_pretrain.batches import (
    NAME,
    Batch,
    Planned,
    PretrainBatches,
)
from pipeline_lib.trainers.videomamba_pretrain.comparing import Comparison
from pipeline_lib.trainers.videomamba_pretrain.measuring import COLUMNS, measure_alignment

# Rates are given for so many clips.
_BATCH = 256
# AdamW's own; unlike a fine-tuning, these steps are many.
_EPSILON = 1e-8


class PretrainTask:
    """A student, its optimizer and its data; a :class:`~pipeline_lib.trainers.loop.Task`.

    Every process of the group holds the same student and the same optimizer, and does the same
    steps; only the clips of a batch are shared out.

    Args:
        config: The section ``train.videomamba.pretrain``.
        comparison: Student and teacher, on the group's device.
        splits: Training and validation clips.
        group: The processes.
        workers: Threads that make views.
        fp16: Whether gradients need scaling.
    """

    def __init__(
        self,
        config: VideoMambaPretrainConfig,
        comparison: Comparison,
        splits: Splits,
        group: Group,
        *,
        workers: int,
        fp16: bool = False,
    ) -> None:
        self._config, self._comparison, self._splits = config, comparison, splits
        self._group, self._workers = group, workers
        self._student = student = comparison.student
        self._batches = PretrainBatches(
            splits.train,
            PretrainView(config.scales, config.flip, student.shape.image_size),
            batch_size=config.batch_size,
            accumulate=config.accumulate,
            seed=config.seed,
            workers=workers,
            group=group,
        )
        self._paths = DropPaths(student, config.seed, NAME, group.device)
        named = [(name, p) for name, p in student.named_parameters() if p.requires_grad]
        self._updates = Updates(
            [parameter for _, parameter in named],
            parameter_groups(
                named,
                student.shape.depth,
                layer_decay=1.0,
                rule="depth",
                weight_decay=config.weight_decay,
            ),
            group,
            clip_grad_norm=config.clip_grad_norm,
            fp16=fp16,
            betas=config.betas,
            epsilon=_EPSILON,
        )

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch."""
        return self._batches.steps

    def train_epoch(self, epoch: int) -> Row:
        """One pass over the training clips, in an order of its own."""
        plan, rate = self._batches.plan(epoch), 0.0
        losses: list[Tensor] = []
        lengths: list[float] = []
        self._student.train()
        flat = [batch for step in plan for batch in step]
        with closing(self._batches.load(flat, epoch)) as loaded:
            for number, step in enumerate(plan):
                rate = self._set_rate((epoch - 1) * self.steps + number)
                self._updates.start()
                losses += [self._add_gradient(batch, epoch) for batch in islice(loaded, len(step))]
                self._updates.finish_gradient(_clips(step))
                length = self._updates.step()
                if math.isfinite(length):
                    lengths.append(length)
        total = torch.stack(losses).double().sum()
        self._group.sum_in_place([total])
        row: Row = {
            "train_loss": float(total) / sum(_clips(step) for step in plan),
            "lr": rate,
            "grad_norm": math.fsum(lengths) / len(lengths) if lengths else None,
        }
        return self._group.from_main(row)

    def validate(self) -> Row:
        """The loss on the validation clips and its control; undefined where there are none.

        Raises:
            ConfigError: The last steps of the epoch led to tokens that are no numbers.
        """
        val = self._splits.val
        if val is None:
            return dict.fromkeys(COLUMNS)
        row = measure_alignment(
            self._comparison,
            val,
            self._group,
            batch_size=max(1, self._config.batch_size // self._group.world),
            workers=self._workers,
        )
        if row["val_loss"] is None or not math.isfinite(row["val_loss"]):
            raise ConfigError(
                "Training diverged: the student's tokens are not finite.",
                hint="Lower train.videomamba.pretrain.lr.",
            )
        return self._group.from_main(row)

    def tensors(self) -> dict[str, Tensor]:
        """The student, with its projections."""
        return dict(self._student.state_dict())

    def describe(self, row: Row) -> dict[str, Any]:
        """The epoch and what was measured in it."""
        val = {name.removeprefix("val_"): v for name, v in row.items() if name.startswith("val_")}
        return {"trainer": NAME, "epoch": row["epoch"], "val": val}

    def state(self) -> dict[str, Any]:
        """Weights, moments and the scale of fp16; rates, orders and draws follow from the epoch."""
        return {"student": self.tensors(), **self._updates.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of :meth:`state`."""
        self._student.load_state_dict(state["student"])
        self._updates.load_state(state)

    def _set_rate(self, step: int) -> float:
        """Give all parameters the rate of a step, from 0 over all epochs."""
        config, scale = self._config, self._config.batch_size * self._config.accumulate / _BATCH
        rate = linear_cosine(
            step,
            lr=config.lr * scale,
            steps=self.steps * config.epochs,
            warmup_steps=self.steps * config.warmup_epochs,
            warmup_lr=0.0,
            min_lr=config.min_lr * scale,
        )
        for group in self._updates.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        return rate

    def _add_gradient(self, batch: Batch, epoch: int) -> Tensor:
        """Add the gradient of the sum of the losses of this process's clips; returns that sum."""
        if not len(batch.places):
            return torch.zeros((), device=self._group.device)
        clip = to_device(batch.views.numpy(), self._group.device)
        targets = self._comparison.teacher.targets(clip)
        seed = self._config.seed
        mask = self._comparison.masks(
            targets, [numpy_stream(seed, NAME, "mask", epoch, int(row)) for row in batch.clips]
        )
        planned = batch.planned
        self._paths.draw(epoch, planned.number, len(planned.clips), batch.places)
        made = self._comparison.predict(clip, mask)
        loss = self._comparison.losses(made, targets.tokens, mask).sum()
        self._updates.scaled(loss).backward()
        return loss.detach()


def _clips(step: list[Planned]) -> int:
    """Clips of a step, of all processes."""
    return sum(len(batch.clips) for batch in step)
