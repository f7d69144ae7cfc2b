"""What a finished training of a retrieval model leaves behind."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.trainers.left_out import write_failures
from pipeline_lib.trainers.tempme_stop.phases import Finished
from pipeline_lib.trainers.tempme_stop.splits import Splits


def publish(
    phases: Sequence[Finished],
    model: RetrievalModel,
    splits: Splits,
    facts: Mapping[str, Any],
    out: Path,
) -> None:
    """Replace ``out`` by a model folder for each published epoch, and what they are made from.

    Args:
        phases: The finished phases; those before the last one are published as ``phase1/`` ….
        model: Of that architecture, and with that CLIP.
        splits: What it was trained on.
        facts: JSON-able: settings and origin, for ``config.json``.
        out: Gets ``best/``, ``final/``, ``ep…/``, ``config.json`` (``facts``, each phase, and the
            epoch and val metrics of each model) and, where videos were left out, ``failures.csv``.
    """
    checkpoints: dict[str, Any] = {}
    with replacing_directory(out) as made:
        for number, finished in enumerate(phases, start=1):
            prefix = f"phase{number}/" if number < len(phases) else ""
            for name, tensors, described in finished.checkpoints():
                checkpoints[prefix + name] = described
                model.save(made / (prefix + name), {"training": described}, tensors)
        told = {"phases": [finished.facts for finished in phases], "checkpoints": checkpoints}
        write_json(made / "config.json", {**facts, **told})
        write_failures(made, splits.missing)
