from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pipeline_lib.config import Params, TrainSection
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.networks.text_prompt import PromptLearner
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop.prompts import load_prompts
from pipeline_lib.trainers.coop_import.importing import CHECKPOINT, ImportOptions, import_prompts
from stages.import_prompts import app
from tests.trainers.coop_import.checkpoints import NAMES, dassl, described, learner, save, script


@pytest.mark.parametrize("csc", [False, True])
def test_a_script_checkpoint(take, tower, tmp_path, csc, caplog):
    tensors = learner(tower, csc=csc)
    metadata = take(script(tensors))
    assert metadata["class_names"] == ["abuse", "roadaccidents", "shoplifting in store", "normal"]
    assert metadata["prompt_names"] == metadata["class_names"]
    assert (metadata["n_ctx"], metadata["config"]["csc"]) == (4, csc)
    assert metadata["normal_class"] == "normal"
    assert metadata["epoch"] == 7
    source = metadata["imported_from"]
    assert (source["file"], source["epoch"]) == ("foreign.pth", 7)
    assert (source["val_loss"], source["val_acc"]) == (0.25, 89.5)
    assert metadata["val"] == dict.fromkeys(metadata["val"])
    assert "attended across classes" in caplog.text
    made, _ = read_checkpoint(tmp_path / "out" / CHECKPOINT)
    assert torch.equal(made["ctx"], tensors["ctx"])


def test_imported_prompts_are_those_that_were_learned(take, tower, tmp_path):
    tensors = learner(tower)
    take(script(tensors))
    loaded = load_prompts(tmp_path / "out" / CHECKPOINT, tower)
    whole = torch.cat(
        [tensors["token_prefix"], tensors["ctx"].expand(4, -1, -1), tensors["token_suffix"]], dim=1
    )
    ids = tower.tokenize([f"X X X X {name}." for name in NAMES])
    expected = torch.nn.functional.normalize(tower.encode(whole, tower.eot(ids)), dim=-1)
    torch.testing.assert_close(loaded.text_features, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_coop_checkpoint_in_any_precision(take, tower, caplog, dtype):
    metadata = take(dassl(learner(tower, n=16, dtype=dtype)))
    assert metadata["class_names"] == ["abuse", "roadaccidents", "shoplifting in store", "normal"]
    assert (metadata["n_ctx"], metadata["epoch"]) == (16, 50)
    assert metadata["imported_from"]["val_acc"] == 61.5
    assert "attended across" not in caplog.text


def test_the_same_file_gives_the_same_bytes(take, tower, tmp_path):
    content = script(learner(tower))
    take(content)
    first = (tmp_path / "out" / CHECKPOINT).read_bytes()
    take(content)
    assert (tmp_path / "out" / CHECKPOINT).read_bytes() == first


def test_another_text_tower_is_told(take, tower):
    tensors = learner(tower)
    tensors["token_suffix"] = torch.randn(tensors["token_suffix"].shape)
    with pytest.raises(WeightsError, match=r"of another text tower than extract\.clip: 288 of its"):
        take(script(tensors))
    tensors = learner(tower)
    tensors["token_prefix"] = tensors["token_prefix"] + 0.1
    with pytest.raises(WeightsError, match="of another text tower"):
        take(script(tensors))


def test_sizes_that_do_not_fit(take, tower):
    tensors = learner(tower)
    with pytest.raises(WeightsError, match="context vectors of 16 numbers; the text tower of"):
        take(script(tensors | {"ctx": torch.ones(4, 16)}))
    with pytest.raises(WeightsError, match="prompts of 78 embeddings of 32 numbers"):
        take(script(tensors | {"ctx": torch.ones(5, 32)}))
    with pytest.raises(WeightsError, match="are of different numbers of classes"):
        take(script(tensors | {"ctx": torch.ones(3, 4, 32)}))


def test_directories_of_packed_windows_name_the_classes(take, tower, directories):
    directories("normal", "RoadAccidents", "Shoplifting_in_store")
    metadata = take(script(learner(tower)))
    assert metadata["class_names"] == ["abuse", "RoadAccidents", "Shoplifting_in_store", "normal"]
    assert metadata["prompt_names"] == ["abuse", "RoadAccidents", "Shoplifting in store", "normal"]


def test_packed_windows_of_other_classes(take, tower, directories):
    directories("fall", "normal")
    with pytest.raises(
        DataError, match=r"windows have classes 'fall', 'normal'; .* 'abuse', 'road"
    ):
        take(script(learner(tower)))


def test_given_classes_are_matched_by_their_words(take, tower, directories):
    directories("something", "else")  # what is given comes first
    metadata = take(
        script(learner(tower)),
        classes="Normal, accident=RoadAccidents,Shoplifting_in_store,쓰러짐=ABUSE",
    )
    assert metadata["class_names"] == ["쓰러짐", "accident", "Shoplifting_in_store", "Normal"]
    assert metadata["prompt_names"] == ["ABUSE", "RoadAccidents", "Shoplifting in store", "Normal"]
    assert metadata["normal_class"] == "Normal"


@pytest.mark.parametrize(
    "classes", ["Abuse,RoadAccidents,normal", "Abuse,RoadAccidents,Shoplifting in store,normal,x",
                "Abuse,road accidents,Shoplifting in store,normal"],
)  # fmt: skip
def test_given_classes_that_are_not_the_checkpoints(take, tower, classes):
    with pytest.raises(DataError, match=r"--classes names 'Abuse', .* trained on 'abuse', 'roadac"):
        take(script(learner(tower)), classes=classes)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("", "names no class"),
        ("a,,b", "'' names no class"),
        ("a=", "'a=' names no class"),
        ("=a", "'=a' names no class"),
        ("a,b,a=c", "names 'a' twice"),
    ],
)
def test_given_classes_that_are_none(take, tower, classes, words):
    with pytest.raises(ConfigError, match=words):
        take(script(learner(tower)), classes=classes)


