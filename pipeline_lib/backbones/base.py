"""What a backbone offers to extraction and mining."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline_lib.video.pyav import Resize


class Backbone(Protocol):
    """A frozen network that turns frames into features.

    Attributes:
        dim: Length D of one feature.
        resize: How a frame is scaled before :meth:`encode`.
        batch_size: Frames in one forward pass.
        weights_id: What the user called the weights.
        weights_sha256: SHA-256 of the weights file; a name made from the seed when untrained.
        trained: False for random weights.
        precision: ``fp32`` or ``bf16``.
        identity: JSON-able facts that change a feature: network, weights, preprocessing,
            precision, and a version number raised when this code changes its results.
    """

    dim: int
    resize: Resize
    batch_size: int
    weights_id: str
    weights_sha256: str
    trained: bool
    precision: str
    identity: dict[str, Any]

    def encode(self, frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed frames scaled by ``resize``: N arrays uint8 [H, W, 3] to float32 [N, D].

        A row depends on its frame alone, bit for bit: not on the frames beside it, their number
        or order.
        """


class BackboneLoader(Protocol):
    """Builds one backbone from its section of ``extract``."""

    def __call__(
        self, config: Any, *, device: torch.device, precision: str, batch_size: int
    ) -> Backbone:
        """Load the network; raises WeightsError where weights are missing or unfit."""
