"""Frames for a question: a CLIP fine-tuned on true and mined frames."""

from collections.abc import Mapping

from pipeline_lib.reporting.parts._failures import from_csv
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Chart, Failed, Gallery, Headline, Output, Part
from pipeline_lib.reporting.tables import read_tree
from pipeline_lib.storage.tables import read_parquet

_PLOTS = "metrics/plots/pos_neg"
_EVALUATION = "data/evaluation/pos_neg"
_METRICS = "metrics/pos_neg.json"
_CHOOSERS = ("fine_tuned", "zero_shot", "uniform", "chance")


def _captions(project: Project) -> Mapping[str, str]:
    items = read_parquet(project.path(f"{_EVALUATION}/items.parquet"), ("id", "caption"))
    return dict(zip(items["id"], items["caption"], strict=True))


def _failures(project: Project) -> list[Failed]:
    if not project.exists(_METRICS):
        return []
    tree = read_tree(project.path(_METRICS))
    splits = [split for split in tree.values() if isinstance(split, dict) and "items" in split]
    names = ("items", "items_failed")
    looked_at = sum(split.get(name) or 0 for split in splits for name in names)
    return [from_csv(project, "Frames for a question", _EVALUATION, looked_at, "questions")]


PART = Part(
    name="pos_neg",
    title="Frames for a question",
    outputs=(
        Output("data/models/pos_neg", "fine-tuned CLIP", "dvc repro train-pos-neg"),
        Output(f"{_PLOTS}/history.csv", "training curves", "dvc repro train-pos-neg"),
        Output(_METRICS, "metrics", "dvc repro evaluate-pos-neg"),
        Output(f"{_PLOTS}/top_frames", "chosen frames", "dvc repro evaluate-pos-neg"),
    ),
    headline=Headline("test.recall.at_1", "recall of the first chosen frame, test"),
    charts=(
        Chart("Loss", f"{_PLOTS}/history.csv", "epoch", ("train_loss", "val_loss")),
        Chart(
            "Ranking on val",
            f"{_PLOTS}/history.csv",
            "epoch",
            ("val_average_precision", "val_probability", "val_chance_probability"),
        ),
        Chart(
            "Support frames found",
            f"{_PLOTS}/recall_at_k.csv",
            "k",
            _CHOOSERS,
            beside=("shuffled",),
            x_label="chosen frames",
            y_label="recall",
            doubling=True,
            reach=(0, 1),
        ),
        Chart(
            "Sim-m",
            f"{_PLOTS}/sim_m.csv",
            "m",
            _CHOOSERS,
            beside=("shuffled",),
            x_label="similarity m that every support frame must reach",
            y_label="share of questions",
            reach=(0, 1),
        ),
    ),
    galleries=(
        Gallery(
            "Chosen frames",
            f"{_PLOTS}/top_frames",
            "The four frames chosen for a question before and after fine-tuning, "
            "and the true ones.",
            _captions,
        ),
    ),
    failures=(_failures,),
    checkpoint="data/models/pos_neg/best/open_clip_model.safetensors",
)
