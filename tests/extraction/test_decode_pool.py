"""Decoding ahead in other processes: the same events as here, in order, at the consumer's pace."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.extraction.decode import EndEvent, FailEvent, FrameEvent, Job
from pipeline_lib.extraction.decode_pool import DecodePool, decode_here
from pipeline_lib.extraction.schedule import Grid, Stream
from pipeline_lib.video.scaling import Resize
from tests.support.video_files import constant_rate, garbage

SMALL = Stream(Resize(32), Grid(every_s=0.5, clip_len_s=2.0, fps=1.0))
LARGE = Stream(Resize(64), Grid(every_s=1.0, clip_len_s=2.0, fps=1.0))


def job(number: int, path: Path, *streams: Stream) -> Job:
    return Job(number, path, "pyav", 1, False, streams or (SMALL,))


def plain(event):
    """An event without the array that cannot be compared as a whole."""
    if isinstance(event, FrameEvent):
        return (event.job, event.stream, event.row, event.clip, event.image.shape,
                event.image.tobytes())  # fmt: skip
    return event


@pytest.fixture
def videos(tmp_path):
    made = [constant_rate(tmp_path / f"{n}.mp4", 30 + 20 * n, 25) for n in range(4)]
    return [*made, garbage(tmp_path / "bad.mp4")]


@pytest.mark.parametrize("workers", [1, 3])
def test_events_are_those_of_decoding_here(videos, workers):
    jobs = [job(n, path, SMALL, LARGE) for n, path in enumerate(videos)]
    here = [plain(event) for event in decode_here(jobs)]
    there = [plain(event) for event in DecodePool(workers, 60.0).events(jobs)]
    for number in range(len(videos)):
        mine = [e for e in here if (e[0] if isinstance(e, tuple) else e.job) == number]
        theirs = [e for e in there if (e[0] if isinstance(e, tuple) else e.job) == number]
        assert mine == theirs
    if workers == 1:
        assert here == there


def test_a_frame_wanted_by_two_streams_is_scaled_for_each(videos):
    events = list(decode_here([job(0, videos[0], SMALL, LARGE)]))
    frames = [e for e in events if isinstance(e, FrameEvent)]
    assert [(e.stream, e.image.shape[0]) for e in frames] == [
        (0, 32), (1, 64), (0, 32), (0, 32), (1, 64)
    ]  # fmt: skip
    end = events[-1]
    assert isinstance(end, EndEvent)
    assert end.facts["duration_s"] == pytest.approx(1.2)
    assert end.facts["clip_bounds"] == [None, None]


def test_a_bad_video_is_an_event_and_the_process_goes_on(videos):
    jobs = [job(0, videos[-1]), job(1, videos[0])]
    events = list(DecodePool(1, 60.0).events(jobs))
    assert isinstance(events[0], FailEvent)
    assert (events[0].reason, str(videos[-1]) in events[0].message) == ("unreadable", True)
    assert isinstance(events[-1], EndEvent)


def test_jobs_travel_as_json(videos):
    sent = job(3, videos[0], SMALL, Stream(Resize(256, "squash"), Grid(1.0, 2.0, None), 32))
    assert Job.from_dict(sent.as_dict()) == sent


@pytest.mark.slow
def test_a_consumer_slower_than_the_limit_stops_no_decoder(tmp_path):
    every = Stream(Resize(300), Grid(every_s=0.04, clip_len_s=2.0, fps=1.0))
    path = constant_rate(tmp_path / "a.mp4", 300, 25)
    events = DecodePool(1, 1.5).events([job(0, path, every)])
    first = next(events)
    time.sleep(4.0)
    rest = list(events)
    assert isinstance(first, FrameEvent)
    assert isinstance(rest[-1], EndEvent)
    assert len(rest) == 300


def test_memory_ahead_of_a_slow_consumer_is_bounded(tmp_path):
    every = Stream(Resize(64), Grid(every_s=0.04, clip_len_s=2.0, fps=1.0))
    jobs = (job(n, constant_rate(tmp_path / f"{n}.mp4", 250, 25), every) for n in range(3))
    taken = []
    events = DecodePool(1, 60.0).events(taken.append(j) or j for j in jobs)
    next(events)
    time.sleep(0.5)
    # 250 frames are more than may wait, so the second video is not begun.
    assert len(taken) == 1
    events.close()


def test_a_bug_in_the_decoding_process_is_no_row(videos, tmp_path, monkeypatch):
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'pipeline_lib.extraction.decode_child' in sys.orig_argv:\n"
        "    import pipeline_lib.extraction.decode as decode\n"
        "    decode.check_file = lambda path: 1 / 0\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(DecodePool(2, 60.0).events([job(0, videos[0])]))


@pytest.mark.parametrize("parent", [os.getpid(), 1 << 30], ids=["its_own", "another"])
def test_the_process_ends_with_its_input_or_its_parent(parent):
    child = subprocess.run(
        [sys.executable, "-m", "pipeline_lib.extraction.decode_child", str(8 << 30), str(parent)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (child.returncode, child.stdout) == (0, b"")


def test_the_decoding_process_loads_no_torch():
    code = (
        "import sys, pipeline_lib.extraction.decode_child\n"
        "print({'torch', 'pandas', 'open_clip'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_pixels_survive_the_pipe(videos):
    [frame, *_] = DecodePool(1, 60.0).events([job(0, videos[0], LARGE)])
    assert isinstance(frame, FrameEvent)
    assert frame.image.dtype == np.uint8
    assert frame.image.ndim == 3
    assert frame.image.std() > 10
