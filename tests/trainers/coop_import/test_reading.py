import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline_lib.errors import WeightsError
from pipeline_lib.trainers.coop_import.foreign_checkpoints import read_foreign
from pipeline_lib.trainers.coop_import.suffix_words import (
    UNKNOWN,
    name_tokens,
    nearest_tokens,
    read_names,
)
from tests.support.text_models import small_tower
from tests.trainers.coop_import.checkpoints import (
    learner,
    save,
    script,
)


def test_prefixes_of_parallel_training(tower, tmp_path):
    tensors = {f"module.{name}": tensor for name, tensor in learner(tower).items()}
    path = save(tmp_path / "a.pth", {"state_dict": tensors})
    assert read_foreign(path).context.shape == (4, 32)
    whole = {f"module.prompt_learner.{n.removeprefix('module.')}": t for n, t in tensors.items()}
    path = save(tmp_path / "b.pth", {"state_dict": {**whole, "image_encoder.w": torch.ones(2)}})
    assert read_foreign(path).suffix.shape == (4, 72, 32)


def test_numbers_that_numpy_1_wrote(tower, tmp_path):
    path = save(tmp_path / "a.pth", script(learner(tower)))
    found = read_foreign(path)
    assert (found.val_loss, found.val_accuracy) == (0.25, 89.5)
    old = tmp_path / "old.pth"
    content = {"state_dict": learner(tower), "val_acc": np.float64(0.5)}
    # The pickle of numpy 1 differs in this name alone; a file without zip takes it as it is.
    torch.save(content, old, _use_new_zipfile_serialization=False)
    changed = old.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert changed != old.read_bytes()
    old.write_bytes(changed)
    assert read_foreign(old).val_accuracy == 0.5


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf"), "0.9", None])
def test_numbers_that_are_none(tower, tmp_path, value):
    path = save(tmp_path / "a.pth", script(learner(tower)) | {"val_acc": value})
    assert read_foreign(path).val_accuracy is None


class Trap:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Evaluated:
    def __reduce__(self):
        return eval, ("1",)


def test_objects_are_refused(tower, tmp_path):
    trap = tmp_path / "sprung"
    path = save(tmp_path / "a.pth", script(learner(tower)) | {"args": Trap(trap)})
    with pytest.raises(WeightsError, match=r"holds posix\.mkdir, which is code and no data"):
        read_foreign(path)
    with pytest.raises(WeightsError, match="holds eval, which is code"):
        read_foreign(save(path, script(learner(tower)) | {"args": Evaluated()}))
    with pytest.raises(WeightsError, match=r"holds pathlib\.PosixPath, which is code"):
        read_foreign(save(path, script(learner(tower)) | {"args": tmp_path}))
    assert not trap.exists()


def test_a_pickle_inside_a_numpy_scalar_is_not_opened(tmp_path):
    class Scalar:
        def __reduce__(self):
            scalar = np.float64(0).__reduce__()[0]
            return scalar, (np.dtype("O"), pickle.dumps(Trap(tmp_path / "sprung")))

    path = save(tmp_path / "a.pth", {"state_dict": {}, "val_acc": Scalar()})
    with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
        read_foreign(path)
    assert not (tmp_path / "sprung").exists()


def test_broken_files(tower, tmp_path):
    with pytest.raises(WeightsError, match=r"No checkpoint .*none\.pth"):
        read_foreign(tmp_path / "none.pth")
    path = save(tmp_path / "a.pth", script(learner(tower)))
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:200], whole[:-200]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
            read_foreign(path)
    save_file({"ctx": torch.ones(2, 2)}, path)
    with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds no dictionary but list"),
        ({}, "no context vectors 'ctx'; it holds nothing"),
        ({"state_dict": {"weight": torch.ones(2)}}, "no context vectors 'ctx'; it holds 'weight'"),
        ({"state_dict": {"ctx": 3}}, "no context vectors"),
        (
            {"state_dict": {"ctx": torch.ones(2, 2), "meta_net.linear1.weight": torch.ones(2)}},
            r"holds 'meta_net\.linear1\.weight' beside its context",
        ),
        ({"state_dict": {"ctx": torch.ones(4)}}, r"2 dimensions or 3, found torch\.float32 \[4\]"),
        ({"state_dict": {"ctx": torch.ones(0, 4)}}, r"found torch\.float32 \[0, 4\]"),
        ({"state_dict": {"ctx": torch.ones(2, 4, dtype=torch.int64)}}, r"found torch\.int64"),
        ({"state_dict": {"ctx": torch.full((2, 4), torch.nan)}}, "'ctx' holds NaN"),
        (
            {"state_dict": {"ctx": torch.ones(2, 4), "token_suffix": torch.ones(4)}},
            "'token_suffix' should be floating-point vectors in 3 dimensions, found",
        ),
        ({"state_dict": {"ctx": torch.ones(2, 4), "token_prefix": 1}}, "found int"),
    ],
)
def test_checkpoints_of_something_else(tmp_path, content, words):
    with pytest.raises(WeightsError, match=words):
        read_foreign(save(tmp_path / "a.pth", content))


def test_names_are_read_back():
    tower = small_tower()
    names = ("Abuse", "x-ray", "C++", "Shoplifting in store", "3 v 3!", "쓰러짐")
    suffix = learner(tower, names, n=5, dtype=torch.float16)["token_suffix"]
    tokens = nearest_tokens(tower, suffix)
    assert torch.equal(tokens, name_tokens(tower, names, 71))
    spelled = ["abuse", "x - ray", "c ++", "shoplifting in store"]
    read = read_names(tower, tokens)
    assert [name.replace(" ", "") for name in read[:5]] == [
        name.lower().replace(" ", "") for name in names[:5]
    ]
    assert read[3] == spelled[3]
    assert read[5] is None  # pieces of characters
    for name, row in zip(read[:5], tokens, strict=False):
        assert torch.equal(name_tokens(tower, [name], 71)[0], row)


def test_rows_of_no_token():
    tower = small_tower()
    rows = tower.embed(torch.tensor([[320, 1000]]))
    rows[0, 1] += 0.01
    assert nearest_tokens(tower, rows).tolist() == [[320, UNKNOWN]]


def test_tokens_that_are_no_prompt():
    tower = small_tower()
    good = name_tokens(tower, ["fall"], 20)[0].tolist()
    ends = good.index(49407)
    assert read_names(tower, torch.tensor([good])) == ["fall"]
    without_end = [token if token != 49407 else 320 for token in good]
    without_period = [good[0], *good[ends:], 0]
    no_name = [*good[1:], 0]
    for row in (without_end, without_period, no_name):
        assert read_names(tower, torch.tensor([row])) == [None]
