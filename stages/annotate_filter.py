"""Stage `annotate-filter`: label the windows of every video and choose those that train."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def annotate_filter(params: Path = PARAMS) -> None:
    """Cut the features into windows, label them from the annotations, and draw every video.

    Reads data/features/BACKBONE/manifest.json and DATA_ROOT/annotations/CLASS_timestamp.csv;
    the settings stand under `train:`.
    """
    from pipeline_lib.params_file import load_params
    from pipeline_lib.windowing import write_windows

    typer.echo(write_windows(load_params(params), progress=progress()))


if __name__ == "__main__":
    run(app)
