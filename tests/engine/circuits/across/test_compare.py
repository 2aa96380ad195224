"""Circuits side by side: every count against Python's own sets, and the graph against both circuits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.circuits.across.compare_operations import Compare, compare
from engine.circuits.across.overlap import edge_keys, overlap, parts_of
from sessions.artifacts import Edge, Graph, Node
from sessions.codec import decode, encode
from sessions.components import Head
from sessions.errors import CallError

from .conftest import Shelf, of_edges, of_heads

ALL = [Head(layer, head) for layer in range(3) for head in range(4)]


def drawn(seed: int) -> set[Head]:
    numbers = np.random.default_rng(seed)
    return {ALL[i] for i in numbers.choice(12, numbers.integers(2, 9), replace=False)}


def side_by_side(shelf: Shelf, *graphs: Graph) -> list[Any]:
    refs = []
    for number, graph in enumerate(graphs, 5):
        shelf.inputs[f"@{number}"] = graph
        refs.append(f"@{number}")
    return list(compare(Compare(circuits=tuple(refs)), shelf))


def counted(table: Any) -> dict[str, dict[str, Any]]:
    """The rows of the first pair by what they count."""
    names = [column.name for column in table.columns]
    first = table.rows[0][:2]
    return {row[2]: dict(zip(names, row)) for row in table.rows if row[:2] == first}


@pytest.mark.parametrize("seed", range(8))
def test_heads_are_counted_as_sets_are(shelf: Shelf, seed: int) -> None:
    a, b = drawn(seed), drawn(seed + 100)
    table, _ = side_by_side(shelf, of_heads(*a, mlps=(0, 1)), of_heads(*b, mlps=(1, 2)))
    rows = counted(table)
    for what, x, y, of in (
        ("heads", a, b, 12),
        ("MLPs", {0, 1}, {1, 2}, 3),
        ("heads and MLPs", a | {0, 1}, b | {1, 2}, 15),
        *((f"heads of L{n}", {h for h in a if h.layer == n}, {h for h in b if h.layer == n}, 4) for n in range(3)),
    ):
        if not x | y:
            assert what not in rows
            continue
        row = rows[what]
        assert (row["both"], row["either"]) == (len(x & y), len(x | y))
        assert (row["in first"], row["in second"]) == (len(x), len(y))
        assert (row["only first"], row["only second"]) == (len(x - y), len(y - x))
        assert row["Jaccard"] == pytest.approx(len(x & y) / len(x | y))
        assert row["precision"] == (pytest.approx(len(x & y) / len(x)) if x else None)
        assert row["recall"] == (pytest.approx(len(x & y) / len(y)) if y else None)
        assert row["by chance"] == pytest.approx(len(x) * len(y) / of)


def test_what_two_random_sets_share_on_average() -> None:
    numbers = np.random.default_rng(0)
    shared = [
        len(set(numbers.choice(30, 9, replace=False)) & set(numbers.choice(30, 14, replace=False))) for _ in range(4000)
    ]
    spread = float(np.std(shared)) / np.sqrt(len(shared))
    assert abs(float(np.mean(shared)) - overlap(set(range(9)), set(range(14)), 30).by_chance) < 4 * spread  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(4))
def test_every_node_says_which_circuit_has_it(shelf: Shelf, seed: int) -> None:
    a, b = drawn(seed), drawn(seed + 100)
    _, graph = side_by_side(shelf, of_heads(*a), of_heads(*b, mlps=(0,)))
    sides = {node.component: node.side for node in graph.nodes}
    for head in ALL:
        wanted = {(True, True): "both", (True, False): "first", (False, True): "second", (False, False): None}
        assert sides[head] == wanted[head in a, head in b]
    assert [node.kept for node in graph.nodes] == [node.side is not None for node in graph.nodes]
    assert {node.id: node.side for node in graph.nodes if not node.id.startswith("L")} == {
        "embed": "both", "mlp0": "both", "mlp1": "first", "mlp2": "first", "logits": "both",
    }  # fmt: skip
    assert [node.layer for node in graph.nodes] == sorted(node.layer for node in graph.nodes)
    assert encode(decode(encode(graph))) == encode(graph)


def test_edges_among_nodes_belong_to_whoever_has_both_ends(shelf: Shelf) -> None:
    a, b = of_heads(Head(0, 0), Head(1, 0)), of_heads(Head(0, 0), Head(2, 0))
    own = (Edge("L0H0", "L1H0", 0.5), Edge("L0H0", "logits", 0.2), Edge("L1H0", "logits", 0.1, kept=False))
    theirs = (Edge("L0H0", "L2H0", -0.4), Edge("L0H0", "logits", 0.9))
    _, graph = side_by_side(shelf, with_edges(a, *own), with_edges(b, *theirs))
    assert {(e.source, e.target): (e.side, e.weight, e.input) for e in graph.edges} == {
        ("L0H0", "L1H0"): ("first", 0.5, None),
        ("L0H0", "logits"): ("both", 0.2, None),
        ("L0H0", "L2H0"): ("second", -0.4, None),
    }
    assert graph.level == "nodes"


def with_edges(graph: Graph, *edges: Edge) -> Graph:
    return Graph(title=graph.title, nodes=graph.nodes, edges=edges)


def test_circuits_of_edges_are_compared_input_by_input(shelf: Shelf) -> None:
    a = of_edges(
        Edge("embed", "L0H0", 1.0, input="q"),
        Edge("embed", "L0H1"),  # all three inputs
        Edge("L0H0", "mlp0", 2.0),
        Edge("L0H1", "logits", 0.1, kept=False),
        edges_total=200,
    )
    b = of_edges(
        Edge("embed", "L0H0", 1.0, input="k"),
        Edge("embed", "L0H1", 3.0, input="v"),
        Edge("L0H0", "mlp0", -2.0),
        edges_total=200,
    )
    x = {("embed", "L0H0", "q"), *(("embed", "L0H1", i) for i in "qkv"), ("L0H0", "mlp0", "")}
    y = {("embed", "L0H0", "k"), ("embed", "L0H1", "v"), ("L0H0", "mlp0", "")}
    assert parts_of(a).edges == x
    assert parts_of(b).edges == y
    table, graph = side_by_side(shelf, a, b)
    rows = counted(table)
    assert (rows["edges"]["both"], rows["edges"]["either"]) == (len(x & y), len(x | y))
    assert rows["edges"]["by chance"] == pytest.approx(5 * 3 / 200)
    assert rows["edges into q"]["both"] == 0
    assert rows["edges into v"]["Jaccard"] == 1.0
    assert rows["other edges"]["both"] == 1
    sides = {(e.source, e.target, e.input or ""): e.side for e in graph.edges}
    assert sides == {key: "both" if key in x & y else "first" if key in x else "second" for key in x | y}
    assert graph.level == "edges"
    assert next(e.weight for e in graph.edges if e.target == "mlp0") == 2.0  # the first circuit's


def test_a_circuit_of_edges_beside_one_of_nodes(shelf: Shelf) -> None:
    edges = of_edges(Edge("embed", "L0H0", input="q"), Edge("L0H0", "logits"), Edge("embed", "L1H1", input="v"))
    table, graph = side_by_side(shelf, edges, of_heads(Head(0, 0), mlps=None))
    assert "edges" not in counted(table)
    assert counted(table)["heads"]["only first"] == 1
    sides = {(e.source, e.target, e.input or ""): e.side for e in graph.edges}
    assert sides == {("embed", "L0H0", "q"): "both", ("L0H0", "logits", ""): "both", ("embed", "L1H1", "v"): "first"}
    assert graph.level == "nodes"


def test_of_three_circuits_also_what_all_share_and_how_alike_each_two_are(shelf: Shelf) -> None:
    sets = [drawn(seed) for seed in (3, 4, 5)]
    made = side_by_side(shelf, *(of_heads(*s, title="t", model="m", model_title=f"m{i}") for i, s in enumerate(sets)))
    table, first, second, likeness, shared = made
    assert {row[:2] for row in table.rows} == {(a, b) for a, b in zip(
        (name(sets, 0), name(sets, 0), name(sets, 1)), (name(sets, 1), name(sets, 2), name(sets, 2))
    )}  # fmt: skip
    assert (first.facts["second"], second.facts["second"]) == (name(sets, 1), name(sets, 2))
    for i in range(3):
        for j in range(3):
            wanted = len(sets[i] & sets[j]) / len(sets[i] | sets[j])
            assert likeness.values[i, j] == pytest.approx(wanted)
    assert {row[0]: row[1] for row in shared.rows} == {
        str(head): sum(head in s for s in sets) for head in set().union(*sets)
    }
    assert f"{len(sets[0] & sets[1] & sets[2])} of {len(set().union(*sets))} heads" in shared.summary


def name(sets: list[set[Head]], i: int) -> str:
    return f"m{i}: {len(sets[i])} heads"


def test_a_circuit_is_itself(shelf: Shelf) -> None:
    a = of_heads(*drawn(1))
    table, graph = side_by_side(shelf, a, a)
    assert all(row[5] == 1.0 for row in table.rows)
    assert {node.side for node in graph.nodes} == {"both", None}
    assert table.rows[0][:2] == (f"c: {len(drawn(1))} heads @5", f"c: {len(drawn(1))} heads @6")


def test_wrong_inputs_are_named(shelf: Shelf) -> None:
    with pytest.raises(CallError, match="circuits: one circuit is named; name at least 2"):
        side_by_side(shelf, of_heads(Head(0, 0)))
    automaton = Graph(title="automaton", nodes=(Node(id="s0", label="s0", layer=0),), edges=())
    with pytest.raises(CallError, match="circuits: 'automaton' has no attention heads"):
        side_by_side(shelf, of_heads(Head(0, 0)), automaton)
    moved = Graph(
        title="deep", nodes=(Node("logits", "logits", 9, of_heads().nodes[-1].component), of_heads().nodes[1]), edges=()
    )
    with pytest.raises(CallError, match="logits is in row 7 of 'c' and in row 9 of 'deep'"):
        side_by_side(shelf, of_heads(Head(0, 0)), moved)


def test_an_edge_into_a_whole_head_is_three() -> None:
    graph = of_edges(Edge("embed", "L0H0"), Edge("embed", "logits"), Edge("mlp0", "L1H0", input="k"))
    assert [len(keys) for keys in edge_keys(graph)] == [3, 1, 1]
