"""Stage `extract`: videos to features, for backbones of params.yaml or for any folder."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, load_or_default, new_app, progress, run, scratch
from stages._extraction_report import show

app = new_app()
_NAMES = "Backbones, with commas: clip, mobileclip, slowfast, dinov2; each video is decoded once."


@app.command()
def extract(
    backbones: Annotated[str, typer.Argument(help=_NAMES)],
    source: Annotated[
        Path | None, typer.Argument(help="A video or folder; without it, the data of params.yaml.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Features go to OUT/BACKBONE.")] = Path("data/features"),
    model: Annotated[str | None, typer.Option(help="Architecture, local-dir: or hf-hub:.")] = None,
    weights: Annotated[str | None, typer.Option(help="Name, file, folder or untrained.")] = None,
    every: Annotated[float | None, typer.Option(help="Seconds from row to row.")] = None,
    clip_len: Annotated[float | None, typer.Option(help="Seconds of one clip.")] = None,
    decoder: Annotated[
        str | None, typer.Option(help="pyav, decord, opencv, ffmpeg or torchcodec.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    tolerant: Annotated[bool | None, typer.Option(help="Keep what damaged videos give.")] = None,
    executor: Annotated[str | None, typer.Option(help="serial, process, shard or ray.")] = None,
    shard: Annotated[str | None, typer.Option(help="This part of the videos: 0/8.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    params: Path = PARAMS,
) -> None:
    """Turn videos into features: a .npy row every second and a .npz row every clip of each."""
    from pipeline_lib.extraction.options import ExtractOptions
    from pipeline_lib.extraction.stage import extract_folder, extract_stage
    from pipeline_lib.params_file import load_params

    changes = {"every_s": every, "clip_len_s": clip_len, "decoder": decoder, "tolerant": tolerant}
    changes |= {"precision": precision}
    asked = ExtractOptions(backbones, changes, model, weights, executor, shard)
    cache = scratch() / "video_hashes.json" if params.exists() else None
    if source is None:
        reports = extract_stage(load_params(params), asked, out, cache, progress())
    else:
        reports = extract_folder(source, load_or_default(params), asked, out, cache, progress())
    show([report.as_dict() for report in reports], as_json)
    for report in reports:
        report.raise_failures()


if __name__ == "__main__":
    run(app)
