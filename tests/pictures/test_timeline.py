import numpy as np
from PIL import Image

from pipeline_lib.annotations.target_labels import REASONS, LabelRules, target_labels
from pipeline_lib.annotations.windows import window_starts
from pipeline_lib.pictures.timeline import Timeline, TimelineSheet, picture_name

EVENT, NORMAL, CLASS = (213, 94, 0), (0, 114, 178), (230, 159, 0)


def timeline(seconds=20, unit=1, overlap=0.0, events=((5.0, 8.0), (12.0, 15.0)), title="train/f/a"):
    starts = window_starts(seconds, unit, overlap)
    labels = target_labels(
        starts, unit, events, "f",
        LabelRules(normal="normal", pre_event="normal", skip_unannotated=False, strict=True),
    )  # fmt: skip
    return Timeline(
        title=title, seconds=seconds, events=events, starts=starts.astype(float),
        ends=(starts + unit).astype(float), labels=labels.label, reasons=labels.reason,
    )  # fmt: skip


def area(path, colour):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - colour).sum(axis=2) < 12).sum())


def test_bars_are_as_long_as_what_they_show(tmp_path):
    TimelineSheet("normal", REASONS).draw(tmp_path / "a.png", timeline())
    normal, of_class = area(tmp_path / "a.png", NORMAL), area(tmp_path / "a.png", CLASS)
    assert area(tmp_path / "a.png", EVENT) > 0
    # Five windows before the event, six inside.
    assert 0.75 < normal / of_class < 0.92


def test_a_reused_sheet_writes_the_same_bytes(tmp_path):
    sheet = TimelineSheet("normal", REASONS)
    sheet.draw(tmp_path / "first.png", timeline())
    sheet.draw(tmp_path / "other.png", timeline(60, 4, 0.5, ((20.0, 30.5),), title="val/쓰러짐/b"))
    sheet.draw(tmp_path / "again.png", timeline())
    TimelineSheet("normal", REASONS).draw(tmp_path / "fresh.png", timeline())
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "again.png").read_bytes()
    assert first == (tmp_path / "fresh.png").read_bytes()
    assert b"Software" not in first


def test_hours_and_nothing_are_drawn(tmp_path, recwarn):
    sheet = TimelineSheet(None, REASONS)
    sheet.draw(tmp_path / "long.png", timeline(7200, events=((3600.0, 3700.0),)))
    sheet.draw(tmp_path / "short.png", timeline(3, unit=4, events=((1.0, 2.0),)))
    sheet.draw(tmp_path / "plain.png", timeline(20, events=()))
    assert area(tmp_path / "long.png", CLASS) > 0
    assert area(tmp_path / "short.png", CLASS) == 0
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_picture_names():
    assert picture_name("train/go_light/a-1.b") == "train__go_light__a-1.b.png"
    assert picture_name("val/쓰러짐/a 1").startswith("val__쓰러짐__a_1-")
    assert picture_name("val/c/a?b") != picture_name("val/c/a*b")
    assert picture_name("train/a__b/c") != picture_name("train/a/b__c")
    assert picture_name("train/a/b/c") != picture_name("train/a/b__c")
    long = picture_name("train/c/" + "쓰" * 200)
    assert len(long.encode()) <= 200
    assert long != picture_name("train/c/" + "쓰" * 201)
