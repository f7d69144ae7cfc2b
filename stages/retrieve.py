"""Command `retrieve`: the moments of a video, or the videos of a folder, that fit a query."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, load_or_default, new_app, run

app = new_app()


@app.command()
def retrieve(
    target: Annotated[Path | None, typer.Argument(help="A video, or what `embed` wrote.")] = None,
    query: Annotated[str | None, typer.Argument(help="What to look for, in words.")] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Most moments, or most videos of a folder; default 5.")
    ] = None,
    moments: Annotated[int, typer.Option(help="Most moments of each video of a folder.")] = 3,
    every: Annotated[
        float | None, typer.Option(help="Seconds between scored frames; 0.5, in a folder as kept.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="JSON instead: a list of video_path and query.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of a trained model.")] = None,
    config: Annotated[Path | None, typer.Option(help="JSON of a unified configuration.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, …")] = None,
    allow_untrained: Annotated[
        bool, typer.Option("--allow-untrained", help="Take untrained weights, too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.json and a picture of each video.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    params: Path = PARAMS,
) -> None:
    """Find the moments that fit a query: in one video, or in the best videos of many.

    Frames are numbered as in the video. Only with --every are videos of a folder opened.
    """
    from pipeline_lib.retrieval.command import Asked
    from pipeline_lib.retrieval.command import retrieve as answer

    asked = Asked(model, config, device, allow_untrained)
    runtime = load_or_default(params).runtime
    report = answer(target, query, queries, asked, runtime, top_k, moments, every)
    if out is not None:
        report.save(out)
    typer.echo(report.as_text() if as_json else "\n".join(report.lines()))
    report.raise_failures()


if __name__ == "__main__":
    run(app)
