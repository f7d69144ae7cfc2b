"""Stage `train`: train a model on what the stages before have made."""

if __name__ == "__main__":
    import _environment  # noqa: F401  # this checkout's library and the right Python, or a clear word

from pathlib import Path

import typer

from stages._command import PARAMS, new_app, progress, run, scratch
from stages.evaluate import evaluate

app = new_app()


@app.command()
def train(
    name: str = typer.Argument(
        help="What to train: coop, pos_neg, tempme_stop, videomamba, videomamba_pretrain."
    ),
    params: Path = PARAMS,
    test_best: bool = typer.Option(False, help="Then evaluate the best epoch, as `evaluate` does."),
) -> None:
    """Train a model; its parameters stand under `train:`.

    coop learns prompts on features, pos_neg fine-tunes a CLIP on frames of questions, tempme_stop
    learns token merging and prompts around a frozen CLIP on videos with captions, and videomamba
    learns classes or values of videos, after videomamba_pretrain. All but coop use several GPUs
    with `torchrun --standalone --nproc_per_node=N stages/train.py NAME`.

    A run that was killed goes on where it stopped when it is started again with the same
    parameters, data and code; with any other it starts anew.
    """
    from pipeline_lib.params_file import load_params
    from pipeline_lib.trainers import TRAINERS

    trainer = TRAINERS.get(name)
    if wrote := trainer(load_params(params), scratch=scratch(), progress=progress()):
        typer.echo(wrote)
        if test_best:
            evaluate(name, params, None, None, None, None)


if __name__ == "__main__":
    run(app)
