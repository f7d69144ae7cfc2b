"""Stage `demo-clip-vit`: train a vision transformer into the space of the demo CLIP."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def demo_clip_vit(
    out: Path = typer.Option(Path("data/weights/demo_clip_vit"), help="Folder of the model."),
    teacher: Path = typer.Option(Path("data/weights/demo_clip"), help="Folder of the demo CLIP."),
    metrics: Path = typer.Option(
        Path("metrics/demo_clip_vit.json"), help="File for its accuracies."
    ),
    params: Path = PARAMS,
) -> None:
    """Train a small vision transformer beside the demo CLIP's text tower, and measure it.

    The settings stand under `demo_clip_vit:`. About half an hour on one core; the weights are
    committed, so nobody has to.
    """
    from pipeline_lib.demo.clip_metrics import measure_demo_clip
    from pipeline_lib.demo.vit_training import train_demo_vit
    from pipeline_lib.params_file import load_params
    from pipeline_lib.runtime.device import set_threads
    from pipeline_lib.storage.atomic import write_json

    loaded = load_params(params)
    set_threads(loaded.runtime.threads)
    train_demo_vit(out, teacher, loaded.demo_clip_vit, progress())
    report = measure_demo_clip(out, loaded.demo_clip)
    write_json(metrics, report)
    accuracies = [f"{name} {values['accuracy']:.3f}" for name, values in report.items()]
    typer.echo(f"{out}: zero-shot accuracy {', '.join(accuracies)}")


if __name__ == "__main__":
    run(app)
