"""The whole page, from the files of a project."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline_lib.params_file import load_params
from pipeline_lib.reporting import charts
from pipeline_lib.reporting.numbers import number_words, readable, signed_words
from pipeline_lib.reporting.parts import all_parts
from pipeline_lib.reporting.problems import Problems
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section, builders
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_text

PAGE = "index.html"
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Report:
    """A page that was written.

    Attributes:
        path: The file.
        size: In bytes.
        problems: What could not be shown.
    """

    path: Path
    size: int
    problems: Problems


def write_report(
    params: Path, out: Path, root: Path = Path(), progress: Progress = SILENT
) -> Report:
    """Write ``index.html``: one file that needs no other and no network.

    The same files and the same commits give the same bytes. What cannot be shown is listed on the
    page; the rest is shown.

    Args:
        params: The parameter file.
        out: Folder of the page.
        root: Folder of the project.
        progress: Told of each section.

    Raises:
        ConfigError: The parameters cannot be used.
        DataError: A metrics file is no JSON of numbers.
    """
    settings = load_params(params)
    project = Project(root, root / settings.data.root / "videos", settings.report)
    page = render(project, settings.data.root, progress)
    path = out / PAGE
    write_text(path, page)
    return Report(path, len(page.encode()), project.problems)


def render(project: Project, data: str, progress: Progress = SILENT) -> str:
    """The page as HTML.

    Args:
        project: What it is made from; its problems are collected.
        data: Name of the data, for the heading.
        progress: Told of each section.
    """
    parts = all_parts()
    sections: list[Section] = []
    with progress.task("report", len(builders())) as advance:
        for build in builders().values():
            sections.append(build(project, parts))
            advance()
    script = _text("script.js")
    page = _environment().get_template("page.html")
    return page.render(
        data=Path(data).name if Path(data).is_absolute() else data,
        sections=sections,
        style=_text("style.css"),
        script=script,
        script_hash=_hash(script),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number_words, signed=signed_words, readable=readable)
    environment.globals.update(
        width=charts.WIDTH,
        height=charts.HEIGHT,
        left=charts.LEFT,
        right=charts.RIGHT,
        top=charts.TOP,
        bottom=charts.BOTTOM,
    )
    return environment


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What a browser compares a script with before it runs it: no other one runs on the page."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
