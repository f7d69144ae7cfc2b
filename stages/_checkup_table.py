"""A checkup as a table on a terminal, as plain lines elsewhere."""

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline_lib.checkup.check import Checkup

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def print_checkup(checkup: Checkup) -> None:
    """Print one line a check, grouped, with what mends it."""
    console = Console()
    if not console.is_terminal:
        typer.echo("\n".join(checkup.lines()))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for group, rows in checkup.groups.items():
        if rows:
            table.add_row(Text(group, style="bold"))
        for row in rows:
            said = Text(row.text)
            if row.remedy:
                said.append(f"\n→ {row.remedy}", style="cyan")
            table.add_row(Text(f"  {row.status}", style=_STYLES[row.status]), row.name, said)
    console.print(table)
    console.print(checkup.summary(), highlight=False)
