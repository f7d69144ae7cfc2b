"""Stage `summary`: print every metric beside its controls."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import new_app, run

app = new_app()


@app.command()
def summary(
    metrics: Path = typer.Option(Path("metrics"), help="Folder of metrics files."),
    pictures: list[Path] = typer.Option(
        [Path("metrics"), Path("data/mined/sheets")], help="Folders whose pictures are named."
    ),
    every: bool = typer.Option(False, "--every", help="Every number, of each class too."),
) -> None:
    """Print every metric beside its controls, and the pictures to open."""
    from pipeline_lib.summary import headlines, name_pictures, read_rows
    from stages._metrics_table import print_table

    rows = read_rows(metrics)
    shown = rows if every else headlines(rows)
    print_table(shown)
    if len(shown) < len(rows):
        typer.echo(f"{len(rows) - len(shown)} numbers more: clipline summary --every")
    names = name_pictures(*pictures)
    typer.echo("\n  ".join(["Pictures:", *names]) if names else "No pictures yet.")
    page = metrics / "report" / "index.html"
    if page.is_file():
        typer.echo(f"All of it on one page: {page}")


if __name__ == "__main__":
    run(app)
