"""The `clipline` command: every stage, and the commands that are no stage."""

import sys
from importlib import import_module

import typer

from stages._command import run, told_errors
from stages._progress_options import EVERYWHERE, take_progress_options

# Command to module and one line of help; the module is imported only when its command is called.
COMMANDS = {
    "extract": ("extract", "Turn videos into features."),
    "mine": ("mine", "Find true and negative frames for questions."),
    "top-frames": ("top_frames", "Choose the frames of a video that fit a caption."),
    "embed": ("embed", "Turn each video of a folder into one vector."),
    "retrieve": ("retrieve", "Find videos and moments that fit a query."),
    "annotate-filter": ("annotate_filter", "Label windows and choose those that train."),
    "pack-windows": ("pack_windows", "Pool labelled windows into one matrix a backbone."),
    "train": ("train", "Train a model on features."),
    "evaluate": ("evaluate", "Measure a trained model beside its controls."),
    "few-shot": ("few_shot", "Draw the curve of a few training windows a class."),
    "summary": ("summary", "Print every metric beside its controls."),
    "report": ("report", "Write one page with everything that was measured."),
    "serve": ("serve", "Search an embedded folder in the browser."),
    "init": ("init", "Inspect own videos and annotations, and write params.yaml."),
    "weights": ("weights", "List, fetch and verify published weights."),
    "doctor": ("doctor", "Say what this machine has and what is missing."),
    "import-features": ("import_features", "Take over .npy features made elsewhere."),
    "import-config": ("import_config", "Take over a unified TempMe-STOP configuration."),
    "import-prompts": ("import_prompts", "Take over a CoOp checkpoint of another program."),
    "demo-data": ("demo_data", "Render the embedded default data set."),
    "demo-clip": ("demo_clip", "Train the embedded default CLIP from scratch."),
}


def _overview() -> typer.Typer:
    """An application that lists all commands without importing them."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help="Folders of videos to features, prompts, fine-tuned models and honest metrics.",
        epilog=EVERYWHERE,
    )
    for name, (_, description) in COMMANDS.items():
        app.command(name, help=description)(lambda: None)
    return app


def main() -> None:
    """Run `clipline COMMAND …`."""
    with told_errors():
        take_progress_options()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        run(_overview())
        return
    sys.argv[:2] = [f"clipline {name}"]
    run(import_module(f"stages.{COMMANDS[name][0]}").app)
