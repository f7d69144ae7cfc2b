"""The server as a user starts it: a process of its own on a free loopback port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_STARTS_S = 120


@contextmanager
def running(*arguments: object, cwd: Path) -> Iterator[str]:
    """Yield its address; ends it with Ctrl-C, and checks that it ends in order."""
    server = subprocess.Popen(
        [sys.executable, ROOT / "stages" / "serve.py", *map(str, arguments), "--port", "0"],
        cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        yield _address(server)
        server.send_signal(signal.SIGINT)
        output, errors = server.communicate(timeout=20)
        assert server.returncode == 0, errors
        assert output == "ended\n"
        assert "Traceback" not in errors
    finally:
        server.kill()
        server.communicate()


def _address(server: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + _STARTS_S
    while time.monotonic() < deadline:
        line = server.stdout.readline()
        if line.startswith("http://"):
            return line.strip()
        if not line:
            break
    raise AssertionError(f"the server did not start: {server.communicate()[1]}")
