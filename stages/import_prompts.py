"""Command `import-prompts`: a CoOp checkpoint of another program becomes one of this pipeline."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, new_app, run

app = new_app()
_CLASSES = (
    "Directories with commas, in training order; DIR=WORDS where the prompt says other words."
)


@app.command()
def import_prompts(
    file: Annotated[Path, typer.Argument(help="model.pth.tar-50, video_feature_coop_best.pth, …")],
    backbone: Annotated[
        str, typer.Option(help="The section of `extract` whose text tower it was trained with.")
    ] = "clip",
    class_token_position: Annotated[str, typer.Option(help="end, middle or front.")] = "end",
    classes: Annotated[str | None, typer.Option(help=_CLASSES)] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path("data/models/imported"),
    params: Path = PARAMS,
) -> None:
    """Take over prompts that another program learned, for `clipline evaluate coop --checkpoint`.

    The class names are read from the checkpoint; what it does not say, such as the normal class
    and the length of a window, is taken from `train` in params.yaml.
    """
    from pipeline_lib.params_file import load_params
    from pipeline_lib.trainers.coop_import.importing import (
        CHECKPOINT,
        ImportOptions,
        import_prompts,
    )

    options = ImportOptions(
        backbone=backbone, class_token_position=class_token_position, classes=classes, out=out
    )
    typer.echo(import_prompts(file, load_params(params), options))
    typer.echo(f"measure it: clipline evaluate coop --checkpoint {out / CHECKPOINT}")


if __name__ == "__main__":
    run(app)
