"""The sections of the page; a new one is a file here, a template and a line below."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Part

# In the order of the page. `failures` lists what those before it could not show.
SECTIONS = (
    "metrics",
    "curves",
    "confusion",
    "timelines",
    "examples",
    "cost",
    "failures",
    "not_run",
)


@dataclass(frozen=True)
class Section:
    """One section of the page, ready for its template.

    Attributes:
        name: Its anchor, and its template: ``templates/<name>.html``.
        title: Its heading.
        content: What the template shows.
    """

    name: str
    title: str
    content: Mapping[str, Any]


Build = Callable[[Project, Sequence[Part]], Section]


def builders() -> dict[str, Build]:
    """Name to function of every section, in the order of the page."""
    return {name: import_module(f"{__name__}.{name}").build for name in SECTIONS}
