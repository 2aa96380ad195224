"""What a heatmap looks like as text."""

import numpy as np
import pytest

from sessions.artifacts import Axis
from tui.widgets.heatmap_picture import HeatmapPicture, Matrix2d
from tui.widgets.inks import Inks

LAYERS = Axis("layer", ("L0", "L1", "L2"))
HEADS = Axis("head", ("H0", "H1", "H2", "H3"))
VALUES = np.array([[0.0, -1.0, 2.0, 0.5], [np.nan, 0.25, -2.0, 1.0], [0.1, 0.2, 0.3, 0.4]])


def picture(values=VALUES, rows=LAYERS, columns=HEADS, size=(60, 14), depth="truecolor", **more):
    made = HeatmapPicture()
    made.inks = Inks(depth=depth)
    made.size = size
    made.show(Matrix2d(values, rows, columns, **{"scale": "diverging", **more}))
    return made


def text(made):
    return ["".join(piece for piece, _ in made.line(y)) for y in range(made.size[1])]


def backgrounds(made, y):
    """The background of every column of a line."""
    out = []
    for piece, style in made.line(y):
        out += [style.bgcolor.triplet if style.bgcolor else None] * len(piece)
    return out


def test_numbers_labels_readout_and_legend_stand_in_their_places():
    shown = text(picture(unit="logits", title="sweep"))
    assert shown[0] == "sweep · 11 of 12 computed"
    assert shown[1].split() == ["H0", "H1", "H2", "H3"]
    assert shown[3].startswith("L0▸[ 0.00]")
    assert "-1.00" in shown[3]
    assert shown[6] == "layer 0 · head 0 = 0 logits"
    assert shown[7].startswith("-2 ")
    assert "2 logits, 0 in the middle, own range" in shown[7]


def test_nan_has_a_glyph_of_its_own_and_no_colour():
    made = picture()
    made.move(2, 3)
    assert "·" in text(made)[4]
    column = text(made)[4].index("·")
    assert backgrounds(made, 4)[column] is None
    made.move(1, 0)
    assert made.readout().endswith("= not computed")


def test_nan_differs_from_zero_in_ascii():
    lines = text(picture(np.array([[0.0, np.nan]]), Axis("row"), Axis("column"), depth="ascii"))
    assert "?" in lines[3]
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("depth", ["none", "ascii"])
def test_without_colour_the_sign_is_written(depth):
    made = picture(np.array([[-2.0, 2.0, 0.0]]), Axis("row"), Axis("column"), depth=depth)
    made.wanted = "4"
    made.prepare()
    made.move(0, 2)
    line = text(made)[3]
    assert line.index("-") < line.index("+")
    assert line[line.index("-") - 1] == line[line.index("+") - 1] != " "


def test_equal_and_opposite_numbers_have_different_colours():
    made = picture(np.array([[-1.0, 1.0, 0.0]]), Axis("row"), Axis("column"))
    line = backgrounds(made, 3)
    left = made.layout.left
    cell = made.layout.cell
    assert len({line[left], line[left + cell], line[left + 2 * cell]}) == 3


def test_half_blocks_show_both_rows_of_a_line():
    values = np.array([[0.0], [1.0], [0.5], [0.5]])
    made = picture(values, Axis("row"), Axis("column"), scale="sequential")
    made.wanted = "half"
    made.prepare()
    made.cursor = (3, 0)
    piece, style = made.line(made.layout.top)[-1]
    assert piece == "▀"
    assert style.color.triplet != style.bgcolor.triplet


def test_the_cursors_labels_are_shown_even_where_others_have_no_room():
    tokens = tuple(f"token{i}" for i in range(20))
    made = picture(np.eye(20), Axis("query", tokens), Axis("key", tokens), size=(60, 26), scale="sequential")
    assert made.layout.cell == 2
    for column in range(20):
        made.move(4, column)
        assert f"token{column}" in text(made)[1]
        assert text(made)[1].replace("token", "").split() == sorted(text(made)[1].replace("token", "").split(), key=int)
        assert text(made)[7].lstrip().startswith("token4▸")


def test_what_a_step_repaints_is_all_that_it_changed():
    tokens = tuple(f"word{i}" for i in range(20))
    made = picture(np.eye(20), Axis("query", tokens), Axis("key", tokens), size=(60, 26), scale="sequential")
    rng = np.random.default_rng(0)
    for _ in range(60):
        before = [made.line(y) for y in range(26)]
        touched = made.move(*(int(v) for v in rng.integers(0, 20, 2)))
        after = [made.line(y) for y in range(26)]
        inside = {(x, top) for left, top, width, _ in touched for x in range(left, left + width)}
        for y, (one, other) in enumerate(zip(before, after, strict=True)):
            changed = {x for x, (old, new) in enumerate(zip(cells(one), cells(other), strict=True)) if old != new}
            assert changed <= {x for x, line in inside if line == y}


def cells(pieces, width=60):
    out = [
        (character, "" if character == " " and style.bgcolor is None else str(style))
        for text, style in pieces
        for character in text
    ]
    return out + [(" ", "")] * (width - len(out))


