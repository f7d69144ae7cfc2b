"""Confusion matrices: tables of counts, shaded by their share of the row."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline_lib.reporting.pictures import Picture, encode
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Confusion, Part
from pipeline_lib.reporting.tables import read_csv

_LARGEST_TABLE = 20


@dataclass(frozen=True)
class Cell:
    """Samples of one class that were predicted as one class, and their share of the row."""

    count: int
    share: float


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix.

    Attributes:
        title: Above it.
        samples: What is counted.
        names: Of the classes.
        rows: Cells of each annotated class; empty where there are too many for a table.
        right: Samples on the diagonal.
        total: All samples.
        picture: The matrix of many classes, ``None`` where there is a table.
    """

    title: str
    samples: str
    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: int
    total: int
    picture: Picture | None = None

    @property
    def named_rows(self) -> list[tuple[str, tuple[Cell, ...]]]:
        """Each annotated class and its cells."""
        return list(zip(self.names, self.rows, strict=True))


def build(project: Project, parts: Sequence[Part]) -> Section:
    """The matrices of every part that has some."""
    groups = []
    for part in parts:
        matrices = [_attempt(project, part, confusion) for confusion in part.confusions]
        made = [matrix for matrix in matrices if matrix]
        if made:
            groups.append({"title": part.title, "matrices": made})
    return Section("confusion", "Confusion", {"groups": groups})


def _attempt(project: Project, part: Part, confusion: Confusion) -> Matrix | None:
    if not project.exists(confusion.file):
        return None
    what = f"{part.title}: confusion, {confusion.title}"
    return project.attempt(what, lambda: _matrix(project, confusion))


def _matrix(project: Project, confusion: Confusion) -> Matrix:
    table = read_csv(project.path(confusion.file), ["actual", "predicted"], text=True)
    names = tuple(sorted({*table["actual"], *table["predicted"]}))
    right = int((table["actual"] == table["predicted"]).sum())
    rows: tuple[tuple[Cell, ...], ...] = ()
    picture = None
    if len(names) > _LARGEST_TABLE:
        picture = encode(project.path(confusion.picture), project.config.picture_width, drawn=True)
    else:
        counts = pd.crosstab(table["actual"], table["predicted"]).reindex(
            index=list(names), columns=list(names), fill_value=0
        )
        rows = tuple(
            tuple(Cell(int(n), n / max(line.sum(), 1)) for n in line) for line in counts.to_numpy()
        )
    return Matrix(confusion.title, confusion.samples, names, rows, right, len(table), picture)
