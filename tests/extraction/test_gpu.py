"""Extraction on a CUDA device gives the features of the CPU."""

import numpy as np
import pytest
import torch

from pipeline_lib.config import (
    DataConfig,
    DinoV2Config,
    ExtractConfig,
    MobileClipConfig,
    Params,
    RuntimeConfig,
    SlowFastConfig,
)
from pipeline_lib.extraction.options import ExtractOptions
from pipeline_lib.extraction.stage import extract_folder
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def extract(folder, device, precision):
    config = ExtractConfig(
        batch_size=4,
        precision=precision,
        clip=untrained_clip(folder / "clip"),
        mobileclip=MobileClipConfig(weights="untrained"),
        slowfast=SlowFastConfig(weights="untrained"),
        dinov2=DinoV2Config(model="small", weights="untrained"),
    )
    params = Params(
        data=DataConfig(root="unused"), extract=config, runtime=RuntimeConfig(device=device)
    )
    out = folder / f"{device}_{precision}"
    options = ExtractOptions("clip,mobileclip,slowfast,dinov2")
    for report in extract_folder(folder / "videos", params, options, out):
        report.raise_failures()
    features = {}
    for name in options.names:
        with np.load(out / name / "a.npz", allow_pickle=False) as archive:
            features[name] = archive["features"]
    return features


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_features_are_the_cpus(tmp_path, precision):
    constant_rate(tmp_path / "videos" / "a.mp4", 150, 25)
    wanted = extract(tmp_path, "cpu", "fp32")
    for name, features in extract(tmp_path, "cuda", precision).items():
        other = wanted[name]
        cosine = (features * other).sum(1) / (
            np.linalg.norm(features, axis=1) * np.linalg.norm(other, axis=1)
        )
        assert cosine.min() > (0.9999 if precision == "fp32" else 0.998), name
