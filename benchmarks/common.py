"""What the benchmarks share: test videos, and costs measured side by side in one run."""

import argparse
import json
import platform
import resource
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np

from pipeline_lib.runtime.lanes import cores

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Cost:
    """Seconds of one piece of work, its child processes included."""

    wall_s: float
    cpu_s: float


def measure(work: Callable[[], object]) -> Cost:
    """Run ``work`` once."""
    wall, cpu = time.perf_counter(), _cpu_s()
    work()
    return Cost(time.perf_counter() - wall, _cpu_s() - cpu)


def side_by_side(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Cost]:
    """The least cost of each case; the cases take turns, so that noise meets all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, work in cases.items():
            costs[name].append(measure(work))
    return {
        name: Cost(min(c.wall_s for c in taken), min(c.cpu_s for c in taken))
        for name, taken in costs.items()
    }


def _cpu_s() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def resident_mb() -> float:
    """Resident memory of this process and its children, shared pages counted once, in MB."""
    family = [Path("/proc/self")]
    for task in Path("/proc/self/task").iterdir():
        family += [Path("/proc") / pid for pid in (task / "children").read_text().split()]
    return sum(map(_proportional_kb, family)) / 1024


def _proportional_kb(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it has just ended
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


class PeakMemory:
    """The most memory that was held, in MB.

    Args:
        memory: What is watched, in MB.
        interval_s: Time between two looks.
    """

    def __init__(self, memory: Callable[[], float] = resident_mb, interval_s: float = 0.05) -> None:
        self.peak_mb = memory()
        self._memory = memory
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.peak_mb = max(self.peak_mb, self._memory())


def write_video(
    path: Path,
    seconds: float,
    *,
    fps: int = 30,
    size: tuple[int, int] = (1280, 720),
    gop: int = 250,
) -> Path:
    """A moving textured H.264 video; long ones repeat their first 20 seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    width, height = size
    texture = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    texture = texture.repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = gop
        for number in range(round(seconds * fps)):
            shift = (3 * number) % width, (number % (20 * fps)) // 3
            picture = np.roll(texture, shift, axis=(1, 0))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def repeat_video(source: Path, path: Path, times: int) -> Path:
    """``source`` played ``times`` times over, without encoding anything again."""
    with av.open(str(path), "w") as out:
        with av.open(str(source)) as first:
            stream = out.add_stream_from_template(first.streams.video[0])
        offset = 0
        for _ in range(times):
            with av.open(str(source)) as container:
                track = container.streams.video[0]
                for packet in container.demux(track):
                    if packet.dts is None:
                        continue
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = stream
                    out.mux(packet)
                offset += track.duration
    return path


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor(), "cores": cores()}


def options(description: str) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=3, help="turns; the least cost counts")
    parser.add_argument("--video", type=Path, help="own footage instead of a rendered video")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.name}")
    return parser


def report(name: str, figures: Mapping[str, object], *, save: bool) -> None:
    """Print the figures, and keep them beside those of the other benchmarks."""
    print(json.dumps({name: figures}, indent=1))
    if not save:
        return
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    content[name] = {"machine": machine(), **figures}
    RESULTS.write_text(json.dumps(dict(sorted(content.items())), indent=1) + "\n")


def rounded(costs: Mapping[str, Cost]) -> dict[str, dict[str, float]]:
    """Costs as plain numbers."""
    return {name: {k: round(v, 3) for k, v in asdict(c).items()} for name, c in costs.items()}