def test_marks_are_characters_not_only_colours():
    made = picture(marks=frozenset({(2, 1)}))
    assert "•" in text(made)[5]
    made.move(2, 1)
    assert made.readout().endswith("marked")


def test_pooling_is_said_in_the_title_and_keeps_the_strongest():
    values = np.zeros((300, 300))
    values[123, 45] = -9.0
    made = picture(values, Axis("query"), Axis("key"), size=(80, 24))
    assert "pooled" in made.heading()
    assert "max |x|" in made.heading()
    row, column = 123 // made.layout.row_factor, 45 // made.layout.column_factor
    assert made.pooled[row, column] == -9.0
    assert made.strongest_in(row, column) == (123, 45)


def test_a_step_over_a_pooled_matrix_moves_one_drawn_cell():
    made = picture(np.random.default_rng(0).random((300, 300)), Axis("q"), Axis("k"), size=(80, 24), scale="sequential")
    before = made._pooled_cell(*made.cursor)
    made.move(*made.step(1, 2))
    after = made._pooled_cell(*made.cursor)
    assert (after[0] - before[0], after[1] - before[1]) == (1, 2)


def test_a_cursor_step_touches_two_cells_their_ticks_and_the_readout():
    made = picture()
    touched = made.move(1, 2)
    area = sum(width * height for _, _, width, height in touched)
    assert area < 120
    lines = [y for _, y, _, _ in touched]
    assert set(lines) == {1, 2, 3, 4, 6}  # labels, tick, the two rows, readout


def test_the_cursor_stops_at_the_edges():
    made = picture()
    assert made.move(*made.step(-1, -1)) == []
    made.move(99, 99)
    assert made.cursor == (2, 3)


def test_a_view_that_cannot_show_everything_scrolls_with_the_cursor():
    made = picture(np.arange(60.0).reshape(2, 30), Axis("layer"), Axis("head"), size=(40, 12), scale="sequential")
    made.wanted = "4"
    made.prepare()
    assert "shown: head 0-" in made.heading()
    assert made.move(0, 29) is None
    assert any("29" in line for line in text(made)[1:2])
    assert made.heading().endswith("-29")


def test_a_partial_result_repaints_only_what_came():
    made = picture(np.full((20, 20), np.nan), Axis("layer"), Axis("head"), size=(60, 40), given_limits=(-1, 1))
    values = np.full((20, 20), np.nan)
    values[0, :4] = 0.5
    changed = made.show(Matrix2d(values, Axis("layer"), Axis("head"), scale="diverging", given_limits=(-1, 1)))
    assert changed is not None
    assert len(changed) == 5 or changed[0][2] * len(changed) < 60


def test_new_limits_repaint_everything():
    made = picture()
    assert made.show(Matrix2d(VALUES * 3, LAYERS, HEADS, scale="diverging")) is None


def test_the_cursor_stays_when_a_new_matrix_of_the_same_shape_comes():
    made = picture()
    made.move(2, 2)
    made.show(Matrix2d(VALUES + 1, LAYERS, HEADS))
    assert made.cursor == (2, 2)
    made.show(Matrix2d(VALUES[:2, :2], LAYERS, HEADS))
    assert made.cursor == (1, 1)


def test_the_mouse_finds_the_entry_that_is_drawn_there():
    made = picture()
    x, y = made.layout.left + 2 * made.layout.cell + 1, made.layout.top + 1
    assert made.index_at(x, y) == (1, 2)
    assert made.index_at(0, 0) is None


@pytest.mark.parametrize("size", [(1, 1), (4, 2), (10, 3), (20, 5), (60, 16), (300, 90)])
@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none", "ascii"])
def test_any_pane_size_is_drawn_within_its_bounds(size, depth):
    for values in (VALUES, np.zeros((0, 0)), np.full((50, 70), np.nan)):
        made = picture(values, Axis("layer"), Axis("head"), size=size, depth=depth)
        for line in text(made):
            assert len(line) <= max(size[0], 0) or made.layout is None


def test_a_few_columns_are_as_wide_as_their_names_where_there_is_room():
    names = Axis("model", ("base", "base, fine-tuned"))
    for width, seen in ((100, True), (30, False)):
        picture = HeatmapPicture()
        picture.size = (width, 12)
        picture.show(Matrix2d(np.array([[0.1, 0.9], [0.4, 0.2]]), Axis("circuit", ("one", "two")), names))
        drawn = ["".join(text for text, _ in picture.line(y)) for y in range(12)]
        assert any("base, fine-tuned" in line for line in drawn[:4]) is seen
        assert any("0.90" in line for line in drawn)


def test_where_there_is_no_edge_the_readout_says_so():
    picture = HeatmapPicture()
    picture.size = (60, 12)
    axes = Axis("target", ("mlp0",)), Axis("source", ("embed", "mlp1"))
    picture.show(Matrix2d(np.array([[0.5, np.nan]]), *axes, known="are edges", unknown="no edge"))
    picture.move(0, 1)
    assert picture.readout() == "target 0 'mlp0' · source 1 'mlp1' = no edge"
    assert "1 of 2 are edges" in picture.heading()
