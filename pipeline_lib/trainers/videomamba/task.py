"""One training of a VideoMamba."""

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.config import VideoMambaConfig
from pipeline_lib.datasets.video_clips.augment import TrainView
from pipeline_lib.datasets.video_clips.mixing import draw_mix, mix_batch, soft_targets
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.videomamba import VideoMamba
from pipeline_lib.runtime.device import autocast, to_device
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import numpy_stream, torch_stream
from pipeline_lib.trainers.drop_paths import DropPaths
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.schedules import linear_cosine
from pipeline_lib.trainers.updating import Updates
from pipeline_lib.trainers.videomamba.batches import Batch, Planned, TrainBatches
from pipeline_lib.trainers.videomamba.layer_decay import parameter_groups
from pipeline_lib.trainers.videomamba.measuring import COLUMNS, centre_clips, measure
from pipeline_lib.trainers.videomamba.presets import Settings
from pipeline_lib.trainers.videomamba.splits import Splits


@dataclass
class _Totals:
    """What the batches of an epoch add up to."""

    losses: list[Tensor] = field(default_factory=list)
    views: int = 0
    norms: list[float] = field(default_factory=list)

    def mean_loss(self, group: Group) -> float:
        """Of all processes; every one has to ask."""
        # A process may have had no view of any batch.
        zero = torch.zeros(1, device=group.device)
        own = torch.stack([zero[0], *self.losses]).sum(dim=0, keepdim=True)
        return float(group.gather_rows(own, group.world).sum()) / self.views

    def mean_norm(self) -> float | None:
        return math.fsum(self.norms) / len(self.norms) if self.norms else None


