"""How far a student is from its teacher on clips that it does not learn from."""

import torch
from torch import Tensor

from pipeline_lib.runtime.device import to_device
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.videomamba.measuring import centre_clips
from pipeline_lib.trainers.videomamba.splits import Clips
from pipeline_lib.trainers.videomamba_pretrain.batches import NAME
from pipeline_lib.trainers.videomamba_pretrain.comparing import Comparison

COLUMNS = ("val_loss", "val_shuffled_loss")


def measure_alignment(
    comparison: Comparison, clips: Clips, group: Group, *, batch_size: int, workers: int
) -> Row:
    """The ``val_…`` values of all clips of a split, their masks always the same.

    The control is the loss against the tokens that the teacher has at the same places of another
    clip: what is no better than that comes from the places alone.

    Args:
        comparison: Student and teacher.
        clips: The split.
        group: The processes; each measures its share, and all get the values of all.
        batch_size: Clips at a time.
        workers: Threads that read ahead.
    """
    n, losses = len(clips.items), []
    # Neighbours in the list are alike; in this order another clip is any other clip.
    order = numpy_stream(NAME, "val", "order").permutation(n).tolist()
    share = range(n)[group.share(n)]
    parts = [share[start : start + batch_size] for start in range(0, len(share), batch_size)]
    # Each part is followed by the clip that its last one is compared with.
    rows = [order[place % n] for part in parts for place in (*part, part.stop)]
    seen = centre_clips(
        clips,
        rows,
        size=comparison.student.shape.image_size,
        batch_size=batch_size + 1,
        workers=workers,
    )
    comparison.student.eval()
    for part, views in zip(parts, seen, strict=True):
        ids = [clips.items[order[place]].id for place in part]
        losses.append(_both(comparison, to_device(views.numpy(), group.device), ids))
    none = torch.zeros(0, len(COLUMNS), device=group.device)
    means = group.gather_rows(torch.cat([none, *losses]), n).double().mean(dim=0).tolist()
    return dict(zip(COLUMNS, [means[0], means[1] if n > 1 else None], strict=True))


def _both(comparison: Comparison, clip: Tensor, ids: list[str]) -> Tensor:
    """Losses [b, 2] of all clips but the last: against their own tokens, and the next one's."""
    with torch.no_grad():
        targets = comparison.teacher.targets(clip)
        mask = comparison.masks(targets, [numpy_stream(NAME, "val", "mask", id) for id in ids])
        made = comparison.predict(clip[:-1], mask)
        own, other = targets.tokens[:, :-1], targets.tokens[:, 1:]
        both = [comparison.losses(made, tokens, mask) for tokens in (own, other)]
    return torch.stack(both, dim=1)
