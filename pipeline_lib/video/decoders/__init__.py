"""Decoders, by name."""

from pipeline_lib.registry import Registry
from pipeline_lib.video.decoders.base import OpenDecoder

DECODERS: Registry[OpenDecoder] = Registry(
    "decoder", {"pyav": "pipeline_lib.video.decoders.pyav:open_pyav"}
)
