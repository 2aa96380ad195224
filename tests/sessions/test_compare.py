"""Comparing two runs: what counts as the same, what does not, and what is said about it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sessions.artifacts import AnyArtifact, Array, Axis, Column, Edge, Graph, Matrix, Node, Table, Text
from sessions.compare import OF_THIS_MACHINE, Tolerance, compare, compare_all


def matrix(values: Array, **more: Any) -> Matrix:
    return Matrix(title="m", values=values, axes=tuple(Axis(f"a{i}") for i in range(values.ndim)), **more)


@pytest.mark.parametrize(
    "kind", ["model", "prompts", "matrix", "table", "series", "points", "graph", "automaton", "program", "text"]
)
def test_every_kind_equals_itself(kinds: dict[str, AnyArtifact], kind: str) -> None:
    comparison = compare(kinds[kind], kinds[kind])
    assert comparison.same
    assert comparison.largest_absolute == comparison.largest_relative == 0


@pytest.mark.parametrize(
    ("kind", "change", "path"),
    [
        ("model", {"sha256": "cd" * 32}, "sha256"),
        ("model", {"config": {"n_layers": 3, "n_heads": 4}}, "config.n_layers"),
        ("prompts", {"rows": ()}, "rows"),
        ("matrix", {"unit": "nats"}, "unit"),
        ("matrix", {"facts": {"ablation": "mean", "n": 100}}, "facts.ablation"),
        ("matrix", {"facts": {"ablation": "zero"}}, "facts.n"),
        ("matrix", {"marks": ()}, "marks"),
        ("table", {"rows": ()}, "rows"),
        ("series", {"x_name": "edges"}, "x_name"),
        ("points", {"xy": np.zeros((2, 2))}, "xy"),
        ("points", {"colour": None}, "colour"),
        ("graph", {"edges": ()}, "edges[embed->L0H1]"),
        ("automaton", {"layout": "layered"}, "layout"),
        ("program", {"source": "pass"}, "source"),
        ("program", {"verdicts": ()}, "verdicts"),
        ("text", {"markdown": "other"}, "markdown"),
        ("text", {"title": "other"}, "title"),
    ],
)
def test_a_changed_field_is_named(kinds: dict[str, AnyArtifact], kind: str, change: dict[str, Any], path: str) -> None:
    other = msgspec.structs.replace(kinds[kind], **change)
    assert path in [d.path for d in compare(kinds[kind], other).differences]


def test_another_kind_is_one_difference(kinds: dict[str, AnyArtifact]) -> None:
    (difference,) = compare(kinds["matrix"], kinds["table"]).differences
    assert str(difference) == "kind: expected matrix, got table"


def test_the_machine_is_not_the_result(kinds: dict[str, AnyArtifact]) -> None:
    model = msgspec.structs.replace(kinds["model"], device="cuda", bytes_free=1, bytes_needed=2)
    assert compare(kinds["model"], model).same
    program = msgspec.structs.replace(kinds["program"], origin=(41, 42))
    assert compare(kinds["program"], program).same
    slow, fast = (matrix(np.zeros(1), facts={"seconds": s, "model": m, "n": 1}) for s, m in [(9.0, "@1"), (0.1, "@7")])
    assert compare(slow, fast).same


def test_how_long_it_took_is_not_the_result_either() -> None:
    def table(milliseconds: float, right: float) -> Table:
        columns = (Column("what", "text"), Column("right", "float"), Column("median", "float", unit="ms"))
        return Table(title="t", columns=columns, rows=(("sparse", right, milliseconds),))

    assert compare(table(5.0, 1.0), table(9.0, 1.0)).same
    assert [d.path for d in compare(table(5.0, 1.0), table(5.0, 0.5)).differences] == ["rows[sparse].right"]
    note = Text(title="cost", markdown="421 days here", facts={OF_THIS_MACHINE: True})
    assert compare(note, msgspec.structs.replace(note, markdown="177 days here")).same
    result = msgspec.structs.replace(note, facts={})
    assert not compare(result, msgspec.structs.replace(result, markdown="177 days here")).same


def test_the_tolerance_is_where_it_is_stated() -> None:
    old = matrix(np.array([2.0, 0.0]))
    # allowed: 1e-5 + 1e-4 * |expected|, so 2.1e-4 at 2 and 1e-5 at 0
    assert compare(old, matrix(np.array([2.0 + 2.0e-4, 0.9e-5]))).same
    beyond = compare(old, matrix(np.array([2.0 + 2.2e-4, 1.1e-5])))
    assert [d.path for d in beyond.differences] == ["values[0] (first of 2 of 2)"]
    assert compare(old, matrix(np.array([2.1, 0.0])), Tolerance(relative=0.1)).same


def test_the_largest_deviation_is_given_even_where_all_agree() -> None:
    comparison = compare(matrix(np.array([[1.0, 2.0]])), matrix(np.array([[1.0, 2.0 + 1e-6]])))
    assert comparison.same
    assert comparison.largest_absolute == pytest.approx(1e-6, rel=1e-6)  # 2 + 1e-6 is rounded at 4e-16
    assert comparison.largest_relative == pytest.approx(5e-7, rel=1e-6)
    assert (comparison.largest_at, comparison.numbers) == ("values[0, 1]", 2)


def test_nan_equals_nan_and_nothing_else() -> None:
    old = matrix(np.array([np.nan, 1.0, np.inf]))
    assert compare(old, matrix(np.array([np.nan, 1.0, np.inf]))).same
    for other in ([0.0, 1.0, np.inf], [np.nan, np.nan, np.inf], [np.nan, 1.0, -np.inf], [np.nan, 1.0, 1e308]):
        assert not compare(old, matrix(np.array(other))).same


def test_whole_numbers_are_exact() -> None:
    big = 2**53
    assert not compare(matrix(np.array([big])), matrix(np.array([big + 1]))).same
    assert not compare(matrix(np.array([True])), matrix(np.array([False]))).same


def test_half_precision_is_given_its_own_tolerance() -> None:
    old = np.array([1.0], dtype=np.float16)
    assert compare(matrix(old), matrix(old + np.float16(2**-10))).same
    assert not compare(matrix(old), matrix(old + np.float16(0.1))).same


def test_an_empty_and_a_scalar_array_are_compared() -> None:
    assert compare(matrix(np.zeros((0, 3))), matrix(np.zeros((0, 3)))).same
    assert not compare(matrix(np.zeros((0, 3))), matrix(np.zeros((0, 2)))).same
    assert compare(matrix(np.array(1.0)), matrix(np.array(2.0))).differences[0].path == "values"


def table(*rows: tuple[Any, ...]) -> Table:
    return Table(title="t", columns=(Column("head", "text"), Column("score", "float")), rows=rows)


def test_near_ties_may_change_places_in_a_table() -> None:
    old = table(("L0H0", 1.0000001), ("L0H1", 1.0))
    assert compare(old, table(("L0H1", 1.0000002), ("L0H0", 1.0))).same
    (wrong,) = compare(old, table(("L0H1", 2.0), ("L0H0", 1.0))).differences
    assert str(wrong) == "rows[L0H1].score: expected 1, got 2"
    assert not compare(old, table(("L0H0", 1.0), ("L9H9", 1.0))).same


def test_a_graph_is_the_same_in_any_order() -> None:
    nodes = (Node("a", "a", 0), Node("b", "b", 1))
    edges = (Edge("a", "b", 1.0), Edge("b", "a", 2.0), Edge("a", "b", 3.0))
    old = Graph(title="g", nodes=nodes, edges=edges)
    assert compare(old, Graph(title="g", nodes=nodes[::-1], edges=(edges[1], edges[0], edges[2]))).same
    (wrong,) = compare(old, Graph(title="g", nodes=nodes, edges=(Edge("a", "b", 1.5), *edges[1:]))).differences
    assert str(wrong) == "edges[a->b].weight: expected 1, got 1.5"


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("mean 3.142 logits", "mean 3.143 logits", True),
        ("mean 3.142 logits", "mean 3.144 logits", False),
        ("1.2e-05 left", "1.3e-05 left", True),
        ("1.2e-05 left", "1.2e-04 left", False),
        ("8 heads", "9 heads", False),
        ("1,000 heads at 0.50", "1,000 heads at 0.51", True),
        ("mean 3.142 logits", "mean 3.142 nats", False),
        ("L5H1 most", "L5H2 most", False),
    ],
)
def test_a_summary_may_round_the_other_way_and_no_more(old: str, new: str, same: bool) -> None:
    values = np.zeros(1)
    assert compare(matrix(values, summary=old), matrix(values, summary=new)).same is same


def test_a_missing_and_a_surplus_artifact_are_named(kinds: dict[str, AnyArtifact]) -> None:
    text, table_ = kinds["text"], kinds["table"]
    first, second = compare_all([text, table_], [text])
    assert first.same
    assert str(second.differences[0]) == "artifact: expected table 'Heads', got nothing"
    assert str(compare_all([], [text])[0].differences[0]) == "artifact: expected nothing, got text 'Reading'"


finite = hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-1e6, 1e6))


@given(finite, st.floats(-1e3, 1e3))
def test_it_agrees_with_numpy_on_what_is_close(values: Array, shift: float) -> None:
    other = values + shift
    tolerance = Tolerance()
    close = np.allclose(other, values, rtol=tolerance.relative, atol=tolerance.absolute)
    comparison = compare(matrix(values), matrix(other))
    assert comparison.same is bool(close)
    assert comparison.largest_absolute == np.abs(other - values).max()


def test_references_in_lists_of_facts_are_numbered_anew() -> None:
    def facts(circuits: list[str], column: str) -> Table:
        return Table(title="t", columns=(), rows=(), facts={"circuits": circuits, "columns": [{"model": column}]})

    assert compare(facts(["@3", "@4"], "@1"), facts(["@7", "@8"], "@2")).same
    assert not compare(facts(["@3"], "@1"), facts(["@7", "@8"], "@1")).same
    assert not compare(facts(["@3"], "@1"), facts(["three"], "@1")).same
