"""How `extract` says what it did."""

import json
from typing import Any

import typer

_LINE = (
    "{directory}: {extracted} extracted ({samples} samples), {kept} kept, {pruned} pruned, "
    "{failed} failed"
)


def show(reports: list[dict[str, Any]], as_json: bool) -> None:
    """One line a backbone, or JSON: an object for one backbone, a list for several."""
    if as_json:
        typer.echo(json.dumps(reports[0] if len(reports) == 1 else reports, indent=1))
        return
    for report in reports:
        typer.echo(_LINE.format(**report, failed=len(report["failures"])))
