"""Trained CLIPs as model folders."""

from pathlib import Path

from pipeline_lib.backbones.clip_saving import ClipWeights, write_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.trainers.pos_neg.model import TrainableClip


def save_clip(model: TrainableClip, source: ClipConfig, out: Path) -> None:
    """Write ``model`` as a folder in the format of the model it was made from.

    The folder is replaced as a whole; equal weights give equal bytes. Weights are stored in fp32,
    low-rank additions merged, without ``logit_bias``. A CLIP of transformers becomes one that
    ``CLIPModel.from_pretrained`` and ``CLIPProcessor.from_pretrained`` load offline; every other
    becomes an open_clip folder. ``ClipConfig(model=f"local-dir:{out}")`` names either.

    Args:
        model: The trained model.
        source: The section it was loaded from.
        out: The folder.

    Raises:
        WeightsError: A weight is not a finite number, or files of the source are gone.
    """
    clip = ClipWeights(model.clip_tensors(), model.tokenizer, model.preprocess)
    write_clip(clip, source, out)
