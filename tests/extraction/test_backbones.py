"""Every registered backbone extracts a real video, with the promised files."""

import json

import numpy as np
import pytest

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.config import (
    DataConfig,
    DinoV2Config,
    ExtractConfig,
    MobileClipConfig,
    Params,
    RuntimeConfig,
    SlowFastConfig,
    VideoMambaBackboneConfig,
)
from pipeline_lib.errors import DataError
from pipeline_lib.extraction.options import ExtractOptions
from pipeline_lib.extraction.stage import extract_folder
from pipeline_lib.storage.features import read_manifest, row_spacing
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate

DIMS = {
    "clip": 16, "clip_untrained": 16, "clip_vit": 16,
    "mobileclip": 512, "slowfast": 2304, "dinov2": 384, "videomamba": 192,
}  # fmt: skip
# Frames that each takes of a clip.
CLIP_NETWORKS = {"slowfast": 32, "videomamba": 2}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("all")
    constant_rate(folder / "videos" / "a.mp4", 60, 24)  # 2.5 s
    clip = untrained_clip(folder / "clip")
    config = ExtractConfig(
        batch_size=2,
        precision="bf16",
        clip=clip,
        clip_untrained=clip,
        clip_vit=clip,
        mobileclip=MobileClipConfig(weights="untrained"),
        slowfast=SlowFastConfig(weights="untrained"),
        dinov2=DinoV2Config(model="small", weights="untrained"),
        videomamba=VideoMambaBackboneConfig(weights="untrained", frames=2, image_size=32),
    )
    params = Params(
        data=DataConfig(root="unused"), extract=config, runtime=RuntimeConfig(device="cpu")
    )
    options = ExtractOptions(",".join(BACKBONES))
    reports = extract_folder(folder / "videos", params, options, folder / "out")
    assert [report.backbone for report in reports] == list(BACKBONES)
    for report in reports:
        report.raise_failures()
    return folder / "out"


@pytest.mark.parametrize("name", list(BACKBONES))
def test_the_files_are_as_documented(extracted, name):
    folder, dim = extracted / name, DIMS[name]
    manifest = read_manifest(folder)
    assert (manifest.backbone, manifest.dim, manifest.trained) == (name, dim, False)
    with np.load(folder / "a.npz", allow_pickle=False) as archive:
        assert archive["features"].shape == (2, dim)
        assert archive["features"].dtype == np.float32
        assert np.isfinite(archive["features"]).all()
        assert archive["features"].std() > 0
        np.testing.assert_allclose(archive["start_s"], [0, 2])
        np.testing.assert_allclose(archive["end_s"], [2, 2.5])
        np.testing.assert_allclose(archive["valid"], [1, 0.25])
        taken = CLIP_NETWORKS.get(name)
        assert archive["n_frames"].tolist() == ([taken, taken] if taken else [4, 1])
        meta = json.loads(str(archive["meta"]))
    assert meta == json.loads((folder / "a.json").read_text())
    assert meta["weights_sha256"].startswith("untrained-")
    assert meta["precision"] == "bf16"
    if name in CLIP_NETWORKS:
        assert not (folder / "a.npy").exists()
        assert manifest.videos["a"].rows == 0
        with pytest.raises(DataError, match="none per second"):
            row_spacing(manifest)
    else:
        assert np.load(folder / "a.npy", mmap_mode="r").shape == (3, dim)


def test_a_folder_is_extracted_without_a_section_too():
    params = Params(data=DataConfig(root="unused"))
    chosen = ExtractOptions("videomamba", weights="own/best").for_folder(params)
    assert chosen.extract.videomamba == VideoMambaBackboneConfig(weights="own/best")
