"""Texts that are longer than a text tower reads."""

from typing import Any


def tokens_cut(tokenizer: Any, text: str, context: int) -> int:
    """How many tokens of ``text`` do not fit into the context of an open_clip tokenizer.

    Args:
        tokenizer: Texts to int64 token ids [n, context].
        text: One text.
        context: Tokens that the tower reads, start and end included.
    """
    # Wider than any text: a token is at least one byte, and two mark its start and end.
    room = max(context, len(text.encode("utf-8")) + 2) + 1
    whole = tokenizer([text], context_length=room)[0].tolist()
    if whole[:context] == tokenizer([text], context_length=context)[0].tolist():
        return 0
    filler = whole[-1]
    used = next(n for n in range(room, 0, -1) if whole[n - 1] != filler)
    return max(used - context, 1)
