"""Command `import-features`: a folder of .npy features becomes a backbone's features."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, new_app, progress, run, scratch

app = new_app()


@app.command()
def import_features(
    folder: Annotated[
        Path, typer.Argument(help="Holds {train,val,test}/{class}/{stem}.npy, float [T, D].")
    ],
    backbone: Annotated[
        str, typer.Argument(help="The section of `extract` whose model made them: clip, …")
    ],
    every_s: Annotated[float, typer.Option(help="Seconds from row to row.")] = 1.0,
    offset_s: Annotated[
        float, typer.Option(help="Start of row 0 in its video; below 0 if rows look back.")
    ] = 0.0,
    out: Annotated[Path, typer.Option(help="Features go to OUT/BACKBONE.")] = Path("data/features"),
    params: Path = PARAMS,
) -> None:
    """Take over features that were made elsewhere, so that no video is needed.

    They then train and are measured like extracted ones. That they are of the model of
    `extract.BACKBONE` is your word: only their size can be checked.
    """
    from pipeline_lib.extraction.feature_import import import_features
    from pipeline_lib.params_file import load_params

    cache = scratch() / "feature_hashes.json"
    report, claim = import_features(
        folder, backbone, load_params(params), out, every_s, offset_s, cache, progress()
    )
    typer.echo(
        f"{report.directory}: {len(report.extracted)} imported, {len(report.kept)} kept, "
        f"{len(report.pruned)} pruned, {len(report.failures)} failed\n{claim}"
    )
    report.raise_failures()


if __name__ == "__main__":
    run(app)
