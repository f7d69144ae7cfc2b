"""Stage `few-shot`: how far a handful of training windows a class goes."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run, scratch

app = new_app()


@app.command()
def few_shot(params: Path = PARAMS) -> None:
    """Learn prompts from 1, 2, 4, … windows a class and set the curve beside its controls.

    Shots and seeds stand under `few_shot:`, everything else under `train:`. A run that was killed
    goes on with the next point.
    """
    from pipeline_lib.evaluation.coop.few_shot import few_shot as draw_curve
    from pipeline_lib.params_file import load_params

    typer.echo(draw_curve(load_params(params), scratch=scratch(), progress=progress()))


if __name__ == "__main__":
    run(app)
