"""Token strips, thumbnails, curves and points as text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.artifacts import Curve, Points, Series
from tui.widgets.code_lines import paired
from tui.widgets.inks import Inks
from tui.widgets.lattice import Lattice, lattice_of
from tui.widgets.plot import SeriesPicture
from tui.widgets.plot_frame import DotCanvas, nice_ticks, tick_text
from tui.widgets.points_picture import PointsPicture
from tui.widgets.token_picture import blocks, lines, row_of, visible

CLEAN = ("<bos>", " The", " war", " lasted", " from", " 17", "32", " to")
CORRUPT = ("<bos>", " The", " war", " lasted", " from", " 17", "01", " to")


def token_text(row, width=100, cursor=0, **inks):
    return ["".join(t for t, _ in line).rstrip() for line in lines(row, width, cursor, Inks(**inks))[0]]


def test_clean_and_corrupt_tokens_stand_under_each_other_with_the_difference_marked():
    shown = token_text(row_of(CLEAN, CORRUPT, {"year": 6, "end": 7}))
    index, clean, corrupt, differ, place = shown
    assert index.split() == [str(i) for i in range(8)]
    for i, (one, other) in enumerate(zip(CLEAN, CORRUPT, strict=True)):
        column = index.index(str(i), 8)
        assert clean[column:].startswith(visible(one))
        assert corrupt[column:].startswith(visible(other))
    assert differ.index("≠") == clean.index("32") == place.index("year")
    assert place.index("end") == clean.index("·to")


def test_a_misaligned_pair_says_so_in_one_sentence():
    shown = token_text(row_of(CLEAN, CORRUPT[:-1]))
    assert shown[0] == "⚠ misaligned: clean has 8 tokens, corrupt 7"
    assert shown[3].split()[-1] == "-"


def test_spaces_and_line_ends_in_tokens_are_visible_and_ascii_on_demand():
    assert visible(" a\n") == "·a⏎"
    assert visible(" a\n", ascii_only=True).isascii()
    assert visible("", ascii_only=True).strip()
    assert all(line.isascii() for line in token_text(row_of(CLEAN, CORRUPT, {"end": 7}), depth="ascii"))


@given(st.integers(20, 120), st.lists(st.text("ab ", min_size=1, max_size=9), min_size=1, max_size=40))
def test_every_token_is_in_one_block_and_blocks_fit(width, tokens):
    row = row_of(tokens)
    made = blocks(row, width)
    assert [i for block in made for i, _, _ in block] == list(range(len(tokens)))
    assert all(column + cell <= width or len(block) == 1 for block in made for _, column, cell in block)
    _, places = lines(row, width, 0, Inks())
    assert len(places) == len(tokens)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 12))
def test_ticks_are_round_and_cover_the_range(low, span, about):
    high = low + span
    ticks = nice_ticks(low, high, about)
    step = ticks[1] - ticks[0]
    slack = step * 1e-6
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert len(ticks) <= about + 3
    mantissa = step / 10 ** np.floor(np.log10(step) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5, 10)) < 1e-3


def test_ticks_have_the_decimals_their_neighbours_need():
    ticks = nice_ticks(0, 1, 4)
    assert [tick_text(t, ticks) for t in ticks] == ["0.0", "0.5", "1.0"]
    ticks = nice_ticks(0, 100, 5)
    assert tick_text(ticks[1], ticks) == "20"


def test_braille_dots_are_those_of_the_standard():
    canvas = DotCanvas(1, 1)
    canvas.dot(0, 0, 0)
    assert canvas.character(0, 0, "*")[0] == "⠁"  # dot 1
    canvas.dot(1, 3, 0)
    assert canvas.character(0, 0, "*")[0] == "⢁"  # dots 1 and 8
    for x in range(2):
        for y in range(4):
            canvas.dot(x, y, 0)
    assert canvas.character(0, 0, "*")[0] == "⣿"
    canvas.dot(99, 99, 0)  # outside: nothing


def series_picture(depth="truecolor", size=(80, 20)):
    x = np.arange(11.0)
    curves = (Curve("rises", x / 10), Curve("falls", 1 - x / 10, low=0.9 - x / 10, high=1.1 - x / 10))
    picture = SeriesPicture()
    picture.inks, picture.size = Inks(depth=depth), size
    picture.series = Series(title="curves", x=x, x_name="step", y_name="accuracy", curves=curves)
    picture.prepare()
    return picture


def text(picture):
    return ["".join(t for t, _ in picture.line(y)) for y in range(picture.size[1])]


def test_a_plot_names_its_curves_and_reads_them_all():
    picture = series_picture()
    shown = text(picture)
    assert shown[0] == "curves (accuracy)"
    assert "a rises" in shown[1]
    assert "b falls" in shown[1]
    assert any(line.endswith(" a") for line in shown)
    assert any(line.endswith(" b") for line in shown)
    picture.cursor = 10
    assert picture.readout() == "step 10:  rises 1  falls 0 (-0.1 to 0.1)"


def test_an_ascii_plot_is_ascii_and_tells_curves_apart_by_glyph():
    shown = text(series_picture("ascii"))
    assert all(line.isascii() for line in shown)
    body = "".join(shown[2:-3])
    assert "*" in body
    assert "+" in body


def test_a_rising_curve_rises_on_the_screen():
    picture = series_picture("ascii")
    rows = [line for line in text(picture)[2:] if "*" in line]
    columns = [line.index("*") for line in rows]
    assert columns == sorted(columns, reverse=True)


@pytest.mark.parametrize("size", [(1, 1), (16, 6), (40, 8), (300, 90)])
def test_plots_and_points_fit_any_pane(size):
    for picture in (series_picture(size=size), points_picture(size=size)):
        assert all(len(line) <= size[0] for line in text(picture))


def test_series_with_gaps_or_nothing_are_no_error():
    picture = series_picture()
    picture.series = Series(title="", x=np.arange(3.0), x_name="x", curves=(Curve("c", np.array([1.0, np.nan, 2.0])),))
    picture.prepare()
    picture.cursor = 1
    assert picture.readout() == "x 1:  c not measured"
    picture.series = Series(title="", x=np.zeros(0), x_name="x", curves=())
    picture.prepare()
    assert text(picture)[0] == "no curves"


def points_picture(depth="truecolor", size=(60, 16)):
    groups = np.repeat([0.0, 1.0, 2.0], 20)
    xy = np.stack([groups, -groups], axis=1) + np.random.default_rng(0).normal(scale=0.02, size=(60, 2))
    picture = PointsPicture()
    picture.inks, picture.size = Inks(depth=depth), size
    picture.points = Points(title="states", xy=xy, colour=groups, axis_names=("h0", "h1"))
    picture.prepare()
    return picture


def test_groups_of_points_are_digits_in_their_places():
    picture = points_picture("ascii")
    body = [line[picture._left + 1 :] for line in text(picture)[1:-3]]
    first = next(i for i, line in enumerate(body) if "0" in line)
    last = next(i for i, line in enumerate(body) if "2" in line)
    assert first < last
    assert body[first].index("0") < body[last].index("2")
    assert "under others" in text(picture)[0]


def test_points_are_read_from_left_to_right():
    picture = points_picture()
    picture.step(-100)
    seen = [picture.cursor]
    for _ in range(100):
        picture.step(1)
        seen.append(picture.cursor)
    xs = [float(picture.points.xy[i, 0]) for i in dict.fromkeys(seen)]
    assert len(xs) == 60
    assert xs == sorted(xs)
    assert picture.readout().startswith(f"point {seen[-1]}")


def test_points_without_a_finite_one_say_so():
    picture = PointsPicture()
    picture.size = (60, 16)
    picture.points = Points(title="", xy=np.full((3, 2), np.nan))
    picture.prepare()
    assert "points" in text(picture)[0] or "plot" in text(picture)[0]


def test_the_lattice_is_drawn_where_its_points_are():
    picture = PointsPicture()
    picture.inks, picture.size = Inks(depth="ascii"), (100, 28)
    lattice = {"origin": [0.0, 0.0], "basis": [[1.0, 0.0], [0.0, 2.0]]}
    xy = np.array([[0.0, 0.0], [4.0, 4.0]])
    points = Points(title="states", xy=xy, facts={"lattice": lattice})
    picture.take(points, lattice_of(points))
    picture.prepare()
    body = [line[picture._left + 1 :] for line in text(picture)[1 : 1 + picture._room[1]]]
    drawn = {(x, y) for y, line in enumerate(body) for x, glyph in enumerate(line) if glyph in "+o"}
    wanted = {picture._cell_of(float(i), float(2 * j)) for i in range(5) for j in range(3)}
    assert drawn == wanted
    assert any("." in line for line in body)  # with lines between so few
    picture.shows_lattice = False
    picture.prepare()
    assert "." not in "".join(line[picture._left + 1 :] for line in text(picture)[1 : 1 + picture._room[1]])


@given(
    st.lists(st.floats(-3, 3), min_size=4, max_size=4).filter(lambda b: abs(b[0] * b[3] - b[1] * b[2]) > 0.3),
    st.lists(st.floats(-5, 5), min_size=2, max_size=2),
)
def test_all_points_of_a_lattice_in_a_box_are_found(basis, origin):
    lattice = Lattice(np.array(origin), np.array(basis).reshape(2, 2))
    box = ((-2.0, -3.0), (4.0, 1.0))
    found = lattice.within(box, (0, 1), most=10_000)
    steps = range(-60, 61)  # far enough: the shortest combination that leads out of the box is longer than 0.05
    every = np.array([[i, j] for i in steps for j in steps]) @ lattice.basis + lattice.origin
    inside = every[((every >= np.array(box[0])) & (every <= np.array(box[1]))).all(axis=1)]
    rounded = {tuple(np.round(p, 6)) for p in found}
    assert {tuple(np.round(p, 6)) for p in inside} <= rounded
    assert all((p >= np.array(box[0]) - 1e-6).all() and (p <= np.array(box[1]) + 1e-6).all() for p in found)


def test_a_lattice_too_fine_to_be_seen_is_not_drawn():
    assert Lattice(np.zeros(2), np.eye(2) * 1e-3).within(((0.0, 0.0), (1.0, 1.0)), (0, 1), most=500) is None
    assert Lattice(np.zeros(2), np.ones((3, 2))).within(((0.0, 0.0), (1.0, 1.0)), (0, 1), most=500) is None


def test_two_versions_stand_beside_each_other_line_by_line():
    old, new = "a\nb\nc\nd", "a\nx\ny\nd"
    pairs = paired(old, new + "\ne")
    words = [tuple("".join(t for t, _ in line.pieces) if line else None for line in pair) for pair in pairs]
    assert words == [("a", "a"), ("b", "x"), ("c", "y"), ("d", "d"), (None, "e")]
    assert [(p.change if p else None, q.change if q else None) for p, q in pairs][1] == ("-", "+")
