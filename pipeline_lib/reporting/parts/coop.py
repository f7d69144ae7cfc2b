"""CoOp: learned prompts that classify windows of videos."""

from pipeline_lib.reporting.spec import Chart, Confusion, Headline, Output, Part, Shares

_PLOTS = "metrics/plots/coop"
_CONTROLS = ("zero_shot", "linear_probe")

PART = Part(
    name="coop",
    title="CoOp prompts",
    outputs=(
        Output("data/models/coop", "learned prompts", "dvc repro train-coop"),
        Output(f"{_PLOTS}/history.csv", "training curves", "dvc repro train-coop"),
        Output("metrics/coop.json", "metrics", "dvc repro evaluate-coop"),
        Output(
            "data/evaluation/coop", "predictions of windows and videos", "dvc repro evaluate-coop"
        ),
        Output(f"{_PLOTS}/timelines", "timelines of test videos", "dvc repro evaluate-coop"),
    ),
    headline=Headline("test.frame.balanced_accuracy", "balanced accuracy of test windows"),
    charts=(
        Chart("Loss", f"{_PLOTS}/history.csv", "epoch", ("train_loss", "val_loss")),
        Chart(
            "Accuracy on val",
            f"{_PLOTS}/history.csv",
            "epoch",
            ("val_balanced_accuracy", "val_accuracy", "val_video_accuracy"),
        ),
        Chart(
            "Anomaly ROC",
            f"{_PLOTS}/roc.csv",
            "false_positive_rate",
            ("coop", *_CONTROLS),
            y_label="true positive rate",
            reach=(0, 1),
        ),
        Chart(
            "Anomaly precision and recall",
            f"{_PLOTS}/precision_recall.csv",
            "recall",
            ("coop", *_CONTROLS),
            y_label="precision",
            reach=(0, 1),
        ),
    ),
    shares=(Shares("Recall of each class on test", f"{_PLOTS}/recall_per_class.csv", "class"),),
    confusions=(
        Confusion(
            "Windows of test",
            f"{_PLOTS}/confusion_frame.csv",
            f"{_PLOTS}/confusion_frame.png",
            "windows",
        ),
        Confusion(
            "Videos of test",
            f"{_PLOTS}/confusion_video.csv",
            f"{_PLOTS}/confusion_video.png",
            "videos",
        ),
    ),
    checkpoint="data/models/coop/coop_best.safetensors",
)
