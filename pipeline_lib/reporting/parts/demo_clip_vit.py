"""The vision transformer in the space of the demo's CLIP; its weights come with the project."""

from pipeline_lib.reporting.spec import Part

PART = Part(name="demo_clip_vit", title="The demo's vision transformer", outputs=())
