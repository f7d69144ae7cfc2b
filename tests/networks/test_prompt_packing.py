import pytest
import torch

from pipeline_lib.networks.prompt_packing import pack


def test_one_row_by_hand():
    packing = pack([4, 3], common=2)
    assert packing.text.tolist() == [[0, 0, 0, 0, 1]]
    assert packing.position.tolist() == [[0, 1, 2, 3, 2]]
    assert packing.read.tolist() == [3, 4]
    assert packing.visible[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_each_row_begins_anew_and_is_filled_up():
    packing = pack([4, 4, 3], common=2, longest_row=6)
    assert packing.text.tolist() == [[0, 0, 0, 0, 1, 1], [2, 2, 2, 2, 2, 2]]
    assert packing.position.tolist() == [[0, 1, 2, 3, 2, 3], [0, 1, 2, 0, 0, 0]]
    assert packing.read.tolist() == [3, 5, 8]
    # A query that sees nothing would make the softmax undefined.
    assert packing.visible.any(dim=-1).all()


@pytest.mark.parametrize("common", [0, 1, 5])
def test_every_text_sees_itself_and_nothing_else(common):
    lengths = [6, 9, 7, 12, 6, 8]
    packing = pack(lengths, common, longest_row=20)
    slots = packing.text.shape[1]
    for text, read in enumerate(packing.read.tolist()):
        row, slot = divmod(read, slots)
        seen = packing.visible[row, 0, slot]
        assert packing.position[row][seen].tolist() == list(range(lengths[text]))
        assert packing.text[row][seen][common:].eq(text).all()


def test_a_text_longer_than_a_row_has_its_own():
    packing = pack([3, 30, 3], common=1, longest_row=10)
    assert packing.text.shape == (3, 30)


def test_the_mask_moves_with_the_rest():
    moved = pack([3, 3], common=1).to(torch.device("meta"))
    assert moved.visible.is_meta
    assert moved.read.is_meta
