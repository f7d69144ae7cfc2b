"""Losses that bring captions and their true frames together, and mined negatives apart.

All take the same two matrices, one row for each distinct caption of a batch and one column for
each distinct frame: the logits (scale times cosine, plus a bias where the loss wants one), and
how each frame relates to each caption. They return one loss a caption; items with the same words
share it. Below, P are a caption's positives, M its mined negatives, O the true frames of other
captions, and z the logits.

A further loss is a function here and a line in ``LOSSES``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.errors import ConfigError, did_you_mean

UNRELATED, POSITIVE, MINED, OTHER = 0, 1, 2, 3


@dataclass(frozen=True)
class Loss:
    """A loss, and what it needs.

    Attributes:
        per_caption: Logits [C, F] and relations int8 [C, F] to losses [C].
        against: Relations that the loss holds against the positives.
        needs_one: Whether a caption without a frame in such a relation has no loss.
        biased: Whether the logits have a bias that is learned.
    """

    per_caption: Callable[[Tensor, Tensor], Tensor]
    against: tuple[int, ...]
    needs_one: bool = True
    biased: bool = False

    def counted(self, relation: Tensor) -> Tensor:
        """Which captions have the frames that the loss needs, bool [C]; the others' is 0."""
        counted = (relation == POSITIVE).any(dim=1)
        if self.needs_one:
            counted = counted & _among(relation, self.against).any(dim=1)
        return counted

    def __call__(self, logits: Tensor, relation: Tensor) -> Tensor:
        """Losses [C]."""
        return self.per_caption(logits, relation) * self.counted(relation)


def bce(logits: Tensor, relation: Tensor) -> Tensor:
    """Binary cross entropy of each pair, mean over P and M.

    ``-log sigmoid(z)`` for P and ``-log sigmoid(-z)`` for M, computed from logits: a sigmoid in
    between rounds to 1 from 17 on, and a negative beyond that would have no gradient. As in
    SigLIP (Zhai et al., https://arxiv.org/abs/2303.15343) the logits have a learned bias, without
    which every scaled cosine of a CLIP, 15 to 30, reads as a certain match.
    """
    positive = relation == POSITIVE
    pairs = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return _mean(pairs, _among(relation, (POSITIVE, MINED)))


def bce_positive(logits: Tensor, relation: Tensor) -> Tensor:
    """Binary cross entropy of the positives alone, ``-log sigmoid(z)``, mean over P.

    Nothing holds the logits down: it is here to be compared with.
    """
    return _mean(F.softplus(-logits), relation == POSITIVE)


def contrastive(logits: Tensor, relation: Tensor) -> Tensor:
    """CLIP's symmetric cross entropy with several true frames a caption; M takes no part.

    Mean of two halves. From the caption: ``-log(exp z_p / sum of exp z over P and O)``, mean over
    p in P. From its frames: for each p ``-log`` of the caption's share of ``exp z`` among the
    captions that p belongs to or is another's of, again the mean. So a target is spread evenly
    over all that is true, and words that stand at several items count once; the least that several
    true frames leave is the logarithm of their number, halved. Radford et al.,
    https://arxiv.org/abs/2103.00020, figure 3; targets as in Khosla et al.,
    https://arxiv.org/abs/2004.11362, equation 2.
    """
    positive = relation == POSITIVE
    known = _among(relation, (POSITIVE, OTHER))
    from_caption = _log_sum(logits, known, dim=1) - logits
    from_frames = _log_sum(logits, known, dim=0) - logits
    return (_mean(from_caption, positive) + _mean(from_frames, positive)) / 2


def video_nce(logits: Tensor, relation: Tensor) -> Tensor:
    """InfoNCE of each positive against the mined negatives and the frames of other captions.

    From the caption: ``-log(exp z_p / (exp z_p + sum of exp z over M and O))``, mean over p in P.
    The mean stands outside the logarithm, as in SupCon's better form (Khosla et al.,
    https://arxiv.org/abs/2004.11362, equation 2): inside it (MIL-NCE, Miech et al.,
    https://arxiv.org/abs/1912.06430) one good frame would excuse the others. Unlike there, the
    other positives are not in the denominator, where they would push each other away: every true
    frame may come arbitrarily close.

    From its frames: the same for each p among the captions it is no true frame of (those it was
    mined against included), mean over the p that have such a caption. The two are averaged where
    there are both; in a batch of one caption only the first is left, and it still learns from M.
    """
    positive = relation == POSITIVE
    negative = _among(relation, (MINED, OTHER))
    from_caption = _mean(F.softplus(_log_sum(logits, negative, dim=1) - logits), positive)
    compared = positive & negative.any(dim=0)
    from_frames = _mean(F.softplus(_log_sum(logits, negative, dim=0) - logits), compared)
    halves = 1 + compared.any(dim=1).to(logits.dtype)
    return (from_caption + from_frames) / halves


LOSSES = {
    "bce": Loss(bce, against=(MINED,), needs_one=False, biased=True),
    "bce_positive": Loss(bce_positive, against=(), needs_one=False, biased=True),
    "contrastive": Loss(contrastive, against=(OTHER,)),
    "video_nce": Loss(video_nce, against=(MINED, OTHER)),
}


def choose_loss(name: str) -> Loss:
    """The loss called ``name``.

    Raises:
        ConfigError: There is none.
    """
    if name not in LOSSES:
        raise ConfigError(
            f"train.pos_neg.loss = {name!r}: no such loss.", hint=did_you_mean(name, LOSSES)
        )
    return LOSSES[name]


def _among(relation: Tensor, wanted: tuple[int, ...]) -> Tensor:
    return torch.isin(relation, torch.tensor(wanted, dtype=relation.dtype, device=relation.device))


def _log_sum(logits: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Log of the sum of exponentials where ``mask``; hugely negative, not -inf, where nowhere.

    The gradient of -inf would be NaN.
    """
    lowest = torch.finfo(logits.dtype).min / 4
    return logits.masked_fill(~mask, lowest).logsumexp(dim=dim, keepdim=True)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each row where ``mask``; 0 where nowhere."""
    return values.masked_fill(~mask, 0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
