"""Scaling, quantising, pooling and the choice of cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tui.widgets.heatmap_layout import MISSING, Limits, limits_of, plan, pooled, quantised

matrices = arrays(
    np.float64,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.floats(-1e6, 1e6) | st.just(float("nan")),
)


def layout(shape, size, **more):
    options = {"row_label": 3, "number_width": 5, "depth": "truecolor", "scale": "sequential", **more}
    return plan(shape, size, **options)


@given(matrices, st.integers(2, 32))
def test_levels_are_in_range_and_nan_alone_is_missing(values, levels):
    out = quantised(values, limits_of(values, "sequential"), levels)
    assert ((out == MISSING) == np.isnan(values)).all()
    known = out[out != MISSING]
    assert ((known >= 0) & (known < levels)).all()


@given(matrices)
def test_a_larger_number_never_has_a_lower_level(values):
    out = quantised(values, limits_of(values, "sequential"), 24)
    known = ~np.isnan(values)
    order = np.argsort(values[known], kind="stable")
    assert (np.diff(out[known][order]) >= 0).all()


@given(matrices)
def test_zero_is_the_middle_level_of_a_diverging_scale(values):
    limits = limits_of(values, "diverging")
    assert limits.low == -limits.high
    assert quantised(np.zeros((1, 1)), limits, 25)[0, 0] == 12


def test_infinities_sit_at_the_ends_and_do_not_stretch_the_scale():
    values = np.array([[0.0, 1.0, np.inf, -np.inf]])
    limits = limits_of(values, "sequential")
    assert (limits.low, limits.high) == (0.0, 1.0)
    assert quantised(values, limits, 11).tolist() == [[0, 10, 10, 0]]


def test_a_matrix_of_one_value_or_of_none_has_limits():
    assert limits_of(np.full((2, 2), 3.0), "sequential").high > 3.0
    assert limits_of(np.full((2, 2), np.nan), "diverging") == Limits(-1.0, 1.0)


def test_limits_that_were_given_say_so():
    assert limits_of(np.zeros((2, 2)), "sequential", (0, 1)).fixed
    assert not limits_of(np.zeros((2, 2)), "sequential").fixed


@given(matrices, st.integers(1, 4), st.integers(1, 4))
def test_pooling_keeps_the_number_of_largest_magnitude_of_each_block(values, high, wide):
    out = pooled(values, high, wide)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            block = values[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            known = block[~np.isnan(block)]
            if known.size == 0:
                assert np.isnan(out[row, column])
            else:
                assert abs(out[row, column]) == np.abs(known).max()
                assert out[row, column] in known


def test_numbers_are_written_where_there_is_room():
    assert layout((12, 12), (148, 40)).numbers


def test_cells_narrow_before_anything_is_pooled():
    wide = [layout((12, 24), (width, 30)) for width in (200, 110, 60, 30)]
    assert [x.cell for x in wide] == [7, 4, 2, 1]
    assert not any(x.is_pooled for x in wide)


def test_two_rows_share_a_line_when_lines_are_few():
    tight = layout((30, 30), (80, 22))
    assert tight.half
    assert tight.rows_visible >= 30
    assert not tight.is_pooled


def test_what_does_not_fit_is_pooled_and_then_fits():
    big = layout((300, 300), (80, 24))
    assert big.is_pooled
    assert -(-300 // big.row_factor) <= big.rows_visible
    assert -(-300 // big.column_factor) <= big.columns


@pytest.mark.parametrize("depth", ["16", "none", "ascii"])
def test_half_blocks_need_colours(depth):
    assert not layout((30, 30), (80, 22), depth=depth).half
    assert not layout((30, 30), (80, 22), depth=depth, wanted="half").half


def test_signed_shades_keep_room_for_their_sign():
    assert layout((10, 70), (80, 24), depth="ascii", scale="diverging").cell >= 2


def test_a_width_that_was_asked_for_is_kept_and_scrolls():
    kept = layout((144, 144), (80, 24), wanted="4")
    assert kept.cell == 4
    assert not kept.is_pooled
    assert kept.columns < 144


def test_zoom_halves_the_pooling():
    coarse, fine = layout((300, 300), (80, 24)), layout((300, 300), (80, 24), zoom=1)
    assert fine.row_factor == -(-coarse.row_factor // 2)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(4, 300), st.integers(2, 90))
def test_any_matrix_has_a_layout_in_any_pane(rows, columns, width, height):
    made = layout((rows, columns), (width, height))
    assert made.lines >= 1
    assert made.columns >= 1
    assert made.top + made.lines + 1 + int(made.legend) <= max(height, 2 + made.top)


def test_a_few_columns_leave_room_to_long_names_and_many_do_not():
    made = {"number_width": 4, "depth": "truecolor", "scale": "sequential"}
    assert plan((3, 2), (100, 20), row_label=29, **made).label_width == 29
    assert plan((3, 2), (80, 20), row_label=29, **made).label_width == 26  # a third of the width at most
    assert plan((14, 16), (100, 20), row_label=29, **made).label_width == 14
