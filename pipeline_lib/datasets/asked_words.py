"""Words that somebody asks for: a query, a caption."""

from pipeline_lib.datasets.question_fields import encodable
from pipeline_lib.errors import DataError


def require_words(text: str, what: str, example: str) -> None:
    """Refuse a text without words, and one whose bytes were no text in the terminal.

    Args:
        text: What is asked for.
        what: What the message calls it.
        example: One that could be asked.

    Raises:
        DataError: It is blank, or not valid Unicode.
    """
    if not text.strip():
        raise DataError(f"The {what} is empty.", hint=f'Say what to look for: "{example}".')
    if not encodable(text):
        raise DataError(
            f"The {what} {text!a} is not valid Unicode: it holds half a character.",
            hint="Type it in UTF-8, or put it into a file for --queries.",
        )
