"""Metrics beside their controls, as a table on the terminal."""

from itertools import groupby

from rich.console import Console
from rich.table import Table

from pipeline_lib.summary import Row

_LOG_WIDTH = 120


def print_table(rows: list[Row]) -> None:
    """Print one table a model: a metric's value, then what each control reaches."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_WIDTH)
    for model in dict.fromkeys(row.model for row in rows):
        of_model = [row for row in rows if row.model == model]
        controls = list(dict.fromkeys(name for row in of_model for name in row.controls))
        table = Table(title=model, title_justify="left", title_style="bold")
        table.add_column("metric")
        table.add_column("value", justify="right", style="bold")
        for name in controls:
            table.add_column(name.replace("_", "\n"), justify="right")
        for _, of_split in groupby(of_model, key=lambda row: row.path[0]):
            for row in of_split:
                beside = [_cell(row.controls[c]) if c in row.controls else "" for c in controls]
                table.add_row(row.metric, _cell(row.value), *beside)
            table.add_section()
        console.print(table)


def _cell(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
