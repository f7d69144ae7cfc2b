"""One training of a part of a TempMe-STOP network, or of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.backbones.retrieval_embedding import embed_texts
from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.config import TempMeStopConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.device import autocast
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.schedules import warmed_cosine
from pipeline_lib.trainers.tempme_stop.batches import Batch, Pairs
from pipeline_lib.trainers.tempme_stop.encoding import Encoder
from pipeline_lib.trainers.tempme_stop.losses import counted, info_nce
from pipeline_lib.trainers.tempme_stop.measuring import (
    all_finite,
    embed_split,
    ranking,
    undefined,
)
from pipeline_lib.trainers.tempme_stop.ordering import alike_together, mixed
from pipeline_lib.trainers.tempme_stop.parts import PARTS, PARTS_OF, STOP, TEMPME, Adapters
from pipeline_lib.trainers.tempme_stop.splits import CaptionedFrames, Splits
from pipeline_lib.trainers.updating import Updates


@dataclass
class _Totals:
    """What the batches of an epoch add up to."""

    losses: list[Tensor] = field(default_factory=list)
    texts: int = 0
    norms: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def mean_loss(self) -> float | None:
        if not self.texts:
            return None
        return float(torch.stack(self.losses).double().sum()) / self.texts

    def mean_norm(self, part: str) -> float | None:
        norms = self.norms[part]
        return math.fsum(norms) / len(norms) if norms else None


class TempMeStopTask:
    """A network, its optimizer and its data; a :class:`~pipeline_lib.trainers.loop.Task`.

    Every process of the group holds the same network and the same optimizer, and does the same
    steps; only the embedding of videos and captions is shared out.

    Args:
        config: The section ``train.tempme_stop``.
        phase: What is trained: ``tempme_only``, ``stop_only`` or ``joint``.
        model: The network, on the group's device.
        splits: Training and validation captions.
        group: The processes.
        dtype: Of the forward pass; gradients of fp16 need scaling.
    """

    def __init__(
        self,
        config: TempMeStopConfig,
        phase: str,
        model: RetrievalModel,
        splits: Splits,
        group: Group,
        *,
        dtype: torch.dtype,
    ) -> None:
        self._config, self._phase, self._model = config, phase, model
        self._splits, self._group, self._dtype = splits, group, dtype
        self._reranks = config.sim_header == "tightTransf"
        self._adapters = Adapters(model.network)
        self._updates = Updates(
            self._adapters.select(phase),
            self._adapters.groups(phase, config),
            group,
            clip_grad_norm=config.clip_grad_norm,
            fp16=dtype == torch.float16,
        )
        self._encoder = Encoder(
            model,
            splits.train,
            dtype=dtype,
            group=group,
            with_clips=self._reranks,
            seed=config.seed,
        )
        self._train_pairs = self._pairs(splits.train)
        # What the model finds alike before this training, so that a resumed one draws the same.
        texts = splits.train.texts
        self._alike = embed_texts(model, texts).numpy() if config.alike > 1 else None

    def train_epoch(self, epoch: int) -> Row:
        """One pass over the training captions, in an order of its own.

        Raises:
            ConfigError: No batch has captions of two videos.
        """
        order = self._ordered(epoch)
        totals, rates = _Totals(), dict[str, float]()
        for step in range(self.steps):
            rates = self._set_rates((epoch - 1) * self.steps + step)
            taken = order[step * self._step_texts : (step + 1) * self._step_texts]
            self._step(taken, epoch, totals)
        if not totals.texts:
            raise ConfigError(
                "train.tempme_stop: no batch has captions of two videos to tell apart.",
                hint="Raise train.tempme_stop.batch_size, or add videos.",
            )
        row: Row = {"train_loss": totals.mean_loss()}
        row |= {f"{part}_lr": rates.get(part) for part in PARTS}
        row |= {f"{part}_grad_norm": totals.mean_norm(part) for part in PARTS}
        row["logit_scale"] = float(self._model.network.logit_scale)
        return self._group.from_main(row)

    def validate(self) -> Row:
        """Loss and ranking of the validation captions; undefined where there are none.

        Raises:
            ConfigError: The last steps of the epoch led to vectors that are no numbers.
        """
        val = self._splits.val
        if val is None:
            return {"val_loss": None, **undefined()}
        texts, videos, clips = embed_split(self._model, val, self._group)
        if not all_finite(texts, videos, clips):
            raise ConfigError(
                "Training diverged: the vectors are not finite.",
                hint="Lower train.tempme_stop.tempme_lr and stop_lr.",
            )
        totals = _Totals()
        # Mixed, so that a batch has many videos; always alike, so that epochs can be compared.
        order = numpy_stream("tempme_stop", "val").permutation(len(texts)).astype(np.int64)
        with torch.no_grad():
            for batch in self._pairs(val).batches(order, self._config.batch_size):
                of_batch = (texts[batch.texts], videos[batch.videos], clips[batch.videos])
                self._loss(*of_batch, batch, totals)
        equal = self._config.dataset.equal_captions
        row = {"val_loss": totals.mean_loss(), **ranking(texts, videos, val, equal)}
        return self._group.from_main(row)

    def tensors(self) -> dict[str, Tensor]:
        """Both parts, whichever is trained."""
        return self._adapters.state()

    def describe(self, row: Row) -> dict[str, Any]:
        """The epoch and what was measured in it."""
        val = {name.removeprefix("val_"): v for name, v in row.items() if name.startswith("val_")}
        return {"trainer": "tempme_stop", "phase": self._phase, "epoch": row["epoch"], "val": val}

    def state(self) -> dict[str, Any]:
        """Weights, moments and the scale of fp16; rates, orders and draws follow from the epoch."""
        return {"adapters": self._adapters.state(), **self._updates.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of :meth:`state`."""
        self._adapters.load_state(state["adapters"])
        self._updates.load_state(state)

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch; the last one may be of fewer captions."""
        return math.ceil(len(self._splits.train.texts) / self._step_texts)

    @property
    def _step_texts(self) -> int:
        return self._config.batch_size * self._config.accumulate

    def _ordered(self, epoch: int) -> NDArray[np.int64]:
        seed = self._config.seed
        order = mixed(len(self._splits.train.texts), seed, epoch)
        if self._alike is not None:
            alike = self._config.alike
            order = alike_together(order, self._alike, self._train_pairs, alike, seed, epoch)
        return self._group.from_main(order)

    def _pairs(self, split: CaptionedFrames) -> Pairs:
        equal = self._config.dataset.equal_captions
        return Pairs(split.texts, split.text.video_of_text, equal)

    def _set_rates(self, step: int) -> dict[str, float]:
        """Give each part the rate of a step, from 0 over all epochs."""
        steps, ratio = self.steps * self._config.epochs, self._config.warmup_ratio
        largest = {TEMPME: self._config.tempme_lr, STOP: self._config.stop_lr}
        rates = {
            part: warmed_cosine(step, lr=largest[part], steps=steps, warmup_ratio=ratio)
            for part in PARTS_OF[self._phase]
        }
        for parameters in self._updates.optimizer.param_groups:
            parameters["lr"] = rates[parameters["part"]]
        return rates

    def _step(self, texts: NDArray[np.int64], epoch: int, totals: _Totals) -> None:
        """One step along the mean loss of those of ``texts`` that have negatives."""
        self._updates.start()
        before = totals.texts
        for batch in self._train_pairs.batches(texts, self._config.batch_size):
            features = self._encoder.features(batch, epoch)
            loss = self._loss(features.texts, features.videos, features.clips, batch, totals)
            features.backward(self._updates.scaled(loss), self._group)
        if totals.texts == before:
            return
        self._updates.finish_gradient(totals.texts - before)
        lengths = {part: self._gradient_length(part) for part in PARTS_OF[self._phase]}
        if math.isfinite(self._updates.step()):
            for part, length in lengths.items():
                totals.norms[part].append(length)

    def _gradient_length(self, part: str) -> float:
        gradients = [p.grad for p in self._adapters.of(part) if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def _loss(
        self, texts: Tensor, videos: Tensor, clips: Tensor | None, batch: Batch, totals: _Totals
    ) -> Tensor:
        """Sum of the captions' losses; also entered into ``totals``."""
        rows, match = batch.row_of_text.to(texts.device), batch.match.to(texts.device)
        network = self._model.network
        scores = [texts @ videos.T]
        if self._reranks and clips is not None:
            with autocast(self._group.device, self._dtype):
                scores.append(network.rerank(texts, clips).float())
        scale = network.logit_scale
        loss = torch.stack([info_nce((scale * s)[:, rows], match) for s in scores]).sum()
        totals.losses.append(loss.detach())
        totals.texts += counted(batch.match)
        return loss
