"""One training of a CLIP on true and negative frames."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipeline_lib.config import PosNegConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import torch_stream
from pipeline_lib.trainers.pos_neg.batches import Batch, batches_of
from pipeline_lib.trainers.pos_neg.data import Item, PosNegData
from pipeline_lib.trainers.pos_neg.embedding import Towers
from pipeline_lib.trainers.pos_neg.losses import MINED, POSITIVE, choose_loss
from pipeline_lib.trainers.pos_neg.measuring import Ranking
from pipeline_lib.trainers.pos_neg.model import TrainableClip
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.schedules import warmed_cosine
from pipeline_lib.trainers.updating import Updates

# Items whose pairs the bias of the logits starts from.
_FIRST_ITEMS = 64


@dataclass
class _Totals:
    """What the batches of an epoch add up to."""

    losses: list[Tensor] = field(default_factory=list)
    items: int = 0
    norms: list[float] = field(default_factory=list)

    def mean_loss(self) -> float | None:
        if not self.items:
            return None
        return float(torch.stack(self.losses).double().sum()) / self.items

    def mean_norm(self) -> float | None:
        return math.fsum(self.norms) / len(self.norms) if self.norms else None


class PosNegTask:
    """A CLIP, its optimizer and its data; a :class:`~pipeline_lib.trainers.loop.Task`.

    Every process of the group holds the same model and the same optimizer, and does the same
    steps; only the embedding of frames and captions is shared out.

    Args:
        config: The section ``train.pos_neg``.
        model: What is trained, on the group's device.
        towers: The model on the data's frames and captions.
        data: Training and validation items.
        group: The processes.
        fp16: Whether the forward pass is in fp16, whose small gradients need scaling.
    """

    def __init__(
        self,
        config: PosNegConfig,
        model: TrainableClip,
        towers: Towers,
        data: PosNegData,
        group: Group,
        *,
        fp16: bool = False,
    ) -> None:
        self._config, self._model, self._towers = config, model, towers
        self._data, self._group = data, group
        self._loss = choose_loss(config.loss)
        model.logit_bias.requires_grad_(self._loss.biased)
        self._updates = Updates(
            model.trainable().values(),
            model.param_groups(config.lr, config.weight_decay),
            group,
            clip_grad_norm=config.clip_grad_norm,
            fp16=fp16,
        )
        if self._loss.biased:
            self._start_bias()

    def train_epoch(self, epoch: int) -> Row:
        """One pass over the training items, in an order of its own.

        Raises:
            ConfigError: No batch has what the loss compares.
        """
        items = self._ordered(epoch)
        totals, lr = _Totals(), 0.0
        for step in range(self.steps):
            lr = self._rate((epoch - 1) * self.steps + step)
            for parameters in self._updates.optimizer.param_groups:
                parameters["lr"] = lr
            self._step(items[step * self._step_items : (step + 1) * self._step_items], totals)
        row: Row = {
            "lr": lr,
            "train_loss": totals.mean_loss(),
            "grad_norm": totals.mean_norm(),
            "logit_scale": float(self._model.logit_scale.detach()),
        }
        if row["train_loss"] is None:
            raise ConfigError(
                f"train.pos_neg.loss = {self._config.loss!r}: no batch has frames to hold against "
                "the true ones.",
                hint="Raise train.pos_neg.batch_size, or use loss: bce.",
            )
        return self._group.from_main(row)

    def validate(self) -> Row:
        """Loss and ranking of the validation items; undefined where there are none.

        Raises:
            ConfigError: The last steps of the epoch led to features that are no numbers.
        """
        ranking, totals = Ranking(), _Totals()
        with torch.no_grad():
            for batch in batches_of(self._data.val, self._config.batch_size):
                logits = self._logits(batch)
                if not bool(logits.isfinite().all()):
                    raise ConfigError(
                        "Training diverged: the features are not finite.",
                        hint="Lower train.pos_neg.lr.",
                    )
                self._loss_of(logits, batch, totals)
                ranking.add(logits, batch)
        return self._group.from_main({"val_loss": totals.mean_loss(), **ranking.row()})

    def tensors(self) -> dict[str, Tensor]:
        """All that was learned."""
        return self._model.state()

    def describe(self, row: Row) -> dict[str, Any]:
        """The epoch and what was measured in it."""
        val = {name.removeprefix("val_"): v for name, v in row.items() if name.startswith("val_")}
        return {"trainer": "pos_neg", "epoch": row["epoch"], "val": val}

    def state(self) -> dict[str, Any]:
        """Weights, moments and the scale of fp16; rates and orders follow from the epoch."""
        return {"model": self._model.state(), **self._updates.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of :meth:`state`."""
        self._model.load_state(state["model"])
        self._updates.load_state(state)

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch; the last one may be of fewer items."""
        return math.ceil(len(self._data.train) / self._step_items)

    @property
    def _step_items(self) -> int:
        return self._config.batch_size * self._config.accumulate

    def _ordered(self, epoch: int) -> list[Item]:
        stream = torch_stream(self._config.seed, "pos_neg", "order", epoch)
        order = torch.randperm(len(self._data.train), generator=stream)
        return [self._data.train[position] for position in order.tolist()]

    def _step(self, items: Sequence[Item], totals: _Totals) -> None:
        """One step along the mean loss of those of ``items`` that have what the loss compares."""
        self._updates.start()
        before = totals.items
        for batch in batches_of(items, self._config.batch_size):
            features = self._towers.features(batch)
            logits = self._scaled(features.texts @ features.images.T)
            loss = self._loss_of(logits, batch, totals)
            self._towers.backward(self._updates.scaled(loss), features)
        count = totals.items - before
        if not count:
            return
        self._updates.finish_gradient(count)
        norm = self._updates.step()
        if math.isfinite(norm):
            totals.norms.append(norm)

    def _logits(self, batch: Batch) -> Tensor:
        features = self._towers.features(batch)
        return self._scaled(features.texts @ features.images.T)

    def _scaled(self, cosines: Tensor) -> Tensor:
        logits = self._model.logit_scale * cosines
        return logits + self._model.logit_bias if self._loss.biased else logits

    def _loss_of(self, logits: Tensor, batch: Batch, totals: _Totals) -> Tensor:
        """Sum of the items' losses; also entered into ``totals``."""
        relation, rows = batch.relation.to(logits.device), batch.row_of_item.to(logits.device)
        loss = self._loss(logits, relation)[rows].sum()
        totals.losses.append(loss.detach())
        totals.items += int(self._loss.counted(batch.relation)[batch.row_of_item].sum())
        return loss

    def _start_bias(self) -> None:
        """Let the pairs of the first batches have a mean logit of 0: as often match as not.

        A CLIP's scaled cosines are 15 to 30, of which a sigmoid is 1 whatever is shown. SigLIP's
        own start, -10, is that of a network without training in batches of thousands.
        """
        first = batches_of(self._ordered(epoch=1)[:_FIRST_ITEMS], self._config.batch_size)
        with torch.no_grad():
            pairs = torch.cat([self._pairs(batch) for batch in first])
            self._model.logit_bias.copy_(-pairs.mean())

    def _pairs(self, batch: Batch) -> Tensor:
        features = self._towers.features(batch)
        relation = batch.relation.to(features.texts.device)
        known = (relation == POSITIVE) | (relation == MINED)
        return self._model.logit_scale * (features.texts @ features.images.T)[known]

    def _rate(self, step: int) -> float:
        """The rate of a step, from 0 over all epochs; never 0, so that no step is wasted."""
        steps, ratio = self.steps * self._config.epochs, self._config.warmup_ratio
        return warmed_cosine(step, lr=self._config.lr, steps=steps, warmup_ratio=ratio)
