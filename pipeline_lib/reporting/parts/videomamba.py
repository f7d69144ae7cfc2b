"""VideoMamba: clips classified by their motion."""

from collections.abc import Mapping

from pipeline_lib.pictures.timeline import picture_name
from pipeline_lib.reporting.numbers import readable
from pipeline_lib.reporting.parts._failures import of_trained
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import (
    Chart,
    Confusion,
    Failed,
    Gallery,
    Headline,
    Output,
    Part,
    Shares,
)
from pipeline_lib.storage.tables import read_parquet

_PLOTS = "metrics/plots/videomamba"


def _captions(project: Project) -> Mapping[str, str]:
    path = project.path("data/evaluation/videomamba/predictions.parquet")
    table = read_parquet(path, ("video", "label", "predicted"))
    told = zip(table["video"], table["label"], table["predicted"], strict=True)
    return {
        picture_name(str(video)).removesuffix(".png"): _verdict(label, predicted)
        for video, label, predicted in told
    }


def _verdict(label: object, predicted: object) -> str:
    if isinstance(label, str):
        said = "right" if label == predicted else "wrong"
        return f"{readable(str(predicted))}, annotated {readable(label)}: {said}"
    return f"{predicted:.4g}, annotated {label:.4g}"


def _failures(project: Project) -> list[Failed]:
    return of_trained(project, "VideoMamba", "videomamba")


PART = Part(
    name="videomamba",
    title="VideoMamba",
    outputs=(
        Output("data/models/videomamba", "fine-tuned network", "dvc repro train-videomamba"),
        Output(f"{_PLOTS}/history.csv", "training curves", "dvc repro train-videomamba"),
        Output("metrics/videomamba.json", "metrics", "dvc repro evaluate-videomamba"),
        Output(f"{_PLOTS}/examples", "examples of clips", "dvc repro evaluate-videomamba"),
    ),
    headline=Headline("test.video.balanced_accuracy", "balanced accuracy of test clips"),
    charts=(
        Chart(
            "Loss",
            f"{_PLOTS}/history.csv",
            "epoch",
            ("train_loss", "val_loss"),
            beside=("scratch_val_loss",),
        ),
        Chart(
            "Accuracy on val",
            f"{_PLOTS}/history.csv",
            "epoch",
            ("val_accuracy",),
            beside=("val_balanced_accuracy", "scratch_val_accuracy"),
            when="val_accuracy",
        ),
        Chart(
            "Squared error on val",
            f"{_PLOTS}/history.csv",
            "epoch",
            ("val_mse",),
            beside=("scratch_val_mse",),
            when="val_mse",
        ),
    ),
    shares=(
        Shares("Accuracy beside controls, test", f"{_PLOTS}/accuracy.csv", "model"),
        Shares("Recall of each class on test", f"{_PLOTS}/recall_per_class.csv", "class"),
    ),
    confusions=(
        Confusion("Clips of test", f"{_PLOTS}/confusion.csv", f"{_PLOTS}/confusion.png", "clips"),
    ),
    galleries=(
        Gallery(
            "Clips and what they were named",
            f"{_PLOTS}/examples",
            "Frames of a clip beside the most probable classes.",
            _captions,
        ),
    ),
    failures=(_failures,),
    checkpoint="data/models/videomamba/best/model.safetensors",
)
