"""One CoOp run: a prompt learner on features that are already in memory."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.config import TrainConfig, as_dict
from pipeline_lib.metrics.classification import accuracy, balanced_accuracy, recall
from pipeline_lib.metrics.logits import cosine_logits
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.networks.text_prompt import PromptLearner, PromptOptions, initial_context
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.runtime.seeding import torch_stream
from pipeline_lib.trainers.coop_data import CoopData
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.schedules import warmup_cosine


class CoopTask:
    """The prompt learner, its optimizer and its data; a :class:`~pipeline_lib.trainers.loop.Task`.

    The text tower runs once an optimizer step, whatever the batch size. The context, the
    normalisation, the logits and the loss are fp32; only the context is trained.

    Args:
        config: The ``train`` section.
        tower: The frozen text tower.
        data: Features and classes.
    """

    def __init__(self, config: TrainConfig, tower: TextTower, data: CoopData) -> None:
        self._config = config
        self._data = data
        self._tower = tower
        options = prompt_options(config)
        context = initial_context(
            tower, len(data.class_names), options, torch_stream(config.seed, "coop", "context")
        )
        self.learner = PromptLearner(
            tower, data.prompt_names, context, options.class_token_position
        )
        self._optimizer = torch.optim.SGD(
            self.learner.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        # All windows stay on the device; a batch is an index into them.
        self._features = torch.from_numpy(data.train.features).to(tower.device)
        self._labels = torch.from_numpy(data.train.labels).to(tower.device)

    def train_epoch(self, epoch: int) -> Row:
        """One pass over the training windows; the last batch may be smaller and counts."""
        config = self._config
        lr = warmup_cosine(
            epoch,
            lr=config.lr,
            epochs=config.epochs,
            warmup_epochs=config.warmup_epochs,
            warmup_lr=config.warmup_lr,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        windows = len(self._labels)
        order = torch.randperm(windows, generator=torch_stream(config.seed, "coop", "order", epoch))
        # Summed on the device: reading a number from it would wait for every step.
        loss_sum = torch.zeros((), device=self._tower.device)
        correct = torch.zeros((), dtype=torch.int64, device=self._tower.device)
        for batch in order.to(self._tower.device).split(config.batch_size):
            labels = self._labels[batch]
            logits = self._tower.logit_scale * self._features[batch] @ self._text_features().T
            loss = F.cross_entropy(logits, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            loss_sum += loss.detach() * len(batch)
            correct += (logits.argmax(dim=1) == labels).sum()
        return {
            "lr": lr,
            "train_loss": loss_sum.item() / windows,
            "train_accuracy": correct.item() / windows,
        }

    def validate(self) -> Row:
        """Loss and metrics on the validation windows."""
        val = self._data.val
        with torch.no_grad():
            text = self._text_features().cpu().numpy()
        logits = cosine_logits(val.features, text, self._tower.logit_scale)
        loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(val.labels)).item()
        predictions = Predictions.from_logits(val.labels, logits, self._data.class_names)
        per_class = {f"PerClass/{name}": value for name, value in recall(predictions).items()}
        return {
            "val_loss": loss,
            "val_accuracy": accuracy(predictions),
            "val_balanced_accuracy": balanced_accuracy(predictions),
            **per_class,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The context, all that was learned."""
        return self.learner.state_dict()

    def describe(self, row: Row) -> dict[str, Any]:
        """Everything that :func:`pipeline_lib.trainers.prompts.load_prompts` needs, and origins."""
        return {
            "trainer": "coop",
            "class_names": list(self._data.class_names),
            "prompt_names": list(self._data.prompt_names),
            "n_ctx": self.learner.ctx.shape[-2],
            "config": as_dict(self._config),
            "backbone": self._config.backbone,
            "weights_sha256": self._tower.weights_sha256,
            "features": dict(self._data.source),
            "epoch": row["epoch"],
            "val": {k: row[f"val_{k}"] for k in ("loss", "accuracy", "balanced_accuracy")},
        }

    def state(self) -> dict[str, Any]:
        """Context and momentum; rates and orders follow from the epoch's number."""
        return {"learner": self.learner.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of :meth:`state`."""
        self.learner.load_state_dict(state["learner"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _text_features(self) -> Tensor:
        return F.normalize(self.learner(), dim=-1)


def prompt_options(config: TrainConfig) -> PromptOptions:
    """The part of the ``train`` section that shapes a prompt."""
    return PromptOptions(
        n_ctx=config.n_ctx,
        ctx_init=config.ctx_init,
        csc=config.csc,
        class_token_position=config.class_token_position,
    )
