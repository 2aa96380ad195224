"""Artifacts as text: numbers that can be read back, legends, what is left out is said, nothing dangerous is printed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.artifacts import (
    AnyArtifact,
    Axis,
    Column,
    Curve,
    Edge,
    Graph,
    Matrix,
    Node,
    Points,
    PromptRow,
    Prompts,
    Series,
    Table,
    Text,
)
from sessions.errors import CallError
from sessions.render import body, duration, heading, number, render, size
from sessions.render.layout import Style, cells, clip
from sessions.render.numbers import column

ALL = ["model", "prompts", "matrix", "table", "series", "points", "graph", "automaton", "program", "text"]


def heads(values: np.ndarray, scale: str = "diverging", **more: object) -> Matrix:
    axes = (Axis("layer"), Axis("head"))
    return Matrix(title="m", values=values, axes=axes, scale=scale, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ALL)
def test_ascii_only_is_ascii_only(kinds: dict[str, AnyArtifact], kind: str) -> None:
    assert render(kinds[kind], ascii_only=True).isascii()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_asked(kinds: dict[str, AnyArtifact], kind: str, width: int) -> None:
    lines = render(kinds[kind], width=width).splitlines()
    assert all(cells(line) <= width for line in lines), max(lines, key=cells)


@pytest.mark.parametrize("kind", ALL)
def test_the_heading_says_title_kind_and_facts(kinds: dict[str, AnyArtifact], kind: str) -> None:
    artifact = kinds[kind]
    text = heading(artifact)
    assert text.startswith(f"{artifact.title} ({artifact.kind})")
    assert all(name in text for name in artifact.facts)


def test_a_small_matrix_is_its_numbers() -> None:
    text = body(heads(np.array([[0.5, -1.25], [np.nan, 3.75]]), marks=((1, 1),)))
    assert [line.rstrip() for line in text.splitlines()] == [
        "layer 2 x head 2",
        "layer\\head      0      1",
        "0           0.50  -1.25",
        "1              -   3.75*",
        "* marked: L1H1",
        "1 of 4 not computed",
    ]


def test_a_wide_matrix_is_shaded_with_signs_and_a_legend() -> None:
    values = np.zeros((2, 40))
    values[1, 3], values[0, 39], values[0, 0] = -8.0, 4.0, np.nan
    lines = body(heads(values), width=100).splitlines()
    assert lines[1].split() == ["0", "10", "20", "30"]
    first, second = lines[2][6:], lines[3][6:]
    assert first.startswith("··")  # two characters for each head
    assert first[2 * 39 :] == "+▒"  # half of the largest: the third of five shades
    assert second[2 * 3 : 2 * 3 + 2] == "-█"
    assert "0.000 [ ░▒▓█] 8.000, sign before it" in lines[4]
    assert lines[5].startswith("largest: L1H3 -8.000 · L0H39 4.000")


def test_a_matrix_beyond_the_screen_is_pooled_by_size_and_says_so() -> None:
    values = np.full((100, 300), 0.5)
    values[57, 111] = 1.0
    text = body(heads(values, scale="sequential"), width=80, max_rows=20)
    assert "each character is the largest (by size) of 5 x 5 entries" in text
    assert "largest: L57H111 1.000" in text
    drawn = text.splitlines()[2 : 2 + 20]
    assert drawn[57 // 5][6 + 111 // 5] == "█"
    assert sum(line.count("█") for line in drawn) == 1


def test_one_slice_of_many_is_shown_and_named() -> None:
    values = np.arange(2 * 3 * 2 * 2, dtype=float).reshape(2, 3, 2, 2)
    artifact = Matrix(
        title="patterns", values=values, axes=(Axis("layer"), Axis("head"), Axis("query", ("a", "b")), Axis("key"))
    )
    text = body(artifact, at=(1, 2))
    assert "shown: layer 1, head 2; the other 5 slices are not" in text
    assert [float(n) for n in re.findall(r"\d+\.\d+", text)] == values[1, 2].ravel().tolist()
    assert "shown: layer 0, head 0" in body(artifact)
    with pytest.raises(CallError, match="there is no slice 2, 0; give layer 0 to 1, head 0 to 2"):
        body(artifact, at=(2, 0))
    with pytest.raises(CallError, match="it has no slices"):
        body(heads(np.zeros((2, 2))), at=(1,))


@pytest.mark.parametrize(
    ("shape", "said"), [((0, 3), "empty, of shape layer 0 x head 3"), ((2, 0), "empty, of shape layer 2 x head 0")]
)
def test_an_empty_matrix_says_so(shape: tuple[int, int], said: str) -> None:
    assert body(heads(np.zeros(shape))) == said


def test_a_matrix_of_one_axis_is_bars_and_of_none_a_number() -> None:
    bars = body(Matrix(title="m", values=np.array([1.0, -2.0, np.nan]), axes=(Axis("layer", ("x", "y", "z")),)))
    lengths = [line.count("█") for line in bars.splitlines()[1:4]]
    assert abs(lengths[1] - 2 * lengths[0]) <= 1  # rounded to whole cells
    assert lengths[2] == 0 < lengths[0]
    assert body(Matrix(title="m", values=np.array(2.5), axes=(), unit="nats")) == "2.500 nats"


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float64])
def test_every_dtype_is_drawn(dtype: type) -> None:
    values = np.ones((3, 200), dtype=dtype)
    assert "L0H0" in body(heads(values))
    assert "1" in body(heads(values[:, :2]))


def test_a_long_table_says_how_much_of_it_is_there() -> None:
    rows = tuple((f"row {i}", float(i)) for i in range(100))
    text = body(
        Table(title="t", columns=(Column("name", "text"), Column("v", "float", unit="nats")), rows=rows), max_rows=5
    )
    assert text.splitlines()[0].split() == ["name", "v", "[nats]"]
    assert text.splitlines()[-1] == "5 of 100 rows"
    assert len(text.splitlines()) == 8


def test_to_fit_headings_are_broken_before_anything_is_cut() -> None:
    columns = tuple(Column(name, "float", unit="logits") for name in ("before", "after", "held out"))
    table = Table(title="t", columns=(Column("verdict", "text"), *columns), rows=(("removed", 10.5, -13.25, 0.5),) * 2)
    wide, narrow = body(table, width=80).splitlines(), body(table, width=40).splitlines()
    assert wide[0].split("  ") == ["verdict", "before [logits]", "after [logits]", "held out [logits]"]
    assert [line.split() for line in narrow[:2]] == [
        ["before", "after", "held", "out"],
        ["verdict", "[logits]", "[logits]", "[logits]"],
    ]
    assert narrow[3].split() == wide[2].split() == ["removed", "10.50", "-13.25", "0.5000"]
    assert "…" in body(table, width=24)


def test_facts_that_say_nothing_are_left_out_and_numbers_in_them_are_short() -> None:
    facts = {"unread": [], "error": None, "fidelity": {"kept": 4, "explained": 0.7585392264626856}, "causal": False}
    assert heading(Text(title="t", markdown="", facts=facts)).splitlines()[1:] == [
        "fidelity kept 4, explained 0.758539 · causal no"
    ]


def test_switches_among_the_facts_are_said_by_those_that_are_on() -> None:
    facts = {"processing": {"fold_ln": True, "center": False}, "none_of": {"a": False}}
    assert heading(Text(title="t", markdown="", facts=facts)).splitlines()[1] == "processing fold_ln · none_of none"


def test_an_empty_table_names_its_columns() -> None:
    assert (
        body(Table(title="t", columns=(Column("a", "text"), Column("b", "int")), rows=())) == "no rows; columns: a, b"
    )


def test_table_cells_of_every_type() -> None:
    columns = (Column("t", "text"), Column("i", "int"), Column("f", "float"), Column("b", "bool"))
    text = body(Table(title="t", columns=columns, rows=(("x", 1234567, 0.5, True), (None, None, None, None))))
    assert text.splitlines()[2].split() == ["x", "1,234,567", "0.5000", "yes"]
    assert text.splitlines()[3].split() == ["-", "-", "-", "-"]


def test_curves_share_a_scale() -> None:
    curves = (
        Curve("low", np.array([0.0, 1.0])),
        Curve("high", np.array([3.5, 8.0])),
        Curve("gap", np.array([np.nan, 8.0])),
    )
    lines = body(Series(title="s", x=np.array([0.0, 10.0]), x_name="step", curves=curves)).splitlines()
    assert [line[5:] for line in lines[:3]] == ["▁▂", "▄█", "·█"]
    assert lines[3] == "step 0 to 10 (2 points); height 0.000 [▁▂▃▄▅▆▇█] 8.000"


def test_a_long_curve_is_averaged_into_the_width() -> None:
    y = np.repeat([0.0, 1.0], 500)
    lines = body(Series(title="s", x=np.arange(1000), x_name="step", curves=(Curve("a", y),)), width=42).splitlines()
    assert lines[0] == "a " + "▁" * 20 + "█" * 20
    assert lines[-1] == "a first 0.000, last 1.000"


def test_points_stand_where_their_coordinates_say() -> None:
    text = body(Points(title="p", xy=np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])))
    lines = text.splitlines()
    assert lines[0].endswith("2")  # top right, two in one place
    assert lines[19] == "│1"  # bottom left
    assert "x 0.000 to 1.000; y 0.000 to 1.000" in text
    labelled = body(Points(title="p", xy=np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]), labels=("u", "v", "w")))
    assert labelled.splitlines()[0].endswith("*")
    assert "a u · b v · c w" in labelled
    assert body(Points(title="p", xy=np.full((2, 2), np.nan))) == "2 points, none with finite coordinates"


def test_a_circuit_lists_layers_and_strong_edges_first(kinds: dict[str, AnyArtifact]) -> None:
    text = body(kinds["graph"])
    assert "4 of 5 nodes and 3 of 4 edges kept; scores: logits" in text
    assert "1  L0H1 1.250  (1 not kept)" in text
    edges = [line.split("  ")[0] for line in text.splitlines() if "→" in line]
    assert edges == ["L0H1 → logits", "embed → L0H1", "L0H1 → mlp0"]


def test_two_circuits_compared_say_who_has_what() -> None:
    nodes = (Node("embed", "embed", 0, side="both"), Node("L0H1", "L0H1", 1, side="first"), Node("L0H2", "L0H2", 1))
    nodes = (*nodes, Node("L1H0", "L1H0", 2, side="second"))
    edges = (Edge("embed", "L0H1", 2.0, side="first"), Edge("embed", "L1H0", 1.0, "q", side="second"))
    facts = {"first": "base: 1 head", "second": "tuned: 1 head"}
    text = body(Graph(title="g", nodes=nodes, edges=(*edges, Edge("embed", "L0H2", side="both")), facts=facts))
    assert "[1] only in base: 1 head; [2] only in tuned: 1 head" in text
    assert "1  L0H1 [1] · L0H2" in text
    assert "2  L1H0 [2]" in text
    rows = [re.split(r"  +", line.strip()) for line in text.splitlines() if "→" in line]
    assert [row[0] for row in rows] == ["embed → L0H1", "embed → L1H0", "embed → L0H2"]
    assert [row[2:] for row in rows] == [["[1]"], ["q [2]"], []]


def test_an_automaton_is_its_transition_table(kinds: dict[str, AnyArtifact]) -> None:
    rows = [re.split(r"  +", line) for line in body(kinds["automaton"]).splitlines()]
    assert ["state", "reads 0", "reads 1"] in rows
    assert [">*even", "even / 0", "odd / 1"] in rows
    assert ["", "odd", "odd / 1", "even / 0"] in rows


def test_a_nondeterministic_automaton_shows_both_ways() -> None:
    edges = (Edge("a", "a", label="0"), Edge("a", "b", label="0"))
    text = body(Graph(title="g", layout="automaton", nodes=(Node("a", "a", 0), Node("b", "b", 1)), edges=edges))
    assert "a, b" in text


def test_a_program_stands_with_its_verdicts(kinds: dict[str, AnyArtifact]) -> None:
    text = body(kinds["program"], width=200)
    assert text.startswith("def parity(bits):\n    h = 0\n")
    assert "holds: agrees with the network on 1,024 of 1,024 sequences" in text
    assert "FAILS: agrees with the target on 9 of 10 sequences" in text
    assert "first difference: [1, 0]" in text


def test_prompts_say_which_rows_cannot_be_used(kinds: dict[str, AnyArtifact]) -> None:
    text = body(kinds["prompts"])
    assert re.search(r"0 +vec A = B \| +vec A = C \| +' B' +' C' +t1", text)
    assert "row 1: ' x' is not one token" in text
    assert "line 3: no column 'clean'" in text


def test_long_prompts_are_stacked_not_cut() -> None:
    row = PromptRow(clean="a " * 60 + "CLEAN", corrupt="a " * 60 + "CORRUPT", answers=(" x",), group="t")
    text = body(Prompts(title="p", task="own", rows=(row, row)), width=80)
    assert text.count("CLEAN") == text.count("CORRUPT") == 2
    assert "answers ' x' · group t" in text
    assert "foils" not in text


@pytest.mark.parametrize("foreign", ["\x1b[2J\x1b]0;owned\x07", "\u202eevil", "a\rb", "\x9b31m"])
def test_no_control_character_of_a_foreign_file_is_printed(foreign: str) -> None:
    artifacts: list[AnyArtifact] = [
        Text(title=foreign, markdown=foreign, facts={foreign: foreign}),
        Table(title="t", columns=(Column(foreign, "text"),), rows=((foreign,),)),
        Graph(title="g", nodes=(Node("a", foreign, 0),), edges=(Edge("a", "a", label=foreign),)),
        heads(np.zeros((1, 1)), unit=foreign),
        Series(title="s", x=np.zeros(1), x_name=foreign, curves=(Curve(foreign, np.zeros(1)),)),
    ]
    for artifact in artifacts:
        text = render(artifact)
        assert all(c.isprintable() or c in "\n\t" for c in text), ascii(text)


@given(st.lists(st.one_of(st.none(), st.floats(width=32)), min_size=1, max_size=6), st.integers(2, 6))
def test_a_number_is_read_back_to_its_digits(values: list[float | None], digits: int) -> None:
    finite = [abs(v) for v in values if v is not None and np.isfinite(v)]
    largest = max(finite, default=0.0)
    for value, text in zip(values, column(values, digits)):
        if value is None or np.isnan(value):
            assert text == "-"
        elif np.isinf(value):
            assert text == ("inf" if value > 0 else "-inf")
        else:  # within a unit of the last digit that the column's largest number shows
            assert abs(float(text.replace(",", "")) - value) <= largest * 10.0 ** (1 - digits)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (-0.0, "0.000"),
        (1234.5, "1,234"),
        (0.00012, "1.200e-04"),
        (3, "3"),
        (1e9, "1.000e+09"),
        (None, "-"),
    ],
)
def test_one_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_sizes_and_durations() -> None:
    assert [size(n) for n in (0, 1023, 1024, 5 * 2**20, 3 * 2**40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 MiB",
        "3072.0 GiB",
    ]
    assert [duration(s) for s in (0.123, 9.94, 59, 60, 3599, 4200)] == [
        "0.12 s", "9.9 s", "59 s", "1 min 00 s", "59 min 59 s", "1 h 10 min",
    ]  # fmt: skip


@given(st.text(max_size=30), st.integers(1, 20), st.booleans())
def test_clipped_text_fits(text: str, width: int, ascii_only: bool) -> None:
    assert cells(clip(text, width, Style(ascii_only=ascii_only))) <= width
