"""Stage `demo-clip`: train the embedded default CLIP from scratch."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run

app = new_app()


@app.command()
def demo_clip(
    out: Path = typer.Option(Path("data/weights/demo_clip"), help="Folder of the model."),
    metrics: Path = typer.Option(Path("metrics/demo_clip.json"), help="File for its accuracies."),
    params: Path = PARAMS,
) -> None:
    """Train a small CLIP on rendered stills with captions, and measure what it knows.

    The settings stand under `demo_clip:`. About two minutes on two cores; the weights are
    committed, so nobody has to.
    """
    from pipeline_lib.demo.clip_metrics import measure_demo_clip
    from pipeline_lib.demo.clip_training import train_demo_clip
    from pipeline_lib.params_file import load_params
    from pipeline_lib.runtime.device import set_threads
    from pipeline_lib.storage.atomic import write_json

    loaded = load_params(params)
    set_threads(loaded.runtime.threads)
    train_demo_clip(out, loaded.demo_clip, progress())
    report = measure_demo_clip(out, loaded.demo_clip)
    write_json(metrics, report)
    accuracies = [f"{name} {values['accuracy']:.3f}" for name, values in report.items()]
    typer.echo(f"{out}: zero-shot accuracy {', '.join(accuracies)}")


if __name__ == "__main__":
    run(app)
