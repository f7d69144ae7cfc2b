import numpy as np
import pytest

from pipeline_lib.annotations.target_labels import REASONS, LabelRules, target_labels

STARTS = np.arange(6)
EVENTS = ((2.0, 3.0), (4.0, 5.0))


def labels(class_name="fall", events=EVENTS, **changes):
    rules = {
        "normal": "normal", "pre_event": "normal", "skip_unannotated": False, "strict": True,
        **changes,
    }  # fmt: skip
    return target_labels(STARTS, 1, events, class_name, LabelRules(**rules))


@pytest.mark.parametrize(
    ("rules", "outside", "reason"),
    [
        ({"pre_event": "normal"}, "normal", ""),
        ({"pre_event": "class"}, "fall", ""),
        ({"pre_event": "drop"}, "", "event_free"),
        ({"pre_event": "normal", "normal": None}, "", "no_normal_class"),
        ({"pre_event": "class", "normal": None}, "fall", ""),
        ({"pre_event": "drop", "normal": None}, "", "event_free"),
    ],
)
def test_windows_outside_events(rules, outside, reason):
    strict = labels(**rules)
    late = "after_first_event"
    assert strict.overlaps_event.tolist() == [False, False, True, False, True, False]
    assert strict.label.tolist() == [outside, outside, "fall", "", "fall", ""]
    assert strict.reason.tolist() == [reason, reason, "", late, "", late]
    assert (strict.kept == (strict.reason == "")).all()

    loose = labels(**rules, strict=False)
    assert loose.label.tolist() == [outside, outside, "fall", outside, "fall", outside]
    assert loose.reason.tolist() == [reason, reason, "", reason, "", reason]
    assert (loose.kept == (loose.reason == "")).all()


@pytest.mark.parametrize("pre_event", ["normal", "class", "drop"])
def test_the_normal_class_keeps_everything(pre_event):
    found = labels("normal", pre_event=pre_event, skip_unannotated=True)
    assert found.label.tolist() == ["normal"] * 6
    assert found.kept.all()
    assert not found.overlaps_event.any()


@pytest.mark.parametrize("pre_event", ["normal", "class", "drop"])
@pytest.mark.parametrize("normal", ["normal", None])
def test_videos_without_events(pre_event, normal):
    kept = labels(events=(), pre_event=pre_event, normal=normal)
    assert kept.label.tolist() == ["fall"] * 6
    assert kept.kept.all()
    skipped = labels(events=(), pre_event=pre_event, normal=normal, skip_unannotated=True)
    assert skipped.label.tolist() == [""] * 6
    assert set(skipped.reason) == {"unannotated"}
    assert not skipped.kept.any()


def test_every_reason_has_words():
    assert list(REASONS) == ["after_first_event", "event_free", "no_normal_class", "unannotated"]
