"""Metrics beside their controls, as a table on the terminal."""

from itertools import groupby

from rich.console import Console
from rich.table import Table

from pipeline_lib.summary import Gain, Row

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
        gained = any(row.gain for row in of_model)
        if gained:
            table.add_column("gain over\nzero shot ± se", justify="right")
        for _, of_split in groupby(of_model, key=lambda row: row.path[0]):
            for row in of_split:
                beside = [_cell(row.controls[c]) if c in row.controls else "" for c in controls]
                last = [_gain(row.gain)] if gained else []
                table.add_row(row.metric, _cell(row.value), *beside, *last)
            table.add_section()
        console.print(table)


def _cell(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _gain(gain: Gain | None) -> str:
    if gain is None or gain.mean is None:
        return ""
    return f"{gain.mean:+.3f}" + ("" if gain.se is None else f" ± {gain.se:.3f}")
