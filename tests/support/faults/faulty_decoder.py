"""A decoder whose faults are in the names of the videos: `hangs.mp4`, `crashes 2.mp4`, …"""

import ctypes
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

from pipeline_lib.video.decoders.pyav import open_pyav


def hangs(path):
    time.sleep(3600)


def spins(path):
    """As a library that hangs in C without letting other threads run."""
    ctypes.PyDLL(None).sleep(3600)


def crashes(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def hogs(path):
    bytearray(1 << 40)


def kills_parent(path):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)


def kills_parent_once(path):
    mark = path.with_suffix(".killed")
    if not mark.exists():
        mark.touch()
        kills_parent(path)


FAULTS = {
    "hangs": hangs,
    "spins": spins,
    "crashes": crashes,
    "hogs": hogs,
    "poison": kills_parent,
    "unlucky": kills_parent_once,
}


class Slow:
    """Each frame takes ``SLOW_S`` seconds; everything else is the decoder's own."""

    def __init__(self, decoder, pause_s):
        self._decoder = decoder
        self._pause_s = pause_s

    def __getattr__(self, name):
        return getattr(self._decoder, name)

    def __iter__(self):
        for frame in self._decoder:
            time.sleep(self._pause_s)
            yield frame


@contextmanager
def open_faulty(path: Path, threads: int = 0):
    if "DECODE_LOG" in os.environ:
        with open(os.environ["DECODE_LOG"], "a") as log:  # noqa: PTH123
            log.write(f"{path.name}\n")
    with open_pyav(path, threads) as decoder:
        fault = path.stem.split()[0]
        if fault in FAULTS:
            FAULTS[fault](path)
        pause_s = float(os.environ.get("SLOW_S", "0"))
        yield Slow(decoder, pause_s) if pause_s else decoder
