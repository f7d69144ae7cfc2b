import pytest
import torch

from pipeline_lib.networks.nearest_words import nearest_words
from tests.support.text_models import small_tower, tokenizer


@pytest.fixture(scope="module")
def tower():
    return small_tower()


def words_of(tower, text):
    return tower.embed(torch.tensor([tokenizer().encode(text)]))[0]


def test_a_token_is_its_own_nearest_word(tower):
    table = nearest_words(tower, words_of(tower, "a red lamp"), words=3)
    assert len(table) == 9
    first = table[table["rank"] == 1]
    assert first["word"].tolist() == ["a", "red", "lamp"]
    assert first["position"].tolist() == [1, 2, 3]
    assert first["distance"].max() < 1e-2
    assert set(table["class_index"]) == {-1}
    assert (table.groupby("position")["distance"].diff().dropna() >= 0).all()


def test_class_specific_contexts_keep_their_class(tower):
    context = torch.stack([words_of(tower, "red lamp"), words_of(tower, "green door")])
    table = nearest_words(tower, context, words=1)
    assert table["class_index"].tolist() == [0, 0, 1, 1]
    assert table["word"].tolist() == ["red", "lamp", "green", "door"]


def test_the_distance_is_euclidean(tower):
    vector = words_of(tower, "lamp") + 0.01
    found = nearest_words(tower, vector, words=1)
    assert found["word"].item() == "lamp"
    assert found["distance"].item() == pytest.approx(0.01 * 64**0.5, rel=0.05)
