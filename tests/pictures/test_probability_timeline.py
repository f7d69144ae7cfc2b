import dataclasses

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.pictures.probability_timeline import ProbabilitySheet, ProbabilityTimeline

NAMES = ("fall", "normal", "ride")
EVENT, NORMAL, CLASS = (213, 94, 0), (0, 114, 178), (230, 159, 0)


def timeline(seconds=20, events=((5.0, 10.0),), title="test/fall/a", **changes):
    starts = np.arange(float(seconds))
    inside = np.zeros(seconds, bool)
    for start, end in events:
        inside |= (starts < end) & (starts + 1 > start)
    fall = np.where(inside, 0.9, 0.05)
    probabilities = np.stack([fall, 0.95 - fall, np.full(seconds, 0.05)], axis=1)
    plain = ProbabilityTimeline(
        title, float(seconds), events, starts, starts + 1, probabilities, 0, 0, 0.83
    )
    return dataclasses.replace(plain, **changes)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def area(path, colour):
    return int((np.abs(pixels(path) - colour).sum(axis=2) < 12).sum())


def lane(path, colour):
    """Length in pixels of the bars of a colour, below the lines."""
    return int((np.abs(pixels(path)[210:] - colour).sum(axis=2) < 12).sum(axis=1).max())


def test_lanes_are_as_long_as_what_they_show(tmp_path):
    ProbabilitySheet(NAMES, 1).draw(tmp_path / "a.png", timeline())
    second = 714 / 20
    assert lane(tmp_path / "a.png", EVENT) == pytest.approx(5 * second, abs=3)
    assert lane(tmp_path / "a.png", CLASS) == pytest.approx(5 * second, abs=3)
    assert lane(tmp_path / "a.png", NORMAL) == pytest.approx(15 * second, abs=3)


def test_windows_above_the_threshold_have_a_lane(tmp_path):
    ProbabilitySheet(NAMES, 1, 0.5).draw(tmp_path / "half.png", timeline())
    ProbabilitySheet(NAMES, 1, 0.97).draw(tmp_path / "high.png", timeline())
    ink = (48, 48, 48)
    assert area(tmp_path / "half.png", ink) > area(tmp_path / "high.png", ink) + 1000
    ProbabilitySheet(NAMES, None, 0.5).draw(tmp_path / "none.png", timeline())
    ProbabilitySheet(NAMES, None).draw(tmp_path / "without.png", timeline())
    assert (tmp_path / "none.png").read_bytes() == (tmp_path / "without.png").read_bytes()


def test_a_reused_sheet_writes_the_same_bytes(tmp_path):
    sheet = ProbabilitySheet(NAMES, 1, 0.5)
    sheet.draw(tmp_path / "first.png", timeline())
    sheet.draw(tmp_path / "other.png", timeline(900, title="val/쓰러짐/$b$"))
    sheet.draw(tmp_path / "again.png", timeline())
    ProbabilitySheet(NAMES, 1, 0.5).draw(tmp_path / "fresh.png", timeline())
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "again.png").read_bytes()
    assert first == (tmp_path / "fresh.png").read_bytes()
    assert b"Software" not in first


def test_a_wrong_prediction_is_told_without_colour(tmp_path):
    sheet = ProbabilitySheet(NAMES, 1)
    sheet.draw(tmp_path / "right.png", timeline())
    sheet.draw(tmp_path / "wrong.png", timeline(predicted_class=1))
    verdict = np.s_[:45, :90]
    right, wrong = (pixels(tmp_path / f"{name}.png")[verdict] for name in ("right", "wrong"))
    assert (wrong < 128).sum() > 1.2 * (right < 128).sum() > 0


def test_hours_show_short_events_and_single_windows(tmp_path, recwarn):
    events = ((3600.0, 3601.0),)
    ProbabilitySheet(NAMES, 1, 0.5).draw(tmp_path / "long.png", timeline(7200, events))
    found = pixels(tmp_path / "long.png")
    # The pixel is shared by its neighbours, so it is paler than the colour, but it is there.
    reddish = (found[..., 0] - found[..., 2] > 100).sum(axis=1)
    assert (reddish > 0).sum() >= 18 + 11
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_nothing_to_show_is_drawn(tmp_path, recwarn):
    empty = timeline(starts=np.zeros(0), ends=np.zeros(0), probabilities=np.zeros((0, 3)))
    ProbabilitySheet(NAMES, 1, 0.5).draw(tmp_path / "windows.png", empty)
    ProbabilitySheet(NAMES, 1).draw(tmp_path / "events.png", timeline(events=(), confidence=None))
    assert area(tmp_path / "windows.png", NORMAL) == 0
    assert area(tmp_path / "events.png", EVENT) == 0
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_events_end_where_the_picture_does(tmp_path):
    ProbabilitySheet(NAMES, 1).draw(tmp_path / "a.png", timeline(events=((15.0, 400.0),)))
    assert lane(tmp_path / "a.png", EVENT) == pytest.approx(5 * 714 / 20, abs=3)
