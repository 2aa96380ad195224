"""Sorting, filtering and writing of table rows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.artifacts import Column
from tui.widgets.table_rows import NARROWEST, TableRows

COLUMNS = (Column("head", "text"), Column("effect", "float", "logits"), Column("n", "int"), Column("kept", "bool"))
ROWS = [
    ("L0H0", 0.5, 3, True),
    ("L0H1", float("nan"), 1, False),
    ("L5H1", -2.25, 20, True),
    ("L9H6", None, 7, False),
    ("L9H9", 0.0, 7, True),
]


@given(st.lists(st.floats(allow_nan=True) | st.none(), max_size=40), st.booleans())
def test_sorting_orders_known_numbers_and_puts_the_others_last(values, reverse):
    model = TableRows((Column("x", "float"),), [(v,) for v in values])
    model.sort(0, reverse)
    assert sorted(model.order) == list(range(len(values)))
    found = [values[i] for i in model.order]
    known = [v for v in found if v is not None and not math.isnan(v)]
    assert found[: len(known)] == known
    assert known == sorted(known, reverse=reverse)


def test_equal_rows_keep_their_order():
    model = TableRows(COLUMNS, ROWS)
    model.sort(2)
    assert [i for i in model.order if ROWS[i][2] == 7] == [3, 4]
    model.sort(2, reverse=True)
    assert [i for i in model.order if ROWS[i][2] == 7] == [3, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("l9", [3, 4]),
        ("", [0, 1, 2, 3, 4]),
        ("effect > 0.1", [0]),
        ("effect<=0", [2, 4]),
        ("n = 7", [3, 4]),
        ("head = L5H1", [2]),
        ("kept = no", [1, 3]),
        ("no such column > 1", []),
        ("NaN", [1]),
    ],
)
def test_filters_find_text_and_conditions(text, expected):
    model = TableRows(COLUMNS, ROWS)
    model.filter(text)
    assert model.order == expected


def test_missing_nan_and_zero_are_written_differently():
    model = TableRows(COLUMNS, ROWS)
    written = [model.text(1, row[1]) for row in ROWS]
    assert len(set(written)) == len(written)
    assert written[1] == "NaN"


def test_numbers_are_right_aligned_under_their_header_with_the_unit_below():
    model = TableRows(COLUMNS, ROWS)
    lines = [model.header(60), model.units(60), *(model.line(i, 60) for i in (0, 2))]
    ends = {lines[0].index("effect") + 6, lines[1].index("(logits)") + 8}
    ends |= {line.index(number) + len(number) for line, number in zip(lines[2:], ("0.500", "-2.250"), strict=True)}
    assert len(ends) == 1


def test_the_sorted_column_carries_an_arrow():
    model = TableRows(COLUMNS, ROWS)
    model.sort(1)
    assert "effect ▲" in model.header(60)
    model.sort(1, reverse=True)
    assert "effect ▼" in model.header(60)
    assert "effect v" in model.header(60, ascii_only=True)


def test_very_small_and_very_large_numbers_are_not_written_as_zero_or_noise():
    model = TableRows((Column("x", "float"),), [(1.0,), (1e-9,), (3e12,)])
    assert model.text(0, 1e-9) == "1.00e-09"
    assert model.text(0, 3e12) == "3.00e+12"


def test_narrow_panes_cut_text_first_and_scroll_columns_after():
    columns = (Column("name", "text"), *(Column(f"number {i}", "float") for i in range(6)))
    model = TableRows(columns, [("a name that is rather long", *(float(i) for i in range(6)))])
    assert model.layout(60)[0] == NARROWEST
    most = model.most_skipped(60)
    assert most > 0
    assert model.columns_in(60, most)[0] == 0
    assert model.columns_in(60, most)[-1] == 6
    assert len(model.line(0, 60, most)) <= 60


def test_two_hundred_thousand_rows_are_sorted_and_filtered_whole():
    rows = [(f"r{i}", float((i * 7919) % 200_000)) for i in range(200_000)]
    model = TableRows((Column("name", "text"), Column("x", "float")), rows)
    model.sort(1)
    assert [rows[i][1] for i in (model.order[0], model.order[-1])] == [0.0, 199_999.0]
    model.filter("x >= 199990")
    assert len(model.order) == 10
