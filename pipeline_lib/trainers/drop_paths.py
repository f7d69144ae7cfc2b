"""Which samples of a batch skip which blocks, the same however many processes share the batch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline_lib.networks.videomamba_block import DropPath
from pipeline_lib.runtime.seeding import torch_stream


class DropPaths:
    """The random paths through a network.

    Args:
        network: With its layers of :class:`~pipeline_lib.networks.videomamba_block.DropPath`.
        seed: Of all draws.
        name: Of the training, which has draws of its own.
        device: Where the network is.
    """

    def __init__(self, network: nn.Module, seed: int, name: str, device: torch.device) -> None:
        self._layers = [module for module in network.modules() if isinstance(module, DropPath)]
        self._rates = torch.tensor([layer.rate for layer in self._layers])
        self._seed, self._name, self._device = seed, name, device

    def draw(self, epoch: int, batch: int, samples: int, rows: NDArray[np.int64]) -> None:
        """Fix the paths of the next forward pass in training, and of its gradient.

        Args:
            epoch: Of the training.
            batch: Number in the epoch.
            samples: Of the whole batch.
            rows: Those of them that this process has.
        """
        stream = torch_stream(self._seed, self._name, "paths", epoch, batch)
        draws = torch.rand(len(self._layers), samples, generator=stream)
        kept = (draws >= self._rates[:, None])[:, torch.from_numpy(rows)].to(self._device)
        for layer, of_layer in zip(self._layers, kept, strict=True):
            layer.kept = of_layer
