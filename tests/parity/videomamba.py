"""VideoMamba as it is published for videos and for pictures, whatever its size."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.videomamba_folder import open_videomamba
from tests.parity.golden import fill


def classified(case: dict) -> dict[str, np.ndarray]:
    """Features and logits of the clip, or the picture, of ``case``.

    Sizes are those of the tensors; positions are interpolated for a clip of others.
    """
    tensors = {name: torch.from_numpy(np.asarray(a)) for name, a in fill.state_dict(case).items()}
    (pixels,) = map(torch.from_numpy, fill.inputs(case).values())
    clip = pixels if pixels.ndim == 5 else pixels[:, :, None]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "videomamba.pth"
        torch.save({"model": tensors}, checkpoint)
        network = open_videomamba(
            checkpoint, Placement(), frames=clip.shape[2], image_size=clip.shape[-1]
        ).network
    with torch.inference_mode():
        features = network.features(clip)
        logits = network.head(features)
    return {"features": features.numpy(), "logits": logits.numpy()}
