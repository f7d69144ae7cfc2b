"""Stage `report`: everything that was measured, on one page that opens anywhere."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def report(
    params: Path = PARAMS,
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("metrics/report"),
) -> None:
    """Write one page of all metrics, curves, pictures and failures; it needs no network."""
    from pipeline_lib.reporting.numbers import byte_words
    from pipeline_lib.reporting.page import write_report

    written = write_report(params, out, progress=progress())
    typer.echo(f"wrote {written.path}: {byte_words(written.size)}")
    written.problems.raise_found(written.path)


if __name__ == "__main__":
    run(app)
