"""Decoding ahead of the models, in processes that may hang or crash without harm."""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_lib.errors import ConfigError, VideoError
from pipeline_lib.extraction import decode_child as child
from pipeline_lib.extraction.decode import (
    Alive,
    EndEvent,
    Event,
    FailEvent,
    FrameEvent,
    Job,
    decode,
    failure,
)

# Frames decoded ahead of the models, over all processes: a few batches.
_AHEAD = 128
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_MEMORY_LIMIT = 16 << 30
_PACKAGE_ROOT = str(Path(__file__).parents[2])


def decode_here(jobs: Iterable[Job]) -> Generator[Event, None, None]:
    """Decode in this process, one video after the other; a hung decoder hangs it."""
    for job in jobs:
        try:
            yield from decode(job, Alive())
        except VideoError as error:
            yield failure(job, error)


class _StalledError(Exception):
    """The child did nothing for too long."""


class _DiedError(Exception):
    """The child ended in the middle of a job."""


class _Child:
    """One decoding process; started at its first job and again after a crash."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, job: Job) -> Iterator[Event]:
        """The events of one job, the last one an end or a failure."""
        process = self._process or self._start()
        try:
            _send(process, json.dumps(job.as_dict()).encode() + b"\n")
            yield from self._events(job)
        except _StalledError:
            self.kill()
            text = f"{job.path}: the decoder did nothing for {self._stall_s:g} s and was stopped."
            yield FailEvent(job.number, "timeout", text)
        except (_DiedError, BrokenPipeError):
            text = f"{job.path}: the decoder died ({self._cause_of_death()})."
            self.kill()
            yield FailEvent(job.number, "decoder_crashed", text)

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def interrupt(self) -> None:
        """Kill the process from another thread; the one that reads from it then cleans up."""
        if self._process is not None:
            self._process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", child.__name__, str(_MEMORY_LIMIT), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        if sys.platform == "linux" and self._process.stdout is not None:
            _widen(self._process.stdout.fileno())
        return self._process

    def _cause_of_death(self) -> str:
        process = self._process
        if process is None:
            return "stopped"
        code = process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _events(self, job: Job) -> Iterator[Event]:
        while True:
            header = self._read(child.HEADER.size)
            kind, text_bytes, pixel_bytes = child.HEADER.unpack(header)
            text = self._read(text_bytes)
            content: Any = json.loads(text) if text_bytes else None
            if kind == child.FRAME:
                stream, row, clip, shape = content
                image = np.frombuffer(self._read(pixel_bytes), np.uint8).reshape(shape)
                yield FrameEvent(job.number, stream, row, clip, image)
            elif kind == child.END:
                yield EndEvent(job.number, content)
                return
            elif kind == child.FAIL:
                yield FailEvent(job.number, *content)
                return
            elif kind == child.SETUP:
                raise ConfigError(content[0], hint=content[1])
            elif kind == child.BUG:
                raise RuntimeError(f"{job.path}: the decoding process failed:\n{content}")

    def _read(self, size: int) -> bytearray:
        """The next ``size`` bytes; the wait for each piece is limited."""
        pipe = self._process.stdout if self._process else None
        if pipe is None:
            raise _DiedError
        buffer = bytearray(size)
        view, filled = memoryview(buffer), 0
        while filled < size:
            if not select.select([pipe], [], [], self._stall_s)[0]:
                raise _StalledError
            # readinto releases the interpreter while it waits and copies.
            count = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                raise _DiedError
            filled += count
        return buffer


def _send(process: subprocess.Popen[bytes], line: bytes) -> None:
    if process.stdin is None:
        raise _DiedError
    process.stdin.write(line)


def _widen(descriptor: int) -> None:
    import fcntl

    try:
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return  # a smaller pipe only costs more system calls


class DecodePool:
    """Several decoding processes that fill one bounded queue.

    Args:
        workers: Number of processes.
        stall_s: Seconds without any progress after which a process is stopped.
    """

    def __init__(self, workers: int, stall_s: float) -> None:
        self._workers = workers
        self._stall_s = stall_s

    def events(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """The events of all jobs; those of one job in order, those of different jobs mixed.

        Close the iterator to stop early; the processes end with it.

        Raises:
            ConfigError: The decoder is not installed.
            RuntimeError: A bug in the decoding process.
        """
        ahead: queue.Queue[Event | BaseException | None] = queue.Queue(_AHEAD)
        waiting, lock, stop = iter(jobs), threading.Lock(), threading.Event()
        children = [_Child(self._stall_s) for _ in range(self._workers)]

        def put(item: Event | BaseException | None) -> bool:
            while not stop.is_set():
                try:
                    ahead.put(item, timeout=0.1)
                except queue.Full:
                    continue
                return True
            return False

        def serve(one: _Child) -> None:
            try:
                while not stop.is_set():
                    with lock:
                        job = next(waiting, None)
                    if job is None:
                        break
                    for event in one.run(job):
                        if not put(event):
                            return
                put(None)
            except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
                put(error)
            finally:
                one.kill()

        threads = [threading.Thread(target=serve, args=(one,), daemon=True) for one in children]
        for thread in threads:
            thread.start()
        try:
            yield from _until_all_are_done(ahead, len(threads))
        finally:
            stop.set()
            _join(threads, children)


def _until_all_are_done(
    ahead: "queue.Queue[Event | BaseException | None]", running: int
) -> Iterator[Event]:
    while running:
        item = ahead.get()
        if item is None:
            running -= 1
        elif isinstance(item, BaseException):
            raise item
        else:
            yield item


def _join(threads: list[threading.Thread], children: list[_Child]) -> None:
    """Wait for the threads; one that waits for its process is woken by that process's death."""
    for one, thread in zip(children, threads, strict=True):
        while thread.is_alive():
            one.interrupt()
            thread.join(0.1)
