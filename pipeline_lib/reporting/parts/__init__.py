"""The parts of the pipeline that the page shows; a new one is a file here and a line below."""

from importlib import import_module

from pipeline_lib.reporting.spec import Part

# In the order of the page.
PARTS = (
    "coop",
    "few_shot",
    "pos_neg",
    "tempme_stop",
    "videomamba",
    "videomamba_pretrain",
    "mine",
    "windows",
    "extract",
    "demo_clip",
    "demo_clip_vit",
)


def all_parts() -> list[Part]:
    """The parts in the order of the page."""
    return [import_module(f"{__name__}.{name}").PART for name in PARTS]
