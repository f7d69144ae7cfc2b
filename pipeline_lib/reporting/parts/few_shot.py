"""The curve of a few training windows a class."""

from pipeline_lib.reporting.spec import Chart, Headline, Output, Part

_CURVE = "metrics/plots/few_shot/curve.csv"

PART = Part(
    name="few_shot",
    title="CoOp with few shots",
    outputs=(Output("metrics/few_shot.json", "few-shot curve", "clipline few-shot"),),
    headline=Headline(
        "test.shots_1.balanced_accuracy", "balanced accuracy with one window a class"
    ),
    charts=(
        Chart(
            "Balanced accuracy by training windows a class",
            _CURVE,
            "shots",
            ("prompts", "linear_probe"),
            beside=("shuffled",),
            x_label="windows a class",
            y_label="balanced accuracy on test",
            doubling=True,
            reach=(0, 1),
        ),
    ),
)
