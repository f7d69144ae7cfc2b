"""What is said of the frames that answer a question."""

from collections.abc import Sequence
from typing import Literal

from pipeline_lib.errors import DataError

CaptionSetting = Literal["question", "choices", "question_choices"]


def caption_of(item_id: str, question: str, choices: Sequence[str], setting: CaptionSetting) -> str:
    """The caption of one item.

    Args:
        item_id: Names the item in the error.
        question: Its words.
        choices: Its possible answers, joined by one space.
        setting: Take the question, the choices, or both, the question first.

    Raises:
        DataError: Nothing is left to say: the item has no choices, or blank ones.
    """
    answers = " ".join(choices)
    parts = {
        "question": (question,),
        "choices": (answers,),
        "question_choices": (question, answers),
    }
    caption = " ".join(part for part in parts[setting] if part.strip())
    if not caption:
        raise DataError(
            f"Item {item_id!r} has no caption: nothing stands in its {setting}.",
            hint="Give it choices in the question file, or set train.pos_neg.caption: question in "
            "params.yaml.",
        )
    return caption
