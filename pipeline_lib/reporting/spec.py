"""How a part of the pipeline says what it leaves behind, for every section of the page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline_lib.reporting.project import Project


@dataclass(frozen=True)
class Output:
    """A file or folder that says whether a part was run.

    Attributes:
        path: Relative to the project.
        what: It, in words.
        command: What makes it: ``dvc repro evaluate-coop``.
    """

    path: str
    what: str
    command: str


@dataclass(frozen=True)
class Chart:
    """Lines from the columns of a CSV file.

    Attributes:
        title: Above the chart.
        file: Relative to the project.
        x: Column along the bottom.
        y: Columns that are always there; the first is the model's own.
        beside: Columns that some settings leave out.
        when: Column without which there is no such chart, where settings decide; else empty.
        x_label: Words along the bottom; else the column's name.
        y_label: Words above the left axis.
        doubling: The bottom axis doubles from tick to tick: 1, 2, 4, 8.
        reach: Lowest and highest value of the left axis; where ``None`` that of the data.
    """

    title: str
    file: str
    x: str
    y: tuple[str, ...]
    beside: tuple[str, ...] = ()
    when: str = ""
    x_label: str = ""
    y_label: str = ""
    doubling: bool = False
    reach: tuple[float, float] | None = None


@dataclass(frozen=True)
class Shares:
    """A CSV file of shares between 0 and 1, a row a thing, shown as a table with bars.

    Attributes:
        title: Above the table.
        file: Relative to the project.
        label: Column of the row's name.
    """

    title: str
    file: str
    label: str


@dataclass(frozen=True)
class Confusion:
    """A CSV file of the columns ``actual`` and ``predicted``, a row a sample.

    Attributes:
        title: Above the matrix.
        file: Relative to the project.
        picture: The same as a picture, for many classes.
        samples: What is counted: ``"videos"``.
    """

    title: str
    file: str
    picture: str
    samples: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind.

    Attributes:
        title: Above them.
        folder: Of PNG files, relative to the project.
        about: What one of them shows, in a sentence.
        captions: Words for pictures, by the stem of their file; a file without gets its name.
    """

    title: str
    folder: str
    about: str
    captions: Callable[[Project], Mapping[str, str]] | None = None


@dataclass(frozen=True)
class Failed:
    """What one run of a part went on without.

    Attributes:
        title: The run: ``"Features, clip"``.
        looked_at: How many items it had, ``None`` where that is not known.
        items: What they are: ``"videos"``.
        columns: Of the rows.
        rows: One a failed item, in words.
    """

    title: str
    looked_at: int | None
    items: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Headline:
    """The number that stands at the top of the page.

    Attributes:
        metric: Dotted name in the part's metrics file.
        words: It, in words.
        per_cent: The value is one already.
    """

    metric: str
    words: str
    per_cent: bool = False


@dataclass(frozen=True)
class Part:
    """A part of the pipeline.

    Attributes:
        name: Also that of its metrics file.
        title: For headings.
        outputs: What it makes.
        headline: Its number at the top.
        charts: Curves.
        shares: Tables with bars.
        confusions: Confusion matrices.
        galleries: Pictures.
        failures: What its runs went on without; none where it was not run.
        checkpoint: Weights of the best epoch, relative to the project, or empty.
    """

    name: str
    title: str
    outputs: tuple[Output, ...]
    headline: Headline | None = None
    charts: tuple[Chart, ...] = ()
    shares: tuple[Shares, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    failures: tuple[Callable[[Project], list[Failed]], ...] = ()
    checkpoint: str = ""
