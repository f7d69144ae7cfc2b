"""Many short texts in few rows, their common beginning only once.

Under causal attention a token depends on the tokens before it alone. So texts that begin alike have
equal states there, and one row can hold that beginning followed by the endings of many texts, if a
mask keeps each ending from the others. Prompts with a shared context of 16 tokens and names of
three need a quarter of the tokens that way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Attention's cost grows with the square of a row's length; beyond this it would eat the gain.
_LONGEST_ROW = 384


@dataclass(frozen=True)
class Packing:
    """Where the tokens of N texts lie in P rows of l slots.

    Attributes:
        text: Which text a slot's token belongs to, int64 [P, l]; the common beginning belongs to
            the row's first text, and so does what fills a row up.
        position: Which token of the text it is, int64 [P, l].
        visible: Whether the first slot (a query) may look at the second (a key), boolean
            [P, 1, l, l].
        read: Slot of each text's last token, counted through all rows, int64 [N].
    """

    text: Tensor
    position: Tensor
    visible: Tensor
    read: Tensor

    def to(self, device: torch.device) -> "Packing":
        """The same on ``device``."""
        parts = (self.text, self.position, self.visible, self.read)
        return Packing(*(part.to(device) for part in parts))


def pack(lengths: Sequence[int], common: int, longest_row: int = _LONGEST_ROW) -> Packing:
    """Lay texts out in rows, in their order.

    Args:
        lengths: Tokens of each of the N texts, the one that is read last.
        common: Leading tokens that are the same in all texts; less than each of ``lengths``.
        longest_row: Slots after which a new row begins; a text that needs more has its own.
    """
    rows: list[list[int]] = []
    filled = longest_row
    for text, length in enumerate(lengths):
        if not rows or filled + length - common > longest_row:
            rows.append([])
            filled = common
        rows[-1].append(text)
        filled += length - common
    slots = max(common + sum(lengths[text] - common for text in row) for row in rows)
    text_of = torch.zeros(len(rows), slots, dtype=torch.int64)
    position = torch.zeros(len(rows), slots, dtype=torch.int64)
    # Distinct for every ending; the beginning is -1 and visible to all, a filling is -2.
    ending = torch.full((len(rows), slots), -2)
    read = torch.zeros(len(lengths), dtype=torch.int64)
    for index, row in enumerate(rows):
        text_of[index] = row[0]
        position[index, :common] = torch.arange(common)
        ending[index, :common] = -1
        at = common
        for text in row:
            stop = at + lengths[text] - common
            text_of[index, at:stop] = text
            position[index, at:stop] = torch.arange(common, lengths[text])
            ending[index, at:stop] = text
            read[text] = index * slots + stop - 1
            at = stop
    related = (ending[:, :, None] == ending[:, None, :]) | (ending[:, None, :] == -1)
    earlier = torch.ones(slots, slots, dtype=torch.bool).tril()
    return Packing(text_of, position, (related & earlier)[:, None], read)