class VideoMambaTask:
    """A network, its optimizer and its data; a :class:`~pipeline_lib.trainers.loop.Task`.

    Every process of the group holds the same network and the same optimizer, and does the same
    steps; only the views of a batch are shared out.

    Args:
        config: The section ``train.videomamba``.
        settings: What its preset decides.
        network: On the group's device.
        splits: Training and validation clips.
        group: The processes.
        dtype: Of the forward pass; gradients of fp16 need scaling.
        workers: Threads that read clips ahead.
    """

    def __init__(
        self,
        config: VideoMambaConfig,
        settings: Settings,
        network: VideoMamba,
        splits: Splits,
        group: Group,
        *,
        dtype: torch.dtype,
        workers: int = 0,
    ) -> None:
        self._config, self._settings, self._network = config, settings, network
        self._splits, self._group, self._dtype = splits, group, dtype
        self._workers, self._size = workers, network.shape.image_size
        self._updates = Updates(
            network.parameters(),
            parameter_groups(
                network.named_parameters(),
                network.shape.depth,
                layer_decay=settings.layer_decay,
                rule=config.layer_decay_rule,
                weight_decay=settings.weight_decay,
            ),
            group,
            clip_grad_norm=config.clip_grad_norm,
            fp16=dtype == torch.float16,
            betas=config.betas,
            epsilon=config.epsilon,
        )
        self._paths = DropPaths(network, config.seed, "videomamba", group.device)
        self._batches = TrainBatches(
            splits.train,
            TrainView(settings.augment, self._size),
            batch_size=config.batch_size,
            accumulate=config.accumulate,
            repeats=settings.augment.repeats,
            seed=config.seed,
            workers=workers,
            group=group,
        )

    def train_epoch(self, epoch: int) -> Row:
        """One pass over the training clips, in an order of its own."""
        self._network.train()
        # Only the head's dropout draws from torch's own stream, each process from another one.
        dropout = torch_stream(self._config.seed, "videomamba", "dropout", epoch, self._group.rank)
        torch.manual_seed(dropout.initial_seed())
        totals, lr = _Totals(), 0.0
        steps = self._batches.plan(epoch)
        flat = [batch for planned in steps for batch in planned]
        with closing(self._batches.load(flat, epoch)) as loaded:
            for step, planned in enumerate(steps):
                lr = self._set_rates((epoch - 1) * self.steps + step)
                self._step(planned, islice(loaded, len(planned)), epoch, totals)
        row: Row = {
            "lr": lr,
            "train_loss": totals.mean_loss(self._group),
            "grad_norm": totals.mean_norm(),
        }
        return self._group.from_main(row)

    def validate(self) -> Row:
        """Loss and metrics of the validation clips; undefined where there are none.

        Raises:
            ConfigError: The last steps of the epoch led to outputs that are no numbers.
        """
        val = self._splits.val
        if val is None:
            return dict.fromkeys(COLUMNS[self._config.task])
        share = self._group.share(len(val.items))
        clips = centre_clips(
            val,
            range(share.start, share.stop),
            size=self._size,
            batch_size=self._config.batch_size,
            workers=self._workers,
        )
        self._network.eval()
        outputs = [torch.zeros(0, self._network.head.out_features, device=self._group.device)]
        with torch.no_grad():
            outputs += [self._outputs(to_device(b.numpy(), self._group.device)) for b in clips]
        whole = self._group.gather_rows(torch.cat(outputs), len(val.items)).cpu()
        if not bool(whole.isfinite().all()):
            raise ConfigError(
                "Training diverged: the outputs are not finite.",
                hint="Lower train.videomamba.lr.",
            )
        return self._group.from_main(measure(whole, val))

    def tensors(self) -> dict[str, Tensor]:
        """All of the network."""
        return self._network.state_dict()

    def describe(self, row: Row) -> dict[str, Any]:
        """The epoch and what was measured in it."""
        val = {name.removeprefix("val_"): v for name, v in row.items() if name.startswith("val_")}
        return {"trainer": "videomamba", "epoch": row["epoch"], "val": val}

    def state(self) -> dict[str, Any]:
        """Weights, moments and the scale of fp16; rates, orders and draws follow from the epoch."""
        return {"network": self._network.state_dict(), **self._updates.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of :meth:`state`."""
        self._network.load_state_dict(state["network"])
        self._updates.load_state(state)

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch."""
        return self._batches.steps

    def _set_rates(self, step: int) -> float:
        """Give each layer the rate of a step, from 0 over all epochs; returns that of the head."""
        settings = self._settings
        lr = linear_cosine(
            step,
            lr=settings.lr,
            steps=settings.epochs * self.steps,
            warmup_steps=settings.warmup_epochs * self.steps,
            warmup_lr=settings.warmup_lr,
            min_lr=settings.min_lr,
        )
        for parameters in self._updates.optimizer.param_groups:
            parameters["lr"] = lr * parameters["lr_scale"]
        return lr

    def _step(
        self, planned: list[Planned], batches: "islice[Batch]", epoch: int, totals: _Totals
    ) -> None:
        """One step along the mean loss of the views of some batches."""
        self._updates.start()
        for batch in batches:
            if len(batch.rows):
                loss = self._loss(batch, epoch)
                self._updates.scaled(loss).backward()
                totals.losses.append(loss.detach())
        views = sum(batch.views for batch in planned)
        totals.views += views
        self._updates.finish_gradient(views)
        length = self._updates.step()
        if math.isfinite(length):
            totals.norms.append(length)

    def _loss(self, batch: Batch, epoch: int) -> Tensor:
        """Sum of the losses of this process's views."""
        device, planned, augment = self._group.device, batch.planned, self._settings.augment
        views, labels = to_device(batch.views.numpy(), device), batch.labels.to(device)
        self._paths.draw(epoch, planned.number, planned.views, batch.rows)
        if self._splits.classes is None:
            return F.mse_loss(self._outputs(views)[:, 0], labels, reduction="sum")
        targets = soft_targets(labels, len(self._splits.classes), augment.smoothing)
        stream = numpy_stream(self._config.seed, "videomamba", "mix", epoch, planned.number)
        views, targets = mix_batch(draw_mix(augment, self._size, stream), views, targets)
        return F.cross_entropy(self._outputs(views), targets, reduction="sum")

    def _outputs(self, clips: Tensor) -> Tensor:
        """fp32 [B, classes] of normalised clips on the device."""
        with autocast(self._group.device, self._dtype):
            outputs: Tensor = self._network(clips)
        return outputs.float()
