"""Stage `extract`: videos to features, for one backbone of params.yaml or for any folder."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

import json
from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, load_or_default, new_app, progress, run

app = new_app()


@app.command()
def extract(
    backbone: Annotated[str, typer.Argument(help="Backbone: clip.")],
    source: Annotated[
        Path | None, typer.Argument(help="A video or folder; without it, the data of params.yaml.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Features go to OUT/BACKBONE.")] = Path("data/features"),
    model: Annotated[str | None, typer.Option(help="Architecture, local-dir: or hf-hub:.")] = None,
    weights: Annotated[str | None, typer.Option(help="Pretrained tag or checkpoint file.")] = None,
    every: Annotated[float | None, typer.Option(help="Seconds from row to row.")] = None,
    clip_len: Annotated[float | None, typer.Option(help="Seconds of one clip.")] = None,
    decoder: Annotated[str | None, typer.Option(help="pyav")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    params: Path = PARAMS,
) -> None:
    """Turn videos into features: a .npy row every second and a .npz row every clip of each."""
    from pipeline_lib.extraction.stage import choose_weights, extract_folder, extract_stage
    from pipeline_lib.params_file import load_params, override

    if source is None:
        report = extract_stage(load_params(params), backbone, out, progress())
    else:
        settings = load_or_default(params)
        flags = {"every_s": every, "clip_len_s": clip_len, "decoder": decoder}
        config = override(settings.extract, {**flags, "precision": precision})
        config = choose_weights(config, backbone, model, weights)
        report = extract_folder(source, backbone, out, config, settings.runtime, progress())
    facts = report.as_dict()
    line = "{directory}: {extracted} extracted ({frames} frames), {kept} kept, {pruned} pruned"
    typer.echo(json.dumps(facts, indent=1) if as_json else line.format(**facts))
    report.raise_failures()


if __name__ == "__main__":
    run(app)
