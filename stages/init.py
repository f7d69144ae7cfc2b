"""Command `init`: look at a folder of videos and fit the parameters to it."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

import json
from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Your videos, with annotations where you have.")],
    into: Annotated[
        Path | None, typer.Option(help="Build the project's layout there, made of links.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Shares of train, val and test, where they are drawn.")
    ] = "70,15,15",
    seed: Annotated[int, typer.Option(help="Of that draw.")] = 1,
    normal_class: Annotated[str | None, typer.Option(help="The class without events.")] = None,
    clip: Annotated[
        str | None, typer.Option(metavar="MODEL:WEIGHTS", help="Published CLIP to use.")
    ] = None,
    exclude_broken: Annotated[
        bool, typer.Option("--exclude-broken", help="Leave out videos that cannot be used.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on in spite of errors.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    params: Path = PARAMS,
) -> None:
    """Look at a folder of videos, tell what is wrong with it, and fit params.yaml to it."""
    from pipeline_lib.own_data.command import set_up
    from pipeline_lib.own_data.inspection import Asked
    from pipeline_lib.own_data.splitting import parse_shares

    asked = Asked(
        folder=folder, into=into, shares=parse_shares(split), seed=seed, clip=clip,
        normal_class=normal_class, exclude_broken=exclude_broken, force=force, dry_run=dry_run,
    )  # fmt: skip
    outcome = set_up(params, asked, progress())
    text = json.dumps(outcome.as_dict(), indent=1, ensure_ascii=False)
    typer.echo(text if as_json else "\n".join(outcome.lines()))
    outcome.raise_problems()


if __name__ == "__main__":
    run(app)
