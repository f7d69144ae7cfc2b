"""Which items are drawn: those that fine-tuning changed most, and some of every caption."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_lib.evaluation.pos_neg.choosers import FINE_TUNED, ZERO_SHOT
from pipeline_lib.evaluation.pos_neg.watching import ChosenFrames, MeasuredItem
from pipeline_lib.metrics.frame_recall import frame_recall

GAIN, LOSS = "among the largest gains", "among the largest losses"
SPREAD = "an example of this caption"


@dataclass(frozen=True)
class Example:
    """An item to draw.

    Attributes:
        item: The item.
        reason: Why it was taken: ``GAIN``, ``LOSS`` or ``SPREAD``.
    """

    item: MeasuredItem
    reason: str


def pick_examples(measured: Sequence[MeasuredItem], most: int, tolerance_s: float) -> list[Example]:
    """At most ``most`` items: up to half that gained or lost most, the others over all captions.

    An item gained where more of its moments were found than before; of equals, where the true
    frame that was missed most looks more like a chosen one.

    Args:
        measured: Items of one split, sorted by id.
        most: Pictures wanted.
        tolerance_s: A moment is found by a frame at most this far away.
    """
    ranked = sorted(measured, key=lambda item: (_gain(item, tolerance_s), item.item.id))
    losses = [item for item in ranked if _gain(item, tolerance_s) < (0.0, 0.0)]
    gains = [item for item in reversed(ranked) if _gain(item, tolerance_s) > (0.0, 0.0)]
    half = most // 2
    examples = [Example(item, GAIN) for item in gains[: (half + 1) // 2]]
    examples += [Example(item, LOSS) for item in losses[: half // 2]]
    taken = {example.item.item.id for example in examples}
    left = [item for item in measured if item.item.id not in taken]
    examples += [Example(item, SPREAD) for item in _over_captions(left, most - len(examples))]
    return examples


def recall_at_k(item: MeasuredItem, frames: ChosenFrames, tolerance_s: float) -> float:
    """Recall of the frames that are drawn; the item has true frames."""
    return frame_recall(frames.pts_s, item.item.support_s, tolerance_s) or 0.0


def _gain(item: MeasuredItem, tolerance_s: float) -> tuple[float, float]:
    (after,), (before,) = item.of(FINE_TUNED), item.of(ZERO_SHOT)
    more = recall_at_k(item, after, tolerance_s) - recall_at_k(item, before, tolerance_s)
    return more, (after.weakest_match or 0.0) - (before.weakest_match or 0.0)


def _over_captions(items: Sequence[MeasuredItem], most: int) -> list[MeasuredItem]:
    """The first item of every caption, then the second, until there are enough."""
    of_caption: defaultdict[str, list[MeasuredItem]] = defaultdict(list)
    for item in items:
        of_caption[item.item.caption].append(item)
    turns = sorted(
        (turn, caption) for caption, found in of_caption.items() for turn in range(len(found))
    )
    return [of_caption[caption][turn] for turn, caption in turns[:most]]
