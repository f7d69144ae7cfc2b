"""What every command shares: one clear message and an exit code for an error; logs on stderr."""

import errno
import gc
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from pipeline_lib.config import DataConfig, Params
from pipeline_lib.errors import EXIT_BUG, EXIT_USER, CliplineError
from pipeline_lib.params_file import load_params
from pipeline_lib.runtime.progress import Progress
from pipeline_lib.runtime.progress_shown import shown_progress
from stages._progress_options import EVERYWHERE, asked_mode, progress_mode, take_progress_options

PARAMS = typer.Option(Path("params.yaml"), "--params", help="Parameter file.")
_stderr = Console(stderr=True)
# What the machine refuses rather than the code gets wrong.
_MACHINE_ERRORS = {
    errno.ENOSPC: "Free some disk space and run again; finished items are kept.",
    errno.EDQUOT: "Free some of your share of the disk and run again; finished items are kept.",
    errno.EFBIG: "Files of this size are not allowed here: see `ulimit -f`, or use another disk.",
    errno.EROFS: "Choose an output folder that can be written.",
    errno.EACCES: "Check who may read and write there.",
    errno.EPERM: "Check who may read and write there.",
    errno.ENOTDIR: "A file stands where a folder is needed; give another path.",
    errno.EEXIST: "A file stands where a folder is needed; give another path.",
    errno.ELOOP: "A link leads to itself; remove it.",
    errno.EISDIR: "A folder stands where a file is needed; give another path.",
}
_OUT_OF_MEMORY = (
    "Lower the batch_size of this stage and raise its accumulate by as much, or set precision: "
    "bf16, or grad_checkpointing: true; runtime.device: cpu does without."
)


def new_app() -> typer.Typer:
    """A typer application with the settings all commands share."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def run(app: typer.Typer) -> None:
    """Run a command and leave with 0 (done), 2 (the user's input is at fault) or 1 (a bug)."""
    with told_errors():
        take_progress_options()
        _log_to_stderr()
        for command in app.registered_commands:
            command.epilog = command.epilog or EVERYWHERE
        app()


@contextmanager
def told_errors() -> Iterator[None]:
    """Turn an error into a message and an exit code."""
    try:
        yield
    except CliplineError as error:
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS:
            raise
        place = os.fsdecode(error.filename or "output")
        _complain(f"{place}: {error.strerror}.", _MACHINE_ERRORS[error.errno])
        sys.exit(EXIT_USER)
    except Exception as error:  # noqa: BLE001  # the outermost frame: whatever arrives is a bug
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for it
            _complain(f"The accelerator is out of memory: {error}", _OUT_OF_MEMORY)
            sys.exit(EXIT_USER)
        traceback.print_exc()
        _stderr.print("[bold red]This is a bug in Clipline[/], not in your data; please report it.")
        sys.exit(EXIT_BUG)
    finally:
        # The interpreter's last collection walks through all of torch, more than a second long.
        gc.freeze()


class _JsonLines(logging.Formatter):
    """Log records as programs read them, beside the events of progress."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"event": "log", "level": record.levelname, "message": record.getMessage()}
        return json.dumps(told)


def _log_to_stderr() -> None:
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)-8s %(message)s"))  # one line, for grep
    mode = progress_mode()
    if mode == "json":
        handler.setFormatter(_JsonLines())
    elif _stderr.is_terminal:
        handler = RichHandler(console=_stderr, show_time=False, show_path=False)
    # open_clip tells its whole life on the root logger; what matters of it is checked here.
    handler.addFilter(lambda record: record.name != "root" or record.levelno >= logging.ERROR)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    quiet = mode == "quiet"
    logging.getLogger("pipeline_lib").setLevel(logging.WARNING if quiet else logging.INFO)


def _complain(message: str, hint: str | None) -> None:
    if asked_mode() == "json":
        error = json.dumps({"event": "error", "message": message, "hint": hint})
        _stderr.print(error, markup=False, highlight=False, soft_wrap=True)
        return
    _stderr.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    if hint:
        _stderr.print(f"  {escape(hint)}", highlight=False, soft_wrap=True)


def load_or_default(path: Path) -> Params:
    """The parameter file where there is one; the defaults in a folder that is no project."""
    return load_params(path) if path.exists() else Params(data=DataConfig(root="data"))


def progress() -> Progress:
    """How this command shows its progress: see :data:`EVERYWHERE`."""
    return shown_progress(progress_mode(), _stderr)


def scratch() -> Path:
    """Resume state, git-ignored; in `dvc exp run --temp` the original project's, so it survives."""
    return Path(os.environ.get("DVC_ROOT", ".")) / "data" / ".scratch"
