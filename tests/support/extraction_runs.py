"""Folders of good and bad videos, runs over them, and what a run left behind."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline_lib.config import ExtractConfig, RuntimeConfig
from pipeline_lib.extraction.executors import Run
from pipeline_lib.extraction.executors.base import Settings
from pipeline_lib.extraction.report import ExtractionReport
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.extraction.shards import Shard
from pipeline_lib.video.files import find_videos
from tests.support.video_files import constant_rate, garbage, write_video

ROOT = Path(__file__).parent.parent.parent
FAULTS = Path(__file__).parent / "faults"
# Failures of `mixed_folder`, by file.
REASONS = {
    "garbage.mp4": "unreadable",
    "empty.mp4": "empty",
    "folder.mp4": "unreadable",
    "gone.mp4": "missing",
    "sound.mp4": "no_video_stream",
    "cut.mp4": "unreadable",
    "cut_late.mkv": "truncated",
    "twice.mp4": "ambiguous_name",
    "twice.mkv": "ambiguous_name",
}


def mixed_folder(root: Path) -> Path:
    """A dozen good videos of several kinds, and one of each kind that cannot be used."""
    fall, normal = root / "train" / "fall", root / "val" / "쓰러짐 é"
    constant_rate(fall / "a.mp4", 70, 24)
    constant_rate(fall / "b.1.mkv", 30, 25)
    constant_rate(fall / "-rf.mp4", 31, 30)
    constant_rate(fall / "two words.mp4", 95, Fraction(30000, 1001))
    constant_rate(fall / "turned.mp4", 40, 20, rotation=90)
    constant_rate(fall / "old.avi", 50, 25, codec="mpeg4")
    constant_rate(normal / "broadcast.ts", 52, 25)
    constant_rate(normal / "tall.mp4", 33, 10, size=(96, 256))
    constant_rate(normal / "one frame.mp4", 1, 25)
    constant_rate(normal / "낙상.mkv", 120, 15, gop=30)
    write_video(normal / "gaps.mp4", [0, 40, 400, 1900, 2400, 6100])
    write_video(normal / "late.mkv", [5000 + 33 * n for n in range(45)])
    spoil(root / "test" / "broken")
    return root


def spoil(folder: Path) -> None:
    """The bad ones, named in ``REASONS``."""
    garbage(folder / "garbage.mp4")
    (folder / "empty.mp4").touch()
    (folder / "folder.mp4").mkdir()
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    sound_only(folder / "sound.mp4")
    for name, share in (("cut.mp4", 0.4), ("cut_late.mkv", 0.8)):
        whole = constant_rate(folder / name, 80, 25, gop=10).read_bytes()
        (folder / name).write_bytes(whole[: round(share * len(whole))])
    constant_rate(folder / "twice.mp4", 20)
    constant_rate(folder / "twice.mkv", 25)


def sound_only(path: Path) -> Path:
    """A second of silence without a picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def load(config: ExtractConfig, out: Path, names: tuple[str, ...] = ("clip",), **runtime) -> Run:
    """The networks of a run into ``out / name``; ``runtime`` are fields of ``RuntimeConfig``."""
    settings = Settings(names, config, RuntimeConfig(**runtime), out)
    return Run(settings, settings.load_outputs())


def extract(
    config: ExtractConfig,
    source: Path,
    out: Path,
    names: tuple[str, ...] = ("clip",),
    *,
    own: bool = False,
    shard: Shard | None = None,
    hash_cache: Path | None = None,
    **runtime,
) -> list[ExtractionReport]:
    """One run into ``out / name``; ``runtime`` are fields of ``RuntimeConfig``."""
    executor = "shard" if shard else runtime.pop("executor", "process")
    run = load(config, out, names, executor=executor, **runtime)
    whole = Extraction(run, own_directory=own, shard=shard, hash_cache=hash_cache)
    return whole.extract(find_videos(source))


def tree(folder: Path) -> dict[str, bytes]:
    """All files below ``folder``, hidden ones included."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start_cli(*arguments: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """`clipline ARGUMENTS` in its own process group."""
    return subprocess.Popen(
        [sys.executable, "-c", "from stages.cli import main; main()", *map(str, arguments)],
        cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        # Ctrl-C is ignored by a test run in the background, and would be by its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={
            "PYTHONPATH": str(ROOT), **os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1",
            **environment,
        },
    )  # fmt: skip


def cli(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`clipline ARGUMENTS`, waited for."""
    with start_cli(*arguments, cwd=cwd, **environment) as process:
        out, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def faulty_videos(folder: Path, *names: str, frames: int = 50) -> Path:
    """One video under several names; faults/faulty_decoder.py does what they say."""
    made = constant_rate(folder / f"{names[0]}.mp4", frames, 25)
    for name in names[1:]:
        (folder / f"{name}.mp4").write_bytes(made.read_bytes())
    return folder


def in_session(leader: int) -> list[str]:
    """Command lines of all processes that ``leader`` started and that still run."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            lines.append(line)
    return lines


def wait_until(condition, limit_s: float = 60.0) -> float:
    """Seconds until ``condition()`` holds."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < limit_s, "waited in vain"
        time.sleep(0.01)
    return time.monotonic() - begin
