"""What each executor costs beside the work: one small folder, through the command line.

Every case runs twice: on the folder, and again with nothing left to do, which is what starting and
planning cost. Memory is the share of all pages that belongs to a process of each kind.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import RESULTS, Cost, measure, report, rounded, write_video

_ROOT = Path(__file__).parent.parent
_MODEL = f"local-dir:{_ROOT / 'data' / 'weights' / 'demo_clip'}"
# Words of a command line that tell what a process is for.
_KINDS = (("decode_child", "decoder"), ("ray::_Actor", "ray actor"), ("extract.py", "main"))
_INTERVAL_S = 0.1


class Memory:
    """The most memory that a process of each kind held, in MB, in the sessions of some leaders."""

    def __init__(self) -> None:
        self.peak_mb: dict[str, float] = {}
        self._leaders: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def follow(self, leader: int) -> None:
        """Also watch the session of ``leader``."""
        self._leaders.add(leader)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    self._look_at(process)
                except OSError:
                    continue  # it has just ended

    def _look_at(self, process: Path) -> None:
        session = (process / "stat").read_text().rpartition(")")[2].split()[3]
        if int(session) not in self._leaders:
            return
        line = (process / "cmdline").read_text()
        kind = next((name for word, name in _KINDS if word in line), "ray services")
        pages = (process / "smaps_rollup").read_text().splitlines()
        mb = next(int(row.split()[1]) for row in pages if row.startswith("Pss:")) / 1024
        self.peak_mb[kind] = max(self.peak_mb.get(kind, 0.0), mb)


def clipline(source: Path, out: Path, parts: Sequence[Sequence[str]], memory: Memory) -> None:
    """Extract ``source`` once for every list of options, all at the same time.

    Raises:
        RuntimeError: One of them failed.
    """
    command = [sys.executable, str(_ROOT / "stages" / "extract.py"), "clip", str(source)]
    command += ["--out", str(out), "--model", _MODEL, "--precision", "fp32"]
    started = [
        subprocess.Popen(
            [*command, *options],
            cwd=out.parent,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        for options in parts
    ]
    for process in started:
        memory.follow(process.pid)
    for process in started:
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(errors.decode())


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each video")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.name}")
    given = parser.parse_args()
    cases = {
        "serial": [["--executor", "serial"]],
        "process": [["--executor", "process"]],
        "shard 0/1": [["--shard", "0/1"]],
        "shards 0/2 and 1/2 at once": [["--shard", "0/2"], ["--shard", "1/2"]],
        "ray": [["--executor", "ray"]],
    }
    work: dict[str, Cost] = {}
    nothing: dict[str, Cost] = {}
    memory_mb: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = write_video(folder / "videos" / "0.mp4", given.seconds, size=(640, 360))
        for number in range(1, given.videos):
            shutil.copy(first, first.with_name(f"{number}.mp4"))
        for case, parts in cases.items():
            out = folder / case.replace("/", " of ")
            with Memory() as memory:
                work[case] = measure(lambda: clipline(first.parent, out, parts, memory))  # noqa: B023
                nothing[case] = measure(lambda: clipline(first.parent, out, parts, memory))  # noqa: B023
            memory_mb[case] = {kind: round(mb) for kind, mb in sorted(memory.peak_mb.items())}
    figures = {
        "videos": given.videos,
        "seconds_a_video": given.seconds,
        "work": rounded(work),
        "nothing_to_do": rounded(nothing),
        "largest_process_mb": memory_mb,
    }
    report("executors", figures, save=given.save)


if __name__ == "__main__":
    main()
