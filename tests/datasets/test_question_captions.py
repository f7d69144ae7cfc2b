"""What is said of the frames of an item."""

import pytest

from pipeline_lib.datasets.question_captions import caption_of
from pipeline_lib.errors import DataError


@pytest.mark.parametrize(
    ("setting", "caption"),
    [
        ("question", "When does it fall?"),
        ("choices", "now later never"),
        ("question_choices", "When does it fall? now later never"),
    ],
)
def test_question_choices_or_both(setting, caption):
    assert caption_of("q1", "When does it fall?", ("now", "later", "never"), setting) == caption


def test_without_choices_the_question_stands_alone():
    assert caption_of("q1", "When?", (), "question_choices") == "When?"


@pytest.mark.parametrize("choices", [(), ("",), (" ", "")])
def test_an_item_with_nothing_to_say_is_named(choices):
    with pytest.raises(DataError, match="Item 'q1' has no caption: nothing stands in its choices"):
        caption_of("q1", "When?", choices, "choices")
