"""The numbers of an evaluation: recall, precision, Sim-m of every chooser, and what was gained."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline_lib.config import EvaluatePosNegConfig
from pipeline_lib.evaluation.pos_neg.choosers import CONTROLS, FINE_TUNED, ZERO_SHOT
from pipeline_lib.evaluation.pos_neg.watching import ChosenFrames, MeasuredItem
from pipeline_lib.metrics.grouped_mean import mean_and_error
from pipeline_lib.metrics.sim_m import sim_m

Tree = dict[str, Any]
# Of one metric: each item's value, the mean of its draws, or ``None`` where undefined.
_Values = list[float | None]


def threshold_name(m: float) -> str:
    """How a threshold of Sim-m is called: ``m95`` for 0.95, ``m97_5`` for 0.975."""
    return f"m{100 * m:.10g}".replace(".", "_")


def split_tree(
    measured: Sequence[MeasuredItem], config: EvaluatePosNegConfig, thresholds: Sequence[float]
) -> Tree:
    """Metrics of the items of one split, the controls' and the gain over the model before.

    Args:
        measured: Items with true frames; may be none.
        config: Numbers of wanted frames.
        thresholds: Values of m.

    Returns:
        ``{recall, precision, sim_m, gain, control}``; ``None`` where undefined. A gain has the
        ``mean`` of the items' differences and its standard error ``se``, for which the items of a
        video count as one observation.
    """
    of_chooser = {
        name: _per_item(measured, name, config, thresholds) for name in (FINE_TUNED, *CONTROLS)
    }
    videos = [one.item.video for one in measured]
    gain = {
        (group, name): _gain(values, of_chooser[ZERO_SHOT][group, name], videos)
        for (group, name), values in of_chooser[FINE_TUNED].items()
    }
    return {
        **_nested(of_chooser[FINE_TUNED], _mean),
        "gain": _nested(gain, dict),
        "control": {name: _nested(of_chooser[name], _mean) for name in CONTROLS},
    }


def chooser_sim_m(
    measured: Sequence[MeasuredItem], chooser: str, thresholds: Sequence[float]
) -> list[float | None]:
    """Sim-m of one chooser at each threshold; every draw of the random one counts alike."""
    return sim_m(
        [frames.weakest_match for item in measured for frames in item.of(chooser)], thresholds
    )


def _per_item(
    measured: Sequence[MeasuredItem],
    chooser: str,
    config: EvaluatePosNegConfig,
    thresholds: Sequence[float],
) -> dict[tuple[str, str], _Values]:
    """Every metric of every item, by group and name."""
    rows = [_of_item(item.of(chooser), config, thresholds) for item in measured]
    names = _of_item([], config, thresholds)
    return {name: [row[name] for row in rows] for name in names}


def _of_item(
    draws: Sequence[ChosenFrames], config: EvaluatePosNegConfig, thresholds: Sequence[float]
) -> dict[tuple[str, str], float | None]:
    values: dict[tuple[str, str], float | None] = {}
    counts, steps = sorted(set(config.recall_at)), sorted(set(thresholds))
    for k in counts:
        values["recall", f"at_{k}"] = _mean([frames.recall[k] for frames in draws])
    for k in counts:
        values["precision", f"at_{k}"] = _mean([frames.precision[k] for frames in draws])
    shares = sim_m([frames.weakest_match for frames in draws], steps)
    for m, share in zip(steps, shares, strict=True):
        values["sim_m", threshold_name(m)] = share
    values["sim_m", "mean"] = _mean(shares)
    return values


def _gain(after: _Values, before: _Values, videos: Sequence[str]) -> Tree:
    """The paired difference, of the items where both are defined."""
    pairs = [
        (a - b, video)
        for a, b, video in zip(after, before, videos, strict=True)
        if a is not None and b is not None
    ]
    mean, error = mean_and_error([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {"mean": mean, "se": error}


def _mean(values: Sequence[float | None]) -> float | None:
    """``None`` where there is no value or one of them is undefined."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(values) else None


def _nested(flat: Mapping[tuple[str, str], Any], form: Callable[[Any], Any]) -> Tree:
    tree: Tree = {}
    for (group, name), value in flat.items():
        tree.setdefault(group, {})[name] = form(value)
    return tree
