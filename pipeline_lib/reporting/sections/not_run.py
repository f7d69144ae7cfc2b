"""Parts of the pipeline that have not been run, and what runs them."""

from collections.abc import Sequence

from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Part


def build(project: Project, parts: Sequence[Part]) -> Section:
    """Outputs that are not there yet."""
    missing = [
        {"part": part.title, "output": output}
        for part in parts
        for output in part.outputs
        if not project.exists(output.path)
    ]
    return Section("not_run", "Not run yet", {"missing": missing})
