"""Text-video retrieval: merged tokens and learned prompts in a frozen CLIP."""

from collections.abc import Mapping

from pipeline_lib.reporting.parts._failures import of_trained
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Chart, Failed, Gallery, Headline, Output, Part
from pipeline_lib.storage.tables import read_parquet

_PLOTS = "metrics/plots/tempme_stop"
_CONTENDERS = ("tempme_stop", "zero_shot", "untrained", "shuffled", "chance")


def _recall(way: str, title: str) -> Chart:
    return Chart(
        title,
        f"{_PLOTS}/recall_{way}.csv",
        "k",
        _CONTENDERS,
        x_label="among the first k",
        y_label="recall in per cent",
        doubling=True,
        reach=(0, 100),
    )


def _captions(project: Project) -> Mapping[str, str]:
    columns = ("row", "split", "text", "rank")
    texts = read_parquet(project.path("data/evaluation/tempme_stop/texts.parquet"), columns)
    shown = texts[texts["split"] == texts["split"].iloc[-1]]  # the pictures are of the last split
    return {
        f"{row:05d}": f"“{text}”: its video comes at rank {rank}"
        for row, text, rank in zip(shown["row"], shown["text"], shown["rank"], strict=True)
    }


def _failures(project: Project) -> list[Failed]:
    return of_trained(project, "Text-video retrieval", "tempme_stop")


PART = Part(
    name="tempme_stop",
    title="Text-video retrieval",
    outputs=(
        Output("data/models/tempme_stop", "adapters", "dvc repro train-tempme-stop"),
        Output(f"{_PLOTS}/history.csv", "training curves", "dvc repro train-tempme-stop"),
        Output("metrics/tempme_stop.json", "metrics", "dvc repro evaluate-tempme-stop"),
        Output(f"{_PLOTS}/found", "examples of searches", "dvc repro evaluate-tempme-stop"),
    ),
    headline=Headline("test.t2v_r1", "test captions whose video comes first", per_cent=True),
    charts=(
        Chart("Loss", f"{_PLOTS}/history.csv", "epoch", ("train_loss", "val_loss")),
        Chart(
            "Recall on val",
            f"{_PLOTS}/history.csv",
            "epoch",
            ("val_t2v_r1", "val_t2v_r5", "val_v2t_r1", "val_v2t_r5"),
            y_label="per cent",
        ),
        _recall("t2v", "Videos found by a caption"),
        _recall("v2t", "Captions found by a video"),
    ),
    galleries=(
        Gallery(
            "Searches",
            f"{_PLOTS}/found",
            "What a caption finds, the best videos first.",
            _captions,
        ),
    ),
    failures=(_failures,),
    checkpoint="data/models/tempme_stop/best/adapters.safetensors",
)
