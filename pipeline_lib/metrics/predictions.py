"""What a classifier said about a set of samples, the input of every classification metric."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions of n samples over a fixed list of C classes.

    The list is that of the trained model, whether or not a sample of each class is there, so an
    absent class never shifts the names of the others.

    Attributes:
        labels: True class indices, int64 [n].
        predicted: Predicted class indices, int64 [n].
        probabilities: Scores that rank the samples of each class, float64 [n, C].
        class_names: The C names, in index order.
    """

    labels: Array
    predicted: Array
    probabilities: Array
    class_names: tuple[str, ...]
    _found: dict[Callable[..., Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        expected = (len(self.labels), len(self.class_names))
        if self.predicted.shape != self.labels.shape or self.probabilities.shape != expected:
            raise ValueError(
                f"labels {self.labels.shape}, predicted {self.predicted.shape} and probabilities "
                f"{self.probabilities.shape} do not belong together over {expected[1]} classes"
            )
        for name, indices in (("labels", self.labels), ("predicted", self.predicted)):
            if len(indices) and not (indices.min() >= 0 and indices.max() < expected[1]):
                raise ValueError(f"{name} holds an index outside [0, {expected[1]})")

    @classmethod
    def from_logits(
        cls, labels: Array, logits: Array, class_names: tuple[str, ...]
    ) -> "Predictions":
        """Predict the class of the largest logit.

        Args:
            labels: True class indices, int64 [n].
            logits: Float [n, C].
            class_names: The C names, in index order.
        """
        predicted = logits.argmax(axis=1).astype(np.int64)
        return cls(labels, predicted, softmax(logits), class_names)

    def where(self, chosen: Array) -> "Predictions":
        """The samples at which the boolean array ``chosen`` [n] is true."""
        return Predictions(
            self.labels[chosen],
            self.predicted[chosen],
            self.probabilities[chosen],
            self.class_names,
        )

    def once(self, metric: Callable[["Predictions"], Any]) -> Any:
        """The value of ``metric``, computed when it is first asked for.

        What is reported for each class is also averaged, and ranking millions of samples takes
        seconds a class.
        """
        if metric not in self._found:
            self._found[metric] = metric(self)
        return self._found[metric]

    @property
    def present(self) -> list[int]:
        """Indices of the classes that at least one label has."""
        return [int(index) for index in np.unique(self.labels)]


def softmax(logits: Array) -> Array:
    """Probabilities over the last axis, in float64: CLIP's scale of 100 saturates float32."""
    wide = logits.astype(np.float64)
    shifted = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
