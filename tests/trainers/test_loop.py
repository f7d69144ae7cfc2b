import pytest
import torch

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.loop import Plan, fit, fit_in_memory, history_table, write_outputs
from pipeline_lib.trainers.resume import RunFolder, run_fingerprint


class Killed(BaseException):
    """Stands for a process that ends here."""


class Scripted:
    """A task whose metric follows a script and whose weights and draws can be compared."""

    trained_before = ()  # epochs of a run that is resumed

    def __init__(self, metrics, dies_in=None, loss=1.0):
        self.metrics, self.dies_in, self.loss = metrics, dies_in, loss
        self.weights = torch.zeros(3)
        self.trained = []

    def train_epoch(self, epoch):
        if epoch == self.dies_in:
            raise Killed
        self.trained.append(epoch)
        self.weights = self.weights + torch.randn(3)
        return {"lr": 0.1, "train_loss": self.loss}

    def validate(self):
        return {"val_score": self.metrics[len(self.trained_before) + len(self.trained) - 1]}

    def tensors(self):
        return {"weights": self.weights}

    def describe(self, row):
        return {"epoch": row["epoch"]}

    def state(self):
        return {"weights": self.weights}

    def load_state(self, state):
        self.weights = state["weights"]


def plan(**changes):
    return Plan(
        **{
            "name": "toy",
            "title": "train toy",
            "epochs": 5,
            "patience": 0,
            "select": "val_score",
            "save_every": 2,
            "hparams": {},
            **changes,
        }
    )


def run(root, task, chosen):
    folder = RunFolder(root / "scratch")
    record = fit(task, chosen, folder, root / "tensorboard")
    with replacing_directory(root / "out") as out:
        write_outputs(record, chosen, folder, out, {"epochs": record.epoch})
    folder.discard()
    return record


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_best_periodic_and_final_are_kept(tmp_path):
    record = run(tmp_path, Scripted([0.1, 0.3, 0.3, 0.2, 0.3]), plan())
    assert record.best_epoch == 2  # later epochs equal it, none is better
    assert sorted(content(tmp_path / "out")) == [
        "config.json",
        "toy_best.safetensors",
        "toy_ep2.safetensors",
        "toy_ep4.safetensors",
        "toy_final.safetensors",
    ]
    epochs = {
        path.stem: read_checkpoint(path)[1]["epoch"]
        for path in (tmp_path / "out").glob("*.safetensors")
    }
    assert epochs == {"toy_best": 2, "toy_ep2": 2, "toy_ep4": 4, "toy_final": 5}
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(
    ("patience", "metrics", "epochs", "best"),
    [
        (2, [0.1, 0.2, 0.2, 0.2, 0.9], 4, 2),
        (2, [0.1, 0.2, 0.2, 0.3, 0.3], 5, 4),
        (1, [0.5, 0.5, 0.9, 0.9, 0.9], 2, 1),
        (0, [0.5, 0.1, 0.1, 0.1, 0.1], 5, 1),
    ],
)
def test_stopping_early(tmp_path, patience, metrics, epochs, best):
    record = run(tmp_path, Scripted(metrics), plan(patience=patience, save_every=0))
    assert (record.epoch, record.best_epoch) == (epochs, best)
    assert sorted(content(tmp_path / "out")) == [
        "config.json",
        "toy_best.safetensors",
        "toy_final.safetensors",
    ]


class Tied(Scripted):
    """Has a second value an epoch, the lower the better."""

    def validate(self):
        value = [0.5, 0.3, 0.4, 0.2, 0.2][len(self.trained) - 1]
        return {**super().validate(), "val_loss": value}


def test_a_second_value_decides_between_equal_ones(tmp_path):
    metrics = [0.1, 0.3, 0.3, 0.2, 0.3]
    record = run(tmp_path, Tied(metrics), plan(tie_break="val_loss"))
    assert record.best_epoch == 5  # as good as 2 and 3, with a lower loss
    patient = run(tmp_path, Tied(metrics), plan(tie_break="val_loss", patience=2))
    assert (patient.epoch, patient.best_epoch) == (4, 2)  # epoch 3 was no better by either


@pytest.mark.parametrize(
    ("changes", "best"), [({"lower_is_better": True}, 2), ({"select": "epoch", "patience": 1}, 5)]
)
def test_the_best_may_be_the_lowest_or_the_last(tmp_path, changes, best):
    record = run(tmp_path, Scripted([0.4, 0.1, 0.3, 0.1, 0.2]), plan(**changes))
    assert (record.epoch, record.best_epoch) == (5, best)


