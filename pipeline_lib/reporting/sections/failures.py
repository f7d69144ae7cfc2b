"""What failed: items that stages went on without, and things this page could not show."""

from collections.abc import Sequence
from functools import partial

from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Failed, Part

_MOST_ROWS = 200


def build(project: Project, parts: Sequence[Part]) -> Section:
    """All failure tables, and the problems of the sections before."""
    found: list[Failed] = []
    for part in parts:
        for read in part.failures:
            found += project.attempt(f"{part.title}: failures", partial(read, project)) or []
    return Section(
        "failures",
        "Failures",
        {
            "clean": [failed for failed in found if not failed.rows],
            "failed": [failed for failed in found if failed.rows],
            "most": _MOST_ROWS,
            "problems": project.problems.found,
        },
    )
