"""Command `top-frames`: the frames of a video that fit a caption best."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

import json
from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, new_app, progress, run, scratch

app = new_app()


@app.command()
def top_frames(
    video: Annotated[Path | None, typer.Argument(help="A video file.")] = None,
    caption: Annotated[str | None, typer.Argument(help="What to look for, in words.")] = None,
    k: Annotated[int, typer.Option(help="Parts of the timeline, one frame each.")] = 4,
    segments: Annotated[
        str, typer.Option(help="equal, or original-first3: the first 3 frames are a part.")
    ] = "equal",
    fps: Annotated[float, typer.Option(help="Frames a second to choose among.")] = 4.0,
    size: Annotated[
        str | None, typer.Option(help="Squash frames to WxH; without it they stay as they are.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Folder of a CLIP, or a name; default: params.yaml's.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Pretrained tag or checkpoint.")] = None,
    queries: Annotated[Path | None, typer.Option(help="JSON of many queries instead.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder the queries' videos are in.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("top_frames"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    params: Path = PARAMS,
) -> None:
    """Choose the frames of a video that fit a caption best, one from each part of its timeline.

    Writes them as PNG with scores.csv, frames.json and a picture of all, strip.png. With --queries
    each query gets such a folder OUT/ID, and what is done already is kept.
    """
    from pipeline_lib.params_file import load_params
    from pipeline_lib.top_frames.command import Setting, answer, requested
    from pipeline_lib.top_frames.options import parse_options

    options = parse_options(k, segments, fps, size)
    request = requested(video, caption, queries, videos)
    project = load_params(params) if params.exists() else None
    cache = scratch() / "video_hashes.json" if project else None
    report = answer(request, Setting(options, model, weights, project, out, cache), progress())
    as_text = json.dumps(report.as_dict(), indent=1, ensure_ascii=False)
    typer.echo(as_text if as_json else "\n".join(report.lines(out)))
    report.raise_failures(out)


if __name__ == "__main__":
    run(app)
