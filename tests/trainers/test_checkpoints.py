import pytest
import torch
from safetensors.torch import save_file

from pipeline_lib.errors import WeightsError
from pipeline_lib.trainers.checkpoints import read_checkpoint, require_tensors, write_checkpoint

METADATA = {"class_names": ["normal", "쓰러짐"], "epoch": 3, "val": {"accuracy": None}}


def test_tensors_and_description_come_back(tmp_path):
    path = tmp_path / "a" / "x.safetensors"
    ctx = torch.randn(3, 4)
    write_checkpoint(path, {"ctx": ctx.T}, METADATA)
    tensors, metadata = read_checkpoint(path)
    assert torch.equal(tensors["ctx"], ctx.T)
    assert metadata == METADATA


def test_the_same_content_gives_the_same_bytes(tmp_path):
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    a, b = torch.ones(2), torch.zeros(3)
    write_checkpoint(first, {"a": a, "b": b}, METADATA)
    write_checkpoint(second, {"b": b, "a": a}, dict(reversed(METADATA.items())))
    assert first.read_bytes() == second.read_bytes()


def test_nan_never_enters_a_description(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_checkpoint(tmp_path / "x.safetensors", {}, {"val": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match=r"No checkpoint .*x\.safetensors"):
        read_checkpoint(tmp_path / "x.safetensors")


def test_a_damaged_file(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"garbage")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        read_checkpoint(path)


def test_a_file_of_another_program(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"ctx": torch.ones(2)}, path)
    with pytest.raises(WeightsError, match="no checkpoint of this pipeline"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("description", "message"), [("{oops", "metadata is damaged"), ("[]", "is no description")]
)
def test_a_damaged_description(tmp_path, description, message):
    path = tmp_path / "x.safetensors"
    save_file({"ctx": torch.ones(2)}, path, metadata={"clipline": description})
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "'ctx' should be any x 4, not missing"),
        ({"ctx": torch.ones(4)}, "'ctx' should be any x 4, not 4"),
        ({"ctx": torch.ones(3, 5)}, "'ctx' should be any x 4, not 3 x 5"),
        ({"ctx": torch.full((3, 4), torch.nan)}, "'ctx' holds NaN"),
    ],
)
def test_tensors_that_cannot_be_used(tmp_path, tensors, message):
    with pytest.raises(WeightsError, match=message):
        require_tensors(tmp_path / "x.safetensors", tensors, {"ctx": (None, 4)})


def test_tensors_that_fit(tmp_path):
    tensors = {"ctx": torch.ones(3, 4), "other": torch.ones(1)}
    require_tensors(tmp_path / "x.safetensors", tensors, {"ctx": (None, 4)})
