"""How well an item's true frames stand out from its own mined negatives."""

from dataclasses import dataclass, field
from math import fsum

import numpy as np
import torch
from torch import Tensor

from pipeline_lib.metrics.classification import binary_average_precision
from pipeline_lib.trainers.pos_neg.batches import Batch
from pipeline_lib.trainers.pos_neg.losses import POSITIVE
from pipeline_lib.trainers.resume import Row


@dataclass
class Ranking:
    """Collects items; one that lacks true frames or negatives is left out of all means.

    Attributes:
        precisions: Average precision of the true frames among an item's own frames.
        shares: Share of the softmax over the item's own frames that lies on true ones.
        chances: That share if all frames were scored alike.
    """

    precisions: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)

    def add(self, logits: Tensor, batch: Batch) -> None:
        """Enter a batch's items; ``logits`` [C, F] are finite."""
        scores = logits.cpu().double()[batch.row_of_item].numpy()
        for own, row in zip(batch.own.numpy(), scores, strict=True):
            true, own_scores = own[own > 0] == POSITIVE, row[own > 0]
            precision = binary_average_precision(true, own_scores)
            if precision is None:
                continue
            mass = torch.from_numpy(own_scores).softmax(dim=0).numpy()
            self.precisions.append(precision)
            self.shares.append(float(mass[true].sum()))
            self.chances.append(float(np.mean(true)))

    def row(self) -> Row:
        """Means over items; ``None`` where no item has both kinds of frames."""
        return {
            "val_average_precision": _mean(self.precisions),
            "val_probability": _mean(self.shares),
            "val_chance_probability": _mean(self.chances),
        }


def _mean(values: list[float]) -> float | None:
    return fsum(values) / len(values) if values else None
