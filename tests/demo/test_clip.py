"""The committed demo CLIP, and that its metrics notice the bugs that pipelines have."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.demo.clip_metrics import class_accuracy, kind_accuracies
from pipeline_lib.demo.clip_model import IMAGE_SIZE, MODEL_CFG, PREPROCESS_CFG
from pipeline_lib.demo.stills import KINDS, StillMaker
from pipeline_lib.demo.vocabulary import CLASSES, COLOURS, EVENT_CLASSES, SHAPES
from pipeline_lib.runtime.torchvision_ops import import_open_clip

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "data/weights/demo_clip"
ASKED = [kind for kind in KINDS for _ in range(5)]


def load(weights=None):
    config = ClipConfig(model=f"local-dir:{FOLDER}", weights=weights)
    return load_clip(config, Placement())


@pytest.fixture(scope="module")
def backbone():
    return load()


@pytest.fixture(scope="module")
def stills():
    maker = StillMaker.of(np.random.default_rng(11), IMAGE_SIZE)
    return np.stack([maker.still(kind) for kind in ASKED])


@pytest.fixture(scope="module")
def right(backbone, stills):
    return kind_accuracies(backbone, stills, ASKED)


def test_it_is_small_enough_for_git():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000


def test_open_clip_loads_it_by_itself():
    name = f"local-dir:{FOLDER}"
    model, preprocess = import_open_clip().create_model_from_pretrained(name)
    assert model.visual.image_size == IMAGE_SIZE
    assert preprocess.transforms[0].size == IMAGE_SIZE
    assert import_open_clip().get_tokenizer(name)(["a red circle"]).shape == (1, 77)


def test_its_folder_is_the_architecture_of_the_code():
    config = json.loads((FOLDER / "open_clip_config.json").read_text())
    assert config == {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}


def test_it_tells_colours_and_shapes(right):
    assert right["colour"] >= 0.97
    assert right["shape"] >= 0.90
    assert right["exact"] >= 0.88


def test_it_knows_the_class_names_only_partly(backbone):
    maker = StillMaker.of(np.random.default_rng(12), IMAGE_SIZE)
    classes = [name for name in CLASSES for _ in range(20)]
    images = [maker.still(EVENT_CLASSES.get(name)) for name in classes]
    assert 1.5 / len(CLASSES) < class_accuracy(backbone, images, classes) < 0.7


def test_untrained_weights_know_nothing(stills):
    accuracy = kind_accuracies(load("untrained"), stills, ASKED)
    assert accuracy["colour"] < 2 / len(COLOURS)
    assert accuracy["shape"] < 2 / len(SHAPES)
    assert accuracy["exact"] < 4 / len(KINDS)


def test_bug_swapped_colour_channels_cost_the_colour(backbone, stills, right):
    swapped = kind_accuracies(backbone, np.ascontiguousarray(stills[..., ::-1]), ASKED)
    assert swapped["colour"] < 0.65 * right["colour"]
    assert swapped["shape"] > 0.75 * right["shape"]


def test_bug_scaling_twice_costs_everything(backbone, stills):
    dark = kind_accuracies(backbone, (stills / 255).astype(np.uint8), ASKED)
    assert dark["colour"] < 2 / len(COLOURS)
    assert dark["shape"] < 2 / len(SHAPES)


def test_bug_swapped_height_and_width_cost_some_shapes(backbone, stills, right):
    turned = kind_accuracies(backbone, np.ascontiguousarray(stills.swapaxes(1, 2)), ASKED)
    assert turned["colour"] > right["colour"] - 0.05
    assert turned["shape"] < right["shape"] - 0.1


def test_a_mirror_changes_nothing(backbone, stills, right):
    mirrored = kind_accuracies(backbone, np.ascontiguousarray(stills[:, :, ::-1]), ASKED)
    assert mirrored["colour"] == pytest.approx(right["colour"], abs=0.02)
    assert mirrored["shape"] == pytest.approx(right["shape"], abs=0.06)


def test_bug_shuffled_captions_leave_chance(backbone, stills):
    shuffled = [ASKED[k] for k in np.random.default_rng(0).permutation(len(ASKED))]
    accuracy = kind_accuracies(backbone, stills, shuffled)
    assert accuracy["colour"] == pytest.approx(1 / len(COLOURS), abs=0.06)
    assert accuracy["shape"] == pytest.approx(1 / len(SHAPES), abs=0.06)
    assert accuracy["exact"] < 0.05


def test_the_metrics_file_stands_beside_its_controls():
    metrics = json.loads((ROOT / "metrics/demo_clip.json").read_text())
    assert set(metrics) == {"colour", "shape", "exact", "class_name"}
    for values in metrics.values():
        assert set(values["control"]) == {"chance", "random_init"}
        for control in values["control"].values():
            assert values["accuracy"] > control["accuracy"] + 0.2
