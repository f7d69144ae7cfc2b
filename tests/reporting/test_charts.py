import numpy as np
import pandas as pd
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.reporting.charts import BOTTOM, LEFT, RIGHT, TOP, draw
from pipeline_lib.reporting.spec import Chart


def chart(**changes):
    return Chart("Loss", "a.csv", "x", ("y",), **changes)


def table(x, y):
    return pd.DataFrame({"x": x, "y": y}, dtype=float)


def test_values_lie_where_the_axes_say():
    drawn = draw(chart(reach=(0, 1)), table([0, 1, 2], [0, 0.5, 1]))
    middle = ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)
    assert drawn.lines[0].marks == ((LEFT, BOTTOM), middle, (RIGHT, TOP))
    assert (
        drawn.lines[0].path == f"M{LEFT:g} {BOTTOM:g}L{middle[0]:g} {middle[1]:g}L{RIGHT:g} {TOP:g}"
    )
    assert [tick.words for tick in drawn.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert drawn.y_ticks[0].at == BOTTOM


def test_an_undefined_value_interrupts_its_line():
    drawn = draw(chart(), table([0, 1, 2, 3], [1, None, 2, np.inf]))
    assert drawn.lines[0].path.count("M") == 2
    assert drawn.lines[0].last == 2


def test_a_doubling_axis_has_its_places_at_even_distances():
    drawn = draw(chart(doubling=True), table([1, 2, 4], [0, 0, 1]))
    assert [(tick.at, tick.words) for tick in drawn.x_ticks] == [
        (LEFT, "1"), ((LEFT + RIGHT) / 2, "2"), (RIGHT, "4")
    ]  # fmt: skip
    with pytest.raises(DataError, match="'x' holds a value that has no place"):
        draw(chart(doubling=True), table([0, 1], [1, 1]))


def test_data_beyond_the_reach_fits_in():
    drawn = draw(chart(reach=(0, 1)), table([0, 1], [-0.5, 1.2]))
    heights = [y for _, y in drawn.lines[0].marks]
    assert TOP <= min(heights) < max(heights) <= BOTTOM


@pytest.mark.parametrize("y", [[], [None, None]])
def test_nothing_defined_gives_no_line(y):
    assert draw(chart(), table(range(len(y)), y)).lines == ()


def test_one_point_and_equal_points_can_be_drawn():
    for x, y in (([1], [3]), ([1, 2], [3, 3])):
        drawn = draw(chart(), table(x, y))
        assert all(LEFT <= place <= RIGHT for place, _ in drawn.lines[0].marks)


def test_long_tables_are_thinned_and_say_so():
    drawn = draw(chart(), table(range(5000), range(5000)))
    assert len(drawn.table) == 400
    assert drawn.left_out == 4600
    assert drawn.table["x"].iloc[-1] == 4999
