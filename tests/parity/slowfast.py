"""SlowFast R50 as PyTorchVideo publishes it."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.slowfast import load_slowfast
from pipeline_lib.config import SlowFastConfig
from pipeline_lib.networks.slowfast import slow_indices
from tests.parity.golden import fill


def slowfast_r50(case: dict) -> dict[str, np.ndarray]:
    """Features and logits of the clips of ``case``, from its weights as a published checkpoint."""
    tensors = {name: torch.from_numpy(np.asarray(a)) for name, a in fill.state_dict(case).items()}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "SLOWFAST_8x8_R50.pyth"
        torch.save({"model_state": tensors}, checkpoint)
        backbone = load_slowfast(SlowFastConfig(weights=str(checkpoint)), Placement())
    with torch.inference_mode():
        features = backbone.forward(torch.from_numpy(fill.inputs(case)["clip"]))
        logits = backbone.network.classify(features)
    return {
        "features": features.numpy(),
        "logits": logits.numpy(),
        "slow_indices": slow_indices(),
    }
