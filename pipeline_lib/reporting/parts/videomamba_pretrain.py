"""VideoMamba's masked pretraining against a teacher."""

from pipeline_lib.reporting.parts._failures import of_trained
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Chart, Failed, Output, Part

_HISTORY = "metrics/plots/videomamba_pretrain/history.csv"
_COMMAND = "dvc repro pretrain-videomamba"


def _failures(project: Project) -> list[Failed]:
    return of_trained(project, "VideoMamba, pretraining", "videomamba_pretrain")


PART = Part(
    name="videomamba_pretrain",
    title="VideoMamba, pretraining",
    outputs=(
        Output("data/models/videomamba_pretrain", "pretrained network", _COMMAND),
        Output(_HISTORY, "training curves", _COMMAND),
    ),
    charts=(
        Chart(
            "Distance to the teacher",
            _HISTORY,
            "epoch",
            ("train_loss", "val_loss", "val_shuffled_loss"),
        ),
    ),
    failures=(_failures,),
    checkpoint="data/models/videomamba_pretrain/best/model.safetensors",
)
