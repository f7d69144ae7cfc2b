"""The embedded default CLIP; its weights come with the project, so nothing is left to run."""

from pipeline_lib.reporting.spec import Part

PART = Part(name="demo_clip", title="The demo's CLIP", outputs=())
