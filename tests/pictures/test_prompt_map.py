import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.prompt_map import _evenly, _placed, draw_prompt_map

HERE = Path(__file__).parent
NAMES = ("fall", "normal", "$쓰러짐")


def clouds(windows, classes=3, width=16, far=8.0):
    """Windows around their class's direction, and texts around the same ones, far from them."""
    random = np.random.default_rng(0)
    middles, gap = random.normal(size=(classes, width)), far * random.normal(size=width)
    labels = np.arange(windows) % classes
    features = middles[labels] + 0.3 * random.normal(size=(windows, width)) + gap
    texts = [middles + 0.1 * random.normal(size=middles.shape) - gap for _ in range(2)]
    parts = (features, *texts)
    unit = [np.float32(part / np.linalg.norm(part, axis=1, keepdims=True)) for part in parts]
    return unit[0], labels, unit[1], unit[2]


def test_prompts_lie_among_the_windows_of_their_class():
    features, labels, learned, plain = clouds(90)
    windows, *prompts = _placed(features, labels, learned, plain, seed=1)
    middles = np.stack([windows[labels == label].mean(axis=0) for label in range(3)])
    for places in prompts:
        away = np.linalg.norm(places[:, None] - middles, axis=2)
        assert away.argmin(axis=1).tolist() == [0, 1, 2]
    everything = np.concatenate([windows, *prompts])
    assert everything.min() >= 0
    assert everything.max() <= 640


@pytest.mark.parametrize("windows", [1, 2, 3, 4, 5])
def test_few_windows_are_drawn(tmp_path, windows, recwarn):
    draw_prompt_map(tmp_path / "a.png", *clouds(windows), NAMES, 1)
    assert (tmp_path / "a.png").exists()
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_what_cannot_be_drawn_is_refused(tmp_path):
    features, labels, learned, plain = clouds(6)
    with pytest.raises(DataError, match="there is none"):
        draw_prompt_map(tmp_path / "a.png", features[:0], labels[:0], learned, plain, NAMES, 1)
    with pytest.raises(DataError, match=r"differ in width: \[8, 16\]"):
        draw_prompt_map(tmp_path / "a.png", features, labels, learned[:, :8], plain, NAMES, 1)
    of_one = (features, np.zeros(6, np.int64), learned[:1], plain[:1], ("fall",))
    with pytest.raises(DataError, match="two classes"):
        draw_prompt_map(tmp_path / "a.png", *of_one, 1)


def test_windows_are_drawn_evenly_per_class():
    labels = np.repeat([0, 1, 3], [1000, 10, 500])
    chosen = _evenly(labels, 100, seed=1)
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen]).tolist() == [45, 10, 0, 45]
    assert _evenly(labels[:7], 100, seed=1).tolist() == list(range(7))
    assert chosen.tolist() == _evenly(labels, 100, seed=1).tolist()
    assert chosen.tolist() != _evenly(labels, 100, seed=2).tolist()


DRAW = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_prompt_map import NAMES, clouds
from pipeline_lib.pictures.prompt_map import draw_prompt_map
draw_prompt_map(Path(sys.argv[1]), *clouds(60), NAMES, 1)
"""


def test_more_threads_give_the_same_bytes(tmp_path):
    for threads in (1, 3):
        with threadpool_limits(threads):
            draw_prompt_map(tmp_path / f"{threads}.png", *clouds(60), NAMES, 1)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "3.png").read_bytes()


@pytest.mark.slow
def test_other_processes_and_threads_give_the_same_bytes(tmp_path):
    draw_prompt_map(tmp_path / "here.png", *clouds(60), NAMES, 1)
    threads = {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3", "PYTHONHASHSEED": "7"}
    subprocess.run(
        [sys.executable, "-c", DRAW, str(tmp_path / "there.png"), str(HERE)],
        check=True,
        env={**os.environ, **threads},
    )
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "there.png").read_bytes()
