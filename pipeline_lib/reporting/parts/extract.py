"""Features of every backbone."""

from pathlib import Path

from pipeline_lib.reporting.parts._failures import from_csv
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Failed, Output, Part
from pipeline_lib.storage.features import read_manifest

_FEATURES = "data/features"


def _failures(project: Project) -> list[Failed]:
    folders = sorted(
        manifest.parent for manifest in project.path(_FEATURES).glob("*/manifest.json")
    )
    return [found for folder in folders for found in _of_backbone(project, folder)]


def _of_backbone(project: Project, folder: Path) -> list[Failed]:
    manifest = read_manifest(folder)
    title = f"Features, {manifest.backbone}"
    failed = from_csv(project, title, project.named(folder), len(manifest.videos), "videos")
    whole = Failed(
        title, len(manifest.videos) + len(failed.rows), "videos", failed.columns, failed.rows
    )
    damaged = tuple(
        (name, str(video.decode_errors))
        for name, video in sorted(manifest.videos.items())
        if video.decode_errors
    )
    if not damaged:
        return [whole]
    columns = ("video", "faults while decoding")
    kept = Failed(f"{title}: damaged but used", len(manifest.videos), "videos", columns, damaged)
    return [whole, kept]


PART = Part(
    name="extract",
    title="Features",
    outputs=(Output(_FEATURES, "features", "dvc repro extract"),),
    failures=(_failures,),
)
