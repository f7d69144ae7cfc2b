"""Frozen feature extractors, by name."""

from pipeline_lib.backbones.base import Backbone, BackboneLoader
from pipeline_lib.registry import Registry

BACKBONES: Registry[BackboneLoader] = Registry(
    "backbone",
    {
        "clip": "pipeline_lib.backbones.clip:load_clip",
        "clip_untrained": "pipeline_lib.backbones.clip:load_clip",
        "clip_vit": "pipeline_lib.backbones.clip:load_clip",
        "dinov2": "pipeline_lib.backbones.dinov2:load_dinov2",
        "mobileclip": "pipeline_lib.backbones.mobileclip:load_mobileclip",
        "slowfast": "pipeline_lib.backbones.slowfast:load_slowfast",
        "videomamba": "pipeline_lib.backbones.videomamba:load_videomamba",
    },
)

__all__ = ["BACKBONES", "Backbone", "BackboneLoader"]
