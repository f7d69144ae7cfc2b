"""Stage `mine`: true and negative frames for every question of the data set."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run, scratch

app = new_app()


@app.command()
def mine(
    out: Path = typer.Option(Path("data/mined"), help="Directory that is replaced."),
    metrics: Path = typer.Option(Path("metrics/mine.json"), help="File for the counts."),
    params: Path = PARAMS,
) -> None:
    """Save the frames each question points at, and frames of the same video that differ from them.

    A negative's cosine to every true frame of its question is below mine.threshold. Look at
    the pictures in OUT/sheets. Embeddings are kept, so a second run with another threshold,
    strategy or seed is fast, and one that was killed goes on where it stopped.
    """
    from pipeline_lib.mining.report import FAILURES, SKIPPED
    from pipeline_lib.mining.stage import mine_stage
    from pipeline_lib.params_file import load_params

    read = load_params(params)
    report = mine_stage(read, out, metrics, scratch=scratch(), progress=progress())
    facts = report.metrics()
    line = "{items_mined} of {items} items, {true_frames} true and {neg_frames} negative frames"
    typer.echo(f"{out}: {line.format(**facts)}; pictures in {out / 'sheets'}")
    if report.skipped:
        typer.echo(f"{len(report.skipped)} items have nothing to mine: {out / SKIPPED}")
    if read.mine.on_failure == "stop":
        report.raise_failures(out)
    elif report.failures:
        typer.echo(f"{len(report.failures)} items failed: {out / FAILURES}")


if __name__ == "__main__":
    run(app)
