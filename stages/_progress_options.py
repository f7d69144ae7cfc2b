"""The options of progress that every command takes."""

import argparse
import os
import sys
from typing import get_args

from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.runtime.progress_shown import ProgressMode

# An environment variable, because DVC starts the stages and torchrun starts them again.
_VARIABLE = "CLIPLINE_PROGRESS"
_MODES: tuple[ProgressMode, ...] = get_args(ProgressMode)
EVERYWHERE = (
    f"Every command takes --progress {'|'.join(_MODES)} (or {_VARIABLE}): "
    "bars on a terminal, lines in a log, JSON lines for a program; and --quiet: beside its "
    "result a command shows warnings and errors only."
)


def take_progress_options() -> None:
    """Take `--progress MODE` and `--quiet` from wherever they stand on the command line."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.add_argument("--progress")
    options.add_argument("--quiet", action="store_true")
    # What follows -- is meant as it stands.
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    try:
        given, others = options.parse_known_args(sys.argv[1:cut])
    except argparse.ArgumentError as error:
        raise ConfigError(f"--progress: {error.message}.", hint=EVERYWHERE) from None
    sys.argv[1:cut] = others
    mode = "quiet" if given.quiet else given.progress
    if mode is not None:
        os.environ[_VARIABLE] = mode
    progress_mode()


def asked_mode() -> str:
    """What the options or the environment say, unchecked."""
    return os.environ.get(_VARIABLE) or "auto"


def progress_mode() -> ProgressMode:
    """What the options or the environment ask for.

    Raises:
        ConfigError: There is no such mode.
    """
    mode = asked_mode()
    for known in _MODES:
        if mode == known:
            return known
    raise ConfigError(
        f"--progress {mode}: it is one of {', '.join(_MODES)}.",
        hint=did_you_mean(mode, _MODES),
    )
