import numpy as np

from pipeline_lib.pictures.probability_lines import choose_series, steps

NAMES = tuple("abcdefgh")


def rows(*winners, classes=8, sure=0.9):
    values = np.full((len(winners), classes), (1 - sure) / (classes - 1))
    values[np.arange(len(winners)), winners] = sure
    return values


def test_annotated_and_normal_come_first_then_the_most_often_predicted():
    found = choose_series(rows(7, 3, 3, 4), NAMES, true_class=1, predicted_class=3, normal=7)
    assert [series.words for series in found] == ["b", "h", "d", "e", "best of 4 others"]
    assert found[2].chosen.tolist() == [False, True, True, False]
    assert not found[-1].chosen.any()


def test_the_rest_is_shown_by_its_most_probable_class():
    values = rows(0, 1, 2, 3, 4, 5, 6)
    found = choose_series(values, NAMES, true_class=0, predicted_class=0, normal=7)
    assert [series.words for series in found][:2] == ["a", "h"]
    assert len(found) == 6
    assert found[-1].words == "best of 3 others"
    assert found[-1].chosen.sum() == 3
    assert found[-1].values.max() == 0.9


def test_one_class_of_the_rest_keeps_its_name():
    found = choose_series(rows(0, classes=3), "abc", true_class=0, predicted_class=0, normal=1)
    assert [series.words for series in found] == ["a", "b", "c"]


def test_six_predicted_classes_without_a_normal_one_have_a_line_each():
    values = rows(*range(6), classes=6)
    for normal in (None, 5):
        found = choose_series(values, "abcdef", true_class=5, predicted_class=5, normal=normal)
        assert [series.words for series in found] == ["f", "a", "b", "c", "d", "e"]
        assert len({(series.colour, series.dashes) for series in found}) == 6


def test_a_normal_video_has_one_line_for_both():
    found = choose_series(rows(0, classes=4), "abcd", true_class=0, predicted_class=1, normal=0)
    assert [series.words for series in found] == ["a", "b", "best of 2 others"]


def test_no_normal_class_and_no_window():
    found = choose_series(np.zeros((0, 4)), "abcd", true_class=2, predicted_class=2, normal=None)
    assert [series.words for series in found] == ["c", "best of 3 others"]
    assert found[1].values.shape == (0,)


def test_lines_are_told_apart_without_colour():
    found = choose_series(rows(1, 2, 3), NAMES, true_class=0, predicted_class=0, normal=4)
    assert len({(series.dashes, series.width) for series in found}) == len(found)


def test_few_values_stay_as_they_are_and_gaps_interrupt_the_line():
    left, right = np.array([0.0, 2.0, 6.0]), np.array([2.0, 4.0, 8.0])
    shape = steps(left, right, np.array([0.1, 0.2, 0.3]), 2.0)
    line = shape.line()
    assert line[:4].tolist() == [[0, 0.1], [2, 0.1], [2, 0.2], [4, 0.2]]
    assert np.isnan(line[4]).all()
    assert line[5:].tolist() == [[6, 0.3], [8, 0.3]]


def test_many_values_share_columns():
    left = np.array([0.0, 0.5, 1.0, 1.5, 6.0, 6.5])
    shape = steps(left, left + 0.5, np.array([0.0, 1.0, 0.5, 0.5, 0.2, 0.4]), 2.0)
    assert shape.left.tolist() == [0.0, 6.0]
    assert shape.right.tolist() == [2.0, 8.0]
    np.testing.assert_allclose(shape.mean, [0.5, 0.3])
    np.testing.assert_allclose(shape.low, [0.0, 0.2])
    np.testing.assert_allclose(shape.high, [1.0, 0.4])
    assert shape.ranges()[0].tolist() == [[0, 0], [0, 1], [2, 1], [2, 0]]
