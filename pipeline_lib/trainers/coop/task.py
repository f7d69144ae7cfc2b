"""One CoOp run: a prompt learner on features of windows."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.config import TrainConfig, as_dict
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.text_prompt import PromptLearner, PromptOptions, initial_context
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.runtime.device import choose_precision, precision_name
from pipeline_lib.runtime.seeding import torch_stream
from pipeline_lib.trainers.coop.data import CoopData
from pipeline_lib.trainers.coop.measuring import linear_logits, measure
from pipeline_lib.trainers.coop.presets import Recipe
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.schedules import linear_cosine, warmup_cosine

# Of AdamW: a run has about a thousand steps, and torch's 0.999 remembers as many.
_BETAS = (0.9, 0.98)


class CoopTask:
    """The prompt learner, its optimizer and its data; a :class:`~pipeline_lib.trainers.loop.Task`.

    The text tower runs once an optimizer step, whatever the batch and however many batches
    accumulate. The context, the normalisation, the logits and the loss are fp32; only the context
    is trained.

    Args:
        config: The ``train`` section.
        recipe: How to optimise.
        tower: The frozen text tower.
        data: Features and classes.
        seed: Of the context's start and of the windows' order.
    """

    def __init__(
        self, config: TrainConfig, recipe: Recipe, tower: TextTower, data: CoopData, seed: int
    ) -> None:
        self._config, self._recipe, self._seed = config, recipe, seed
        self._data = data
        self._tower = tower
        options = prompt_options(config)
        context = initial_context(
            tower, len(data.class_names), options, torch_stream(seed, "coop", "context")
        )
        self.learner = PromptLearner(
            tower, data.prompt_names, context, options.class_token_position
        )
        self._optimizer = _optimizer(recipe, self.learner)
        self._labels = torch.from_numpy(data.train.labels).to(tower.device)

    def train_epoch(self, epoch: int) -> Row:
        """One pass over the training windows, in an order of its own."""
        recipe = self._recipe
        windows = len(self._data.train)
        used, steps = recipe.used(windows), recipe.steps(windows)
        order = torch.randperm(windows, generator=torch_stream(self._seed, "coop", "order", epoch))
        # Kept on the device: reading a number from it would wait for every step.
        totals = torch.zeros(steps, 2, device=self._tower.device)
        lr = 0.0
        for step, group in enumerate(order[:used].split(recipe.batch_size * recipe.accumulate)):
            lr = self._rate(epoch, step, steps)
            for parameters in self._optimizer.param_groups:
                parameters["lr"] = lr
            totals[step] = self.accumulate_gradient(group)
            self._optimizer.step()
        loss, correct = totals.cpu().double().sum(dim=0).tolist()
        return {"lr": lr, "train_loss": loss / used, "train_accuracy": correct / used}

    def accumulate_gradient(self, windows: Tensor) -> Tensor:
        """Set the context's gradient to that of the mean loss over ``windows``.

        The batches share one run of the tower: each adds its part to the gradient of the text
        features, which goes back through the tower once.

        Args:
            windows: Indices of the batches of one step, int64 on the CPU.

        Returns:
            Sum of the losses and number of windows recognised, float [2] on the device.
        """
        text = self._text_features()
        leaf = text.detach().requires_grad_()
        totals = torch.zeros(2, device=self._tower.device)
        for batch in windows.split(self._recipe.batch_size):
            labels = self._labels[batch.to(self._labels.device)]
            features = self._data.train.rows.take(batch.numpy())
            logits = self._tower.logit_scale * features @ leaf.T
            loss = F.cross_entropy(logits, labels, reduction="sum")
            (loss / len(windows)).backward()
            totals += torch.stack([loss.detach(), (logits.argmax(dim=1) == labels).sum()])
        self._optimizer.zero_grad()
        text.backward(leaf.grad)
        return totals

    def validate(self) -> Row:
        """Loss and metrics on the validation windows.

        Raises:
            ConfigError: The last steps of the epoch led to a context that is no number.
        """
        text = self.text_features()
        if not bool(text.isfinite().all()):
            raise ConfigError(
                "Training diverged: the prompts' features are not finite.", hint="Lower train.lr."
            )
        logits = linear_logits(text, self._tower.logit_scale)
        return measure(self._data.val, logits, self._data.class_names)

    def text_features(self) -> Tensor:
        """The classifier as it is: normalised, fp32 [C, D], without gradient."""
        with torch.no_grad():
            return self._text_features()

    def tensors(self) -> dict[str, Tensor]:
        """The context, all that was learned."""
        return self.learner.state_dict()

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a context of :meth:`tensors`; the optimizer stays as it is."""
        self.learner.load_state_dict(tensors)

    def describe(self, row: Row) -> dict[str, Any]:
        """Everything that :func:`.prompts.load_prompts` needs, and where it comes from."""
        measured = ("loss", "accuracy", "balanced_accuracy", "video_accuracy")
        return {
            "trainer": "coop",
            "class_names": list(self._data.class_names),
            "prompt_names": list(self._data.prompt_names),
            "n_ctx": self.learner.ctx.shape[-2],
            "config": as_dict(self._config),
            "recipe": resolved(self._recipe, self._tower.device),
            "seed": self._seed,
            "temporal_agg": self._config.temporal_agg,
            "unit_duration": self._config.unit_duration,
            "normal_class": self._data.normal_class,
            "train_windows_per_class": self._data.windows_per_class(),
            "backbone": self._config.backbone,
            "weights_sha256": self._tower.weights_sha256,
            "features": dict(self._data.source),
            "epoch": row["epoch"],
            "val": {name: row[f"val_{name}"] for name in measured},
        }

    def state(self) -> dict[str, Any]:
        """Context and moments; rates and orders follow from the epoch's number."""
        return {"learner": self.learner.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of :meth:`state`."""
        self.learner.load_state_dict(state["learner"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _text_features(self) -> Tensor:
        return F.normalize(self.learner(), dim=-1)

    def _rate(self, epoch: int, step: int, steps: int) -> float:
        """The rate of a step (from 0) of an epoch (from 1) that has ``steps``."""
        recipe = self._recipe
        if recipe.schedule == "epoch":
            return warmup_cosine(
                epoch,
                lr=recipe.lr,
                epochs=recipe.epochs,
                warmup_epochs=recipe.warmup_epochs,
                warmup_lr=recipe.warmup_lr,
            )
        return linear_cosine(
            (epoch - 1) * steps + step,
            lr=recipe.lr,
            steps=recipe.epochs * steps,
            warmup_steps=recipe.warmup_epochs * steps,
            warmup_lr=recipe.warmup_lr,
        )


def prompt_options(config: TrainConfig) -> PromptOptions:
    """The part of the ``train`` section that shapes a prompt."""
    return PromptOptions(
        n_ctx=config.n_ctx,
        ctx_init=config.ctx_init,
        csc=config.csc,
        class_token_position=config.class_token_position,
    )


def resolved(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """A recipe as JSON, with the precision that ``auto`` means on ``device``."""
    precision = precision_name(choose_precision(recipe.precision, device))
    return asdict(recipe) | {"precision": precision}


def _optimizer(recipe: Recipe, learner: PromptLearner) -> torch.optim.Optimizer:
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            learner.parameters(), lr=recipe.lr, betas=_BETAS, weight_decay=recipe.weight_decay
        )
    return torch.optim.SGD(
        learner.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
