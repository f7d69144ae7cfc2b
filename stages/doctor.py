"""Command `doctor`: what of this machine and project works, and what mends the rest."""

if __name__ == "__main__":
    import importlib.util
    import sys

    # Not _environment, which stops where torch is missing: this command has to say so. What it
    # cannot say that without stops it, too.
    if not all(importlib.util.find_spec(name) for name in ("typer", "pydantic")):
        import _environment  # noqa: F401
    sys.path.insert(0, __file__.rsplit("/", 2)[0])

import json
from pathlib import Path
from typing import Annotated

import typer

from stages._checkup_table import print_checkup
from stages._command import PARAMS, new_app, run

app = new_app()


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print all answers as JSON.")] = False,
    params: Path = PARAMS,
) -> None:
    """Look at the environment, the hardware, the decoders, DVC, the disks and the weights."""
    from pipeline_lib.checkup.checks import check_up
    from pipeline_lib.errors import EXIT_USER

    checkup = check_up(Path(), params)
    if as_json:
        typer.echo(json.dumps(checkup.as_dict(), indent=1, ensure_ascii=False))
    else:
        print_checkup(checkup)
    if checkup.count("fail"):
        raise typer.Exit(EXIT_USER)


if __name__ == "__main__":
    run(app)
