"""The process that decodes, thrown away when a video hangs or crashes it.

Reads jobs from stdin, one JSON line each, and writes messages to stdout: a fixed header (kind,
length of the JSON part, length of the pixels), the JSON part, the pixels. It ends when stdin does.
Started by ``decode_pool``.
"""

import ctypes
import json
import os
import signal
import struct
import sys
import threading
import traceback
from typing import Any

from pipeline_lib.errors import ConfigError, VideoError
from pipeline_lib.extraction.decode import (
    Alive,
    EndEvent,
    FailEvent,
    FrameEvent,
    Job,
    decode,
    failure,
)

HEADER = struct.Struct("<cIQ")
FRAME, END, FAIL, BEAT, SETUP, BUG = b"F", b"E", b"X", b"B", b"S", b"!"
BEAT_S = 0.5
# CUDA maps far more addresses than there is memory.
_MAPS_A_DEVICE = frozenset({"torchcodec"})
_PR_SET_PDEATHSIG = 1


class _Sender:
    """Writes messages; frames come from the main thread, beats from another."""

    def __init__(self, descriptor: int) -> None:
        self._out = os.fdopen(descriptor, "wb", buffering=0)
        self._lock = threading.Lock()

    def send(self, kind: bytes, content: Any = None, pixels: memoryview | bytes = b"") -> None:
        text = b"" if content is None else json.dumps(content).encode()
        with self._lock:
            self._write(HEADER.pack(kind, len(text), len(pixels)) + text)
            self._write(pixels)

    def _write(self, data: memoryview | bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._out.write(view) or 0 :]


def _run(job: Job, sender: _Sender) -> None:
    alive, done = Alive(), threading.Event()
    beats = threading.Thread(target=_beat, args=(alive, done, sender), daemon=True)
    beats.start()
    try:
        for event in decode(job, alive):
            if isinstance(event, FrameEvent):
                place = [event.stream, event.row, event.clip, event.image.shape]
                sender.send(FRAME, place, event.image.data.cast("B"))
            elif isinstance(event, EndEvent):
                sender.send(END, event.facts)
    except VideoError as error:
        _fail(failure(job, error), sender)
    except ConfigError as error:
        sender.send(SETUP, [error.message, error.hint])  # no video is at fault
    except MemoryError:
        message = f"{job.path}: decoding it needs more memory than a decoder may have."
        _fail(FailEvent(job.number, "out_of_memory", message), sender)
    finally:
        done.set()
        beats.join()


def _fail(event: FailEvent, sender: _Sender) -> None:
    sender.send(FAIL, [event.reason, event.message])


def _beat(alive: Alive, done: threading.Event, sender: _Sender) -> None:
    """Tell that work goes on, but only while it does."""
    last = alive.progress()
    while not done.wait(BEAT_S):
        now = alive.progress()
        if now != last:
            sender.send(BEAT)
        last = now


def _die_with_parent(parent: int) -> None:
    """A killed parent must not leave a decoder behind, not even a hung one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()  # it was killed before it was asked for


def _limit_memory(limit: int) -> None:
    """An absurd file must not take the machine's memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def main() -> None:
    """Serve jobs until stdin ends; arguments: bytes of address space, the parent's process id."""
    _die_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    # Decoding libraries print; nothing of that may get between the messages.
    sender = _Sender(os.dup(1))
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        try:
            job = Job.from_dict(json.loads(line))
            if job.decoder not in _MAPS_A_DEVICE:
                _limit_memory(int(sys.argv[1]))
            _run(job, sender)
        except BrokenPipeError:
            return
        except Exception:  # noqa: BLE001  # the outermost frame: the parent reports it as a bug
            sender.send(BUG, traceback.format_exc())


if __name__ == "__main__":
    main()
