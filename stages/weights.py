"""Command `weights`: published weights, listed, fetched and verified."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

import sys
from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, new_app, progress, run, scratch

app = new_app()
Names = Annotated[list[str] | None, typer.Argument(help="As listed: clip, or clip:VARIANT.")]
Out = Annotated[Path, typer.Option(help="Their folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
FOLDER = Path("data/weights/published")


@app.command("list")
def list_(out: Out = FOLDER, as_json: AsJson = False) -> None:
    """Show what there is, its size, licence and path, and whether it is here."""
    from pipeline_lib.weights.command import Place, list_weights

    cache = scratch() / "weights_hashes.json"
    typer.echo(list_weights(Place(out), cache).text(as_json=as_json))


@app.command()
def fetch(
    names: Names = None,
    use: Annotated[bool, typer.Option("--use", help="Write their paths to params.yaml.")] = False,
    accept_licence: Annotated[list[str] | None, typer.Option(help="Network; repeatable.")] = None,
    out: Out = FOLDER,
    as_json: AsJson = False,
    params: Path = PARAMS,
) -> None:
    """Download weights, resumed where they were cut off, and check each file's hash."""
    from pipeline_lib.weights.command import Consent, Place, fetch_weights

    consent = Consent(accept_licence or (), typer.confirm if sys.stdin.isatty() else None)
    place = Place(out, progress=progress())
    report = fetch_weights(names or (), place, consent, params if use else None)
    typer.echo(report.text(as_json=as_json))
    report.raise_error()


@app.command()
def verify(names: Names = None, out: Out = FOLDER, as_json: AsJson = False) -> None:
    """Hash the weights that are here again; exit with 2 where one is not what it should be."""
    from pipeline_lib.weights.command import Place, verify_weights

    report = verify_weights(names or (), Place(out))
    typer.echo(report.text(as_json=as_json))
    report.raise_error()


if __name__ == "__main__":
    run(app)
