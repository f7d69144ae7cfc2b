"""Stage `pack-windows`: pool labelled windows into one matrix a backbone."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def pack_windows(params: Path = PARAMS) -> None:
    """Pool the kept windows over time, normalise them, and write one matrix a backbone.

    Reads data/index and data/features/BACKBONE for `train.backbone` and, where it is set,
    `train.control_backbone`; writes data/windows/BACKBONE.
    """
    from pipeline_lib.datasets.window_packing import write_stores
    from pipeline_lib.params_file import load_params

    typer.echo(write_stores(load_params(params), progress=progress()))


if __name__ == "__main__":
    run(app)
