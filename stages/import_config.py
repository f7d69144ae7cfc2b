"""Command `import-config`: a unified TempMe-STOP configuration into params.yaml."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, new_app, run

app = new_app()


@app.command()
def import_config(
    source: Annotated[Path, typer.Argument(help="JSON with the sections tempme, stop, training.")],
    params: Path = PARAMS,
) -> None:
    """Write a unified TempMe-STOP configuration into params.yaml, which keeps its comments.

    Its CLIP goes to extract.clip_vit. What cannot be meant is refused, all of it at once.
    """
    from pipeline_lib.retrieval.config_import import import_config

    changed = import_config(source, params)
    typer.echo("\n".join(changed) or f"{params} says the same already.")


if __name__ == "__main__":
    run(app)