def test_only_the_first_process_writes(tmp_path):
    other = Group(torch.device("cpu"), rank=1, world=1)
    task = Scripted([0.1, 0.2, 0.3, 0.4, 0.5])
    record = fit(task, plan(), RunFolder(tmp_path / "scratch"), tmp_path / "board", group=other)
    assert record.epoch == 5
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_an_earlier_run_stays(tmp_path):
    run(tmp_path, Scripted([0.9] * 5), plan())
    (tmp_path / "out" / "below").mkdir()
    run(tmp_path, Scripted([0.1] * 5), plan(epochs=1))
    assert sorted(content(tmp_path / "out")) == [
        "config.json",
        "toy_best.safetensors",
        "toy_final.safetensors",
    ]


METRICS = [0.1, 0.4, 0.2, 0.3, 0.4, 0.2, 0.1]


@pytest.mark.parametrize("dies_in", [1, 2, 3, 5])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, dies_in):
    torch.manual_seed(5)
    straight = run(tmp_path / "straight", Scripted(METRICS), plan(epochs=7, patience=4))
    assert straight.epoch == 6

    torch.manual_seed(5)
    with pytest.raises(Killed):
        run(tmp_path / "killed", Scripted(METRICS, dies_in), plan(epochs=7, patience=4))
    torch.manual_seed(99)
    if dies_in == 1:
        torch.manual_seed(5)  # nothing was saved yet: the caller's state is the start
    task = Scripted(METRICS)
    task.trained_before = range(1, dies_in)
    resumed = run(tmp_path / "killed", task, plan(epochs=7, patience=4))
    assert task.trained == list(range(dies_in, 7))
    assert resumed == straight
    assert content(tmp_path / "killed" / "out") == content(tmp_path / "straight" / "out")


def test_a_run_killed_before_it_was_published_is_not_trained_again(tmp_path):
    folder = RunFolder(tmp_path / "scratch")
    fit(Scripted(METRICS), plan(epochs=3), folder, tmp_path / "tensorboard")
    task = Scripted(METRICS)
    record = run(tmp_path, task, plan(epochs=3))
    assert task.trained == []
    assert (tmp_path / "out" / "toy_final.safetensors").is_file()
    assert record.epoch == 3


def test_only_checkpoints_still_needed_are_kept_on_disk(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(Killed):
        fit(Scripted([0.1, 0.2, 0.3, 0.4], dies_in=4), plan(), folder, tmp_path / "tensorboard")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "ep2.safetensors",
        "ep3.safetensors",
        "last.pt",
    ]


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"garbage")
    with pytest.raises(DataError, match=r"last\.pt: the state of an unfinished run is damaged"):
        RunFolder(tmp_path).load()


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), None])
def test_a_diverged_loss_stops_the_run(tmp_path, loss):
    with pytest.raises(ConfigError, match=r"diverged in epoch 1.*\n.*train\.lr"):
        run(tmp_path, Scripted([0.1], loss=loss), plan())
    assert not (tmp_path / "out").exists()


def test_an_undefined_metric_chooses_no_best(tmp_path):
    with pytest.raises(ConfigError, match="val_score is undefined in epoch 1"):
        run(tmp_path, Scripted([None]), plan())


def test_training_in_memory_ends_with_the_same_epochs(tmp_path):
    torch.manual_seed(5)
    straight = run(tmp_path, Scripted(METRICS), plan(epochs=7, patience=4))
    best = read_checkpoint(tmp_path / "out" / "toy_best.safetensors")[0]["weights"]
    torch.manual_seed(5)
    task = Scripted(METRICS)
    record, tensors = fit_in_memory(task, plan(epochs=7, patience=4))
    assert record.history == straight.history
    assert torch.equal(tensors["weights"], best)
    assert not torch.equal(task.weights, best)


def test_history_leaves_out_what_only_tensorboard_shows(tmp_path):
    record = run(tmp_path, Scripted([0.1, 0.2]), plan(epochs=2))
    record.history[0]["PerClass/a"] = 0.5
    table = history_table(record)
    assert list(table.columns) == ["epoch", "lr", "train_loss", "val_score"]
    assert table["epoch"].tolist() == [1, 2]


def test_a_run_is_named_by_its_settings():
    assert run_fingerprint({"lr": 1, "data": "a"}) == run_fingerprint({"data": "a", "lr": 1})
    assert run_fingerprint({"lr": 1}) != run_fingerprint({"lr": 2})
