"""A Python that has imported torch already, and becomes one command after the other by forking.

Importing torch and open_clip takes longer than most commands on a page take to do their work. So
the programs `clipline` and `python` in `tests/docs/programs` ask this process, which knows nothing
of Clipline, for a copy of itself; the copy then runs the entry point with the directory,
environment, arguments and open files of the program that asked.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path

# Nothing of this project: the checkout whose command is run brings its own.
PRELOADED = (
    "numpy", "pandas", "pyarrow.parquet", "torch", "torchvision", "timm", "open_clip", "av",
    "safetensors.torch", "pydantic", "ruamel.yaml", "typer", "rich.progress", "PIL.Image",
    "sklearn.linear_model", "sklearn.metrics", "matplotlib.figure", "torch.utils.tensorboard",
)  # fmt: skip


def serve(address: str) -> None:
    """Answer until the file at ``address`` is removed or this process ends."""
    for name in PRELOADED:
        # What this machine cannot import the command says itself, where it needs it.
        with contextlib.suppress(ImportError, RuntimeError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _attend(connection)
        connection.close()


def _attend(connection: socket.socket) -> None:
    """Run what is asked for in a child, tell its exit code, and end with whoever asked."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        _become(json.loads(message), files)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:  # whoever asked is gone
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(asked: dict, files: list[int]) -> None:
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    script, *arguments = asked["argv"]
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).resolve().parent)
    # As at a fresh start: what was buffered or closed before is not this command's.
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, name, open(number, mode, buffering=1, closefd=False))  # noqa: SIM115
    runpy.run_path(script, run_name="__main__")
    sys.exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