def test_without_embeddings_the_classes_are_given(take, tower):
    content = {"state_dict": {"ctx": torch.ones(2, 4, 32)}}
    with pytest.raises(ConfigError, match="does not hold the embeddings of its class names"):
        take(content)
    assert take(content, classes="run_away,fall")["prompt_names"] == ["run away", "fall"]
    with pytest.raises(DataError, match=r"names 3 classes; .* has contexts of 2"):
        take(content, classes="run,fall,normal")


def test_a_name_that_cannot_be_spelled(take, tower):
    tensors = learner(tower, ("normal", "쓰러짐"))
    with pytest.raises(ConfigError, match="cannot be spelled; its classes are 'normal', \\?"):
        take(script(tensors))
    assert take(script(tensors), classes="normal,쓰러짐")["class_names"] == ["normal", "쓰러짐"]


def test_two_classes_of_the_same_words(take, tower):
    tensors = learner(tower, ("fall", "fall"), csc=True)
    with pytest.raises(ConfigError, match="'fall' names two of its classes"):
        take(script(tensors))
    assert take(script(tensors), classes="a=fall,b=fall")["class_names"] == ["a", "b"]


def test_words_left_over_from_a_longer_start_stay_in_the_name(take, tower):
    # Six tokens of initial words, four of them in the context: "of a" leads the suffix.
    tensors = learner(tower, ("of a fall", "of a run"))
    metadata = take(script(tensors), classes="run=of a run,fall=of a fall")
    assert metadata["class_names"] == ["fall", "run"]


def test_wrong_options(take, tower, tmp_path):
    content = script(learner(tower))
    with pytest.raises(ConfigError, match='class_token_position = "behind"'):
        take(content, class_token_position="behind")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "coop_final.safetensors").touch()
    with pytest.raises(DataError, match="holds a training"):
        take(content)


@pytest.mark.parametrize("position", ["front", "middle"])
def test_positions(take, tower, tmp_path, position):
    tensors = learner(tower)
    metadata = take(dassl(tensors), class_token_position=position)
    assert metadata["config"]["class_token_position"] == position
    loaded = load_prompts(tmp_path / "out" / CHECKPOINT, tower)
    own = PromptLearner(tower, NAMES, tensors["ctx"], position)()
    expected = torch.nn.functional.normalize(own.detach(), dim=-1)
    torch.testing.assert_close(loaded.text_features, expected)


def test_what_train_says_of_the_windows(tower, params, tmp_path):
    train = TrainSection(temporal_agg="max", unit_duration=4, normal_class="ABUSE", n_ctx=16)
    params = Params(data=params.data, extract=params.extract, train=train)
    path = save(tmp_path / "a.pth", script(learner(tower)))
    import_prompts(path, params, ImportOptions(out=tmp_path, windows=tmp_path))
    metadata = described(tmp_path)
    assert (metadata["temporal_agg"], metadata["unit_duration"]) == ("max", 4)
    assert metadata["normal_class"] == "abuse"
    assert metadata["config"]["n_ctx"] == metadata["n_ctx"] == 4


def test_a_backbone_that_there_is_not(tower, params, tmp_path):
    path = save(tmp_path / "a.pth", script(learner(tower)))
    with pytest.raises(ConfigError, match="Unknown backbone 'clop'"):
        import_prompts(path, params, ImportOptions(backbone="clop", out=tmp_path))


def test_the_command(tower, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "data: {root: data}\n"
        f"extract: {{clip: {{model: 'local-dir:{weights}', weights: untrained}}}}\n"
    )
    path = save(tmp_path / "video_feature_coop_best.pth", script(learner(tower)))
    done = CliRunner().invoke(app, [str(path)])
    assert done.exit_code == 0, done.output
    assert "context of 4 vectors, shared; 4 classes: abuse, roadaccidents" in done.output
    assert (
        "clipline evaluate coop --checkpoint data/models/imported/coop_best.safetensors"
        in done.output
    )
