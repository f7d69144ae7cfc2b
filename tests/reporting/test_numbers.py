import pytest

from pipeline_lib.reporting.numbers import byte_words, number_words, signed_words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (0.95555, "0.956"),
        (41.6667, "41.67"),
        (472.619, "472.6"),
        (3831609, "3\u202f831\u202f609"),
        (-0.5, "−0.500"),
        (0.0, "0.000"),
        (1e-5, "1.00e−05"),
        (2.5e7, "2.50e+07"),
    ],
)
def test_numbers_have_about_four_digits(value, words):
    assert number_words(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (0.0, "±0"),
        (0, "±0"),
        (0.25, "+0.250"),
        (-3, "−3"),
        (7.7e-5, "+7.7e−05"),
    ],
)
def test_differences_have_a_sign(value, words):
    assert signed_words(value) == words


@pytest.mark.parametrize(
    ("size", "words"), [(999, "999 B"), (6408, "6.4 kB"), (15343212, "15 MB"), (3e9, "3.0 GB")]
)
def test_sizes(size, words):
    assert byte_words(int(size)) == words
