"""Stage `evaluate`: measure a trained model beside its controls."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def evaluate(
    name: str = typer.Argument(help="The trained model: coop, pos_neg, tempme_stop or videomamba."),
    params: Path = PARAMS,
    checkpoint: Path | None = typer.Option(None, help="File or folder, instead of the pipeline's."),
    windows: Path | None = typer.Option(None, help="Of coop: packed windows of your own."),
    split: list[str] | None = typer.Option(None, help="Only this split; may be repeated."),
    out: Path | None = typer.Option(None, help="Folder for the results of an own evaluation."),
) -> None:
    """Measure a trained model beside its controls.

    Without options this is the pipeline's stage and writes its metrics. With any of --checkpoint,
    --windows and --split it is an evaluation of your own: it prints the table, and writes only
    below --out.
    """
    from pipeline_lib.evaluation import EVALUATORS, SPLITS, Outputs, Request
    from pipeline_lib.params_file import load_params
    from pipeline_lib.summary import headlines, rows_of
    from stages._metrics_table import print_table

    evaluator = EVALUATORS.get(name)
    request = Request(checkpoint=checkpoint, windows=windows, splits=tuple(split or SPLITS))
    outputs = Outputs.under(out, name) if out else Outputs.of_pipeline(name)
    evaluation = evaluator(load_params(params), request, progress())
    print_table(headlines(rows_of(name, evaluation.metrics)))
    written = out is not None or request == Request()
    if written:
        evaluation.write(outputs)
        typer.echo(f"wrote {outputs.metrics}, {outputs.plots}/ and {outputs.tables}/")
    evaluation.raise_failures(outputs if written else None)


if __name__ == "__main__":
    run(app)
