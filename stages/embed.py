"""Command `embed`: a folder of videos to one vector a video, and what searching them needs."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

import json
from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, load_or_default, new_app, progress, run, scratch

app = new_app()


@app.command()
def embed(
    videos: Annotated[Path, typer.Argument(help="A folder of videos, with those below it.")],
    out: Annotated[Path, typer.Option(help="Folder of the embeddings of these videos.")],
    formats: Annotated[
        str, typer.Option("--format", help="npy, json, parquet; several with commas.")
    ] = "npy,json",
    consolidated: Annotated[bool, typer.Option(help="All in one JSON file, too.")] = False,
    summary: Annotated[bool, typer.Option(help="processing_summary.json, too.")] = False,
    model: Annotated[
        Path | None, typer.Option(help="Trained model; default data/models/tempme_stop/best.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON of a unified configuration.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, …")] = None,
    allow_untrained: Annotated[
        bool, typer.Option("--allow-untrained", help="Take untrained weights, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    params: Path = PARAMS,
) -> None:
    """Turn each video into one vector, and keep those of its frames for `retrieve`.

    What is done already is kept, what belongs to videos that are gone is removed.
    """
    from pipeline_lib.retrieval.command import Asked, embed_folder
    from pipeline_lib.retrieval.files import EmbedOptions
    from pipeline_lib.retrieval.written import parse_formats

    runtime = load_or_default(params).runtime
    cache = scratch() / "video_hashes.json" if params.exists() else None
    options = EmbedOptions(
        parse_formats(formats), consolidated, summary, runtime.threads, runtime.decode_workers
    )
    asked = Asked(model, config, device, allow_untrained)
    report = embed_folder(videos, out, asked, options, runtime, cache, progress())
    typer.echo(json.dumps(report.as_dict(), indent=1) if as_json else report.line())
    report.raise_failures()


if __name__ == "__main__":
    run(app)
