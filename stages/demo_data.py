"""Stage `demo-data`: render the embedded default data set."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def demo_data(
    out: Path = typer.Option(Path("data/demo"), help="Folder of the data set."),
    params: Path = PARAMS,
) -> None:
    """Render videos of moving shapes with exact annotations, questions and captions.

    The settings stand under `demo_data:`; the same settings give the same files.
    """
    from pipeline_lib.demo.dataset import write_demo_data
    from pipeline_lib.params_file import load_params

    scenes = write_demo_data(out, load_params(params).demo_data, progress())
    events = sum(len(scene.events) for scene in scenes)
    typer.echo(f"{out}: {len(scenes)} videos with {events} events")


if __name__ == "__main__":
    run(app)
