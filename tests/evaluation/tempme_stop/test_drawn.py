import numpy as np
import pandas as pd

from pipeline_lib.config import EvaluateTempMeStopConfig
from pipeline_lib.evaluation.tempme_stop.drawn import GAIN, LOSS, SPREAD, draw_plots, pick_examples
from pipeline_lib.evaluation.tempme_stop.tree import measure_split
from tests.evaluation.tempme_stop.project import scored

CONFIG = EvaluateTempMeStopConfig(shuffles=2, examples=0)
WORSE = [[0, 1, 2, 3], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def measured(*args, **options):
    return measure_split(scored(*args, **options), CONFIG)


def test_examples_show_gains_losses_and_the_rest():
    one = measured(np.eye(4), zero_shot=WORSE)
    assert [(e.text, e.reason) for e in pick_examples(one, 4)] == [
        (0, GAIN), (1, SPREAD), (2, SPREAD), (3, SPREAD),
    ]  # fmt: skip
    worse = measured(WORSE, zero_shot=np.eye(4))
    assert (0, LOSS) in [(e.text, e.reason) for e in pick_examples(worse, 4)]
    assert {e.reason for e in pick_examples(measured(np.eye(4)), 3)} == {SPREAD}
    assert pick_examples(one, 0) == []
    assert len(pick_examples(one, 99)) == 4


def test_of_equal_captions_one_is_shown_first():
    one = measured(np.eye(4), texts=("a", "A", "a", "b"))
    assert [e.text for e in pick_examples(one, 2)] == [0, 3]
    assert [e.text for e in pick_examples(one, 3)] == [0, 1, 3]


def test_tables_have_every_contender_up_to_the_gallery(tmp_path):
    one = measured(np.eye(4), zero_shot=WORSE)
    draw_plots(tmp_path, one, CONFIG)
    table = pd.read_csv(tmp_path / "recall_t2v.csv")
    assert list(table) == ["k", "tempme_stop", "zero_shot", "untrained", "shuffled", "chance"]
    assert table.k.tolist() == [1, 2]
    assert table.tempme_stop.tolist() == [100, 100]
    assert table.chance.tolist() == [25, 50]
    assert (tmp_path / "recall.png").exists()
    assert list((tmp_path / "found").iterdir()) == []
