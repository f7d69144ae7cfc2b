import numpy as np
import pytest

from pipeline_lib.pictures.figures import (
    columns,
    new_figure,
    plain_texts,
    save_png,
    shortened,
    spread,
)


def test_columns_count_east_asian_letters_twice():
    assert columns("abc") == 3
    assert columns("쓰러짐 1") == 8


@pytest.mark.parametrize("name", ["short", "a_name_of_many_letters", "교통사고_뺑소니_교통사고"])
def test_shortened_names_fit_and_keep_both_ends(name):
    short = shortened(name, 12)
    assert columns(short) <= 12
    if columns(name) <= 12:
        assert short == name
    else:
        head, tail = short.split("…")
        assert head
        assert tail
        assert name.startswith(head)
        assert name.endswith(tail)


def test_labels_far_apart_stay_where_they_are():
    np.testing.assert_allclose(spread([0.9, 0.1, 0.5], 0.2, 0.0, 1.0), [0.9, 0.1, 0.5])


def test_labels_at_one_place_stand_apart_around_it():
    np.testing.assert_allclose(spread([0.5, 0.5, 0.5], 0.2, 0.0, 1.0), [0.3, 0.5, 0.7])


def test_labels_stay_inside_and_in_order():
    np.testing.assert_allclose(spread([0.0, 0.0, 1.0, 1.0], 0.1, 0.0, 1.0), [0.0, 0.1, 0.9, 1.0])
    random = np.random.default_rng(0).random(8)
    places = spread(random, 0.1, 0.0, 1.0)
    np.testing.assert_array_equal(np.argsort(places), np.argsort(random))
    assert np.diff(np.sort(places)).min() >= 0.1 - 1e-12
    assert places.min() >= 0
    assert places.max() <= 1 + 1e-12


def test_labels_that_need_more_room_than_there_is_overflow_upwards():
    np.testing.assert_allclose(spread([0.5, 0.5, 0.5], 1.0, 0.0, 1.0), [0.0, 1.0, 2.0])
    assert spread([], 1.0, 0.0, 1.0).shape == (0,)


def test_dollar_signs_are_no_formula(tmp_path):
    figure = new_figure(2, 1)
    with plain_texts():
        figure.text(0.1, 0.5, r"$\nosuchcommand$")
    save_png(figure, tmp_path / "a.png")
    assert b"Software" not in (tmp_path / "a.png").read_bytes()
