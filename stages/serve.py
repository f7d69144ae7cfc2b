"""Command `serve`: search an embedded folder in the browser."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python

from pathlib import Path
from typing import Annotated

import typer

from stages._command import PARAMS, load_or_default, new_app, run, scratch

app = new_app()


@app.command()
def serve(
    embeddings: Annotated[Path, typer.Argument(help="What `embed` wrote.")],
    videos: Annotated[
        Path | None, typer.Option(help="Folder of the videos, if not where they were embedded.")
    ] = None,
    host: Annotated[str, typer.Option(help="Any but this machine needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    token: Annotated[
        str | None, typer.Option(help="What requests have to bring; auto draws one.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file that holds it.")] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also play links out of the folder.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option(help="Trained model; default the one that embedded.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON of a unified configuration.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, …")] = None,
    allow_untrained: Annotated[
        bool, typer.Option("--allow-untrained", help="Take untrained weights, too.")
    ] = False,
    params: Path = PARAMS,
) -> None:
    """Search in the browser: the best videos, the frames of their moments, played at a click.

    Only this machine can reach the page, and nothing can be sent to it but questions.
    """
    from pipeline_lib.retrieval.command import Asked
    from pipeline_lib.serving.command import Listening
    from pipeline_lib.serving.command import serve as run_server
    from pipeline_lib.serving.site import Source

    cache = scratch() / "video_hashes.json" if params.exists() else None
    source = Source(embeddings, videos, follow_links, cache)
    asked = Asked(model, config, device, allow_untrained)
    listening = Listening(host, port, token, token_file)
    run_server(source, asked, load_or_default(params).runtime, listening, typer.echo)


if __name__ == "__main__":
    run(app)
