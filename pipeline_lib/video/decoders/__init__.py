"""Decoders, by name."""

from pipeline_lib.registry import Registry
from pipeline_lib.video.decoders.base import OpenDecoder

DECODERS: Registry[OpenDecoder] = Registry(
    "decoder",
    {
        "decord": "pipeline_lib.video.decoders.decord:open_decord",
        "ffmpeg": "pipeline_lib.video.decoders.ffmpeg:open_ffmpeg",
        "opencv": "pipeline_lib.video.decoders.opencv:open_opencv",
        "pyav": "pipeline_lib.video.decoders.pyav:open_pyav",
        "torchcodec": "pipeline_lib.video.decoders.torchcodec:open_torchcodec",
    },
)
