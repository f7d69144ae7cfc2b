"""A shell in a project: one command at a time, its directory and variables kept."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

HERE = Path(__file__).parent
# First on the PATH: stand-ins for SLURM, and for programs that would import torch every time.
PROGRAMS = HERE / "programs"
LIMIT_S = 400.0
_DRIVER = """
import json, sys, traceback
answers, sys.stdout = sys.stdout, sys.stderr
space = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "<block>", "exec"), space)
        problem = ""
    except BaseException:
        problem = traceback.format_exc()
    answers.write(json.dumps(problem) + "\\n")
    answers.flush()
"""


@dataclass(frozen=True)
class Result:
    """What a command did: its exit code, and its lines with the stream each came from."""

    code: int
    lines: tuple[tuple[str, str], ...]

    @property
    def out(self) -> list[str]:
        """Lines of stdout."""
        return [line for stream, line in self.lines if stream == "out"]

    @property
    def all(self) -> list[str]:
        """Lines of both streams, in the order in which they came."""
        return [line for _, line in self.lines]


class Shell:
    """Runs commands in a folder, as a person would type them there.

    Args:
        folder: Where it starts.
        home: Its home directory: settings and caches of this machine's user are out of sight.
        warm: The socket of a running ``warm.py``; without it every command starts on its own.
    """

    def __init__(self, folder: Path, home: Path, warm: Path | None = None) -> None:
        self.folder = folder
        self.warm = warm
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self._state = home / "state.sh"
        self._state.write_text(f"cd {shlex.quote(str(folder))}\n")
        self._python: subprocess.Popen[str] | None = None

    def environment(self) -> dict[str, str]:
        """No network, no settings of this machine's user, wide tables, this Python first."""
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return {
            **kept,
            "HOME": str(self.home),
            "PATH": f"{PROGRAMS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(HERE / "offline"),
            "DOCS_PROGRAMS": str(PROGRAMS),
            "DOCS_PYTHON": sys.executable,
            "DOCS_WARM": str(self.warm or ""),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "DVC_NO_ANALYTICS": "1",
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
        }  # fmt: skip

    def run(self, command: str, extra: Mapping[str, str] | None = None) -> Result:
        """Run one command; what it exports and where it goes hold for the next one."""
        script = (
            f"source {shlex.quote(str(self._state))}\n"
            f"PATH=$DOCS_PROGRAMS:${{PATH//$DOCS_PROGRAMS:/}}\n{command}\n_code=$?\n"
            f"{{ declare -px | grep -v -- '-[a-z]*r'; printf 'cd %q\\n' \"$PWD\"; }} "
            f"> {shlex.quote(str(self._state))}\nexit $_code\n"
        )
        process = self._start(["bash", "-c", script], extra or {})
        lines: list[tuple[str, str]] = []
        readers = _reading(process, lines)
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            lines.append(("err", f"stopped after {LIMIT_S:.0f} s"))
        for reader in readers:
            reader.join(10)
        process.wait()
        return Result(process.returncode, tuple(lines))

    def serve(self, command: str) -> Result:
        """Start a server, ask for the page whose address it prints, and end it with Ctrl-C.

        Returns:
            Its exit code, and what it printed until it was asked.
        """
        script = f"source {shlex.quote(str(self._state))}\nexec {command}\n"
        process = self._start(["bash", "-c", script], {})
        lines: list[tuple[str, str]] = []
        readers = _reading(process, lines)
        try:
            address = wait_for(lambda: _printed_address(process, lines))
            _fetch(address)
            printed = tuple(lines)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(30)
        except (OSError, TimeoutError, subprocess.TimeoutExpired) as error:
            os.killpg(process.pid, signal.SIGKILL)
            return Result(-1, (*lines, ("err", str(error))))
        for reader in readers:
            reader.join(10)
        return Result(process.returncode, printed)

    def python(self, code: str) -> str:
        """Run a block of Python behind the blocks before it; returns its traceback, or nothing."""
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _DRIVER], cwd=self.folder, env=self.environment(), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        assert self._python.stdin
        assert self._python.stdout
        self._python.stdin.write(json.dumps(code) + "\n")
        self._python.stdin.flush()
        answer = self._python.stdout.readline()
        return json.loads(answer) if answer else "Python ended without an answer"

    def close(self) -> None:
        """End the Python of this shell."""
        if self._python is None:
            return
        self._python.communicate()
        self._python = None

    def _start(self, command: list[str], extra: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.environment(), **extra}, text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip


def wait_for(condition, seconds: float = 90.0):  # type: ignore[no-untyped-def]
    """Ask until there is an answer that is not None; OSErrors count as none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            answer = condition()
        except OSError:
            answer = None
        if answer is not None:
            return answer
        time.sleep(0.2)
    raise TimeoutError(f"nothing within {seconds:.0f} s")


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """Start ``warm.py``; gives its socket."""
    address = folder / "warm.sock"
    shell = Shell(folder, folder / "warm_home")
    process = subprocess.Popen(
        [sys.executable, str(HERE / "warm.py"), str(address)], env=shell.environment(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: address.exists() or None)
        yield address
    finally:
        process.kill()
        process.wait()


def _reading(process: subprocess.Popen[str], lines: list[tuple[str, str]]) -> list[Thread]:
    """Threads that add what a program prints to ``lines``."""
    streams = (("out", process.stdout), ("err", process.stderr))
    readers = [Thread(target=_read, args=(stream, name, lines)) for name, stream in streams]
    for reader in readers:
        reader.start()
    return readers


def _printed_address(process: subprocess.Popen[str], lines: list[tuple[str, str]]) -> str | None:
    if process.poll() is not None:
        raise TimeoutError("it ended by itself")
    found = [word for _, line in lines for word in re.findall(r"https?://\S+", line)]
    return found[0] if found else None


def _fetch(address: str) -> None:
    """Ask for a page under this machine's own address, as a browser does: cookies are kept."""
    parts = urlsplit(address)
    opener = build_opener(ProxyHandler({}), HTTPCookieProcessor())
    with opener.open(parts._replace(netloc=f"127.0.0.1:{parts.port}").geturl(), timeout=30) as page:
        page.read()


def _read(stream: IO[str] | None, name: str, lines: list[tuple[str, str]]) -> None:
    assert stream
    with stream:
        for line in stream:
            bare = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line.rstrip("\n"))
            lines.append((name, bare.split("\r")[-1]))
