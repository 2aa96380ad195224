"""Which part of a graph is shown, and where its nodes go."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.artifacts import Edge, Graph, Node
from tests.tui.widgets.graphs import random_circuit, small_circuit
from tui.widgets.graph_canvas import tracks
from tui.widgets.graph_layout import cone, crossings, layered, shown, thresholds


def widths(graph):
    return {n.id: len(n.label) for n in graph.nodes}


def pairs_of(layout):
    return [pair for _, chain in layout.chains for pair in itertools.pairwise(chain)]


@pytest.mark.parametrize("seed", range(5))
def test_nodes_of_a_row_never_touch_and_stand_in_the_row_of_their_layer(seed):
    graph = random_circuit(4, 6, 60, seed)
    layout = layered(graph.nodes, graph.edges, widths(graph))
    for row, layer in zip(layout.rows, layout.layers, strict=True):
        for one, other in itertools.pairwise(row):
            assert one.left + one.width < other.left + 1
        for place in row:
            if not place.dummy:
                assert next(n.layer for n in graph.nodes if n.id == place.id) == layer
        assert min((p.left for p in row), default=0) >= 0


@pytest.mark.parametrize("seed", range(5))
def test_sweeps_leave_no_more_crossings_than_the_given_order(seed):
    graph = random_circuit(4, 6, 40, seed)
    layout = layered(graph.nodes, graph.edges, widths(graph), far_span=99)
    ordered = [[p.id for p in row] for row in layout.rows]
    given = [[n.id for n in graph.nodes if n.layer == layer] for layer in layout.layers]
    for row, names in zip(ordered, given, strict=True):
        names.extend(n for n in row if n.startswith("\0"))
    assert crossings(ordered, pairs_of(layout)) <= crossings(given, pairs_of(layout))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20, unique=True))
def test_crossings_are_counted_as_by_brute_force(ends):
    rows = [[f"a{i}" for i in range(7)], [f"b{i}" for i in range(7)]]
    pairs = [(f"a{x}", f"b{y}") for x, y in ends]
    brute = sum((x1 - x2) * (y1 - y2) < 0 for (x1, y1), (x2, y2) in itertools.combinations(ends, 2))
    assert crossings(rows, pairs) == brute


def test_a_crossing_that_can_be_avoided_is_avoided():
    nodes = tuple(Node(n, n, layer) for layer, row in enumerate(("ab", "cd")) for n in row)
    edges = (Edge("a", "d"), Edge("b", "c"))
    layout = layered(nodes, edges, {n.id: 1 for n in nodes})
    assert crossings([[p.id for p in row] for row in layout.rows], pairs_of(layout)) == 0


def test_the_same_graph_is_laid_out_the_same_way():
    graph = random_circuit(3, 5, 50)
    one, other = (layered(graph.nodes, graph.edges, widths(graph)) for _ in range(2))
    assert repr(one) == repr(other)


def test_every_edge_is_in_a_chain_or_left_to_the_rail():
    graph = random_circuit(4, 4, 50)
    layout = layered(graph.nodes, graph.edges, widths(graph))
    assert sorted([i for i, _ in layout.chains] + list(layout.far)) == list(range(len(graph.edges)))
    for index, chain in layout.chains:
        assert (chain[0], chain[-1]) == (graph.edges[index].source, graph.edges[index].target)


def test_hidden_edges_are_counted_on_both_their_nodes():
    graph = small_circuit()
    part = shown(graph, threshold=1.0)
    hidden = [e for e in graph.edges if abs(e.weight) < 1.0]
    assert len(part.edges) == len(graph.edges) - len(hidden)
    assert sum(part.hidden.values()) == 2 * len(hidden)
    assert part.share == pytest.approx(sum(abs(e.weight) for e in part.edges) / sum(abs(e.weight) for e in graph.edges))


def test_edges_that_were_cut_are_not_counted_as_hidden():
    graph = small_circuit()
    cut = tuple(msgspec.structs.replace(e, kept=i % 2 == 0) for i, e in enumerate(graph.edges))
    part = shown(msgspec.structs.replace(graph, edges=cut))
    assert len(part.edges) == sum(e.kept for e in cut)
    assert part.hidden == {}


def test_what_does_not_belong_is_left_out_unless_asked_for():
    graph = small_circuit()
    assert "L5H9" not in {n.id for n in shown(graph).nodes}
    assert "L5H9" in {n.id for n in shown(graph, everything=True).nodes}


def test_the_cone_is_ancestors_and_descendants():
    assert cone(small_circuit(), "L5H5") == {"embed", "L0H3", "mlp0", "L5H5", "L8H9", "logits"}


def test_thresholds_rise_from_nothing_hidden_to_the_strongest_edge():
    graph = small_circuit()
    steps = thresholds(graph)
    assert steps[0] == 0.0
    assert steps[-1] == max(abs(e.weight) for e in graph.edges)
    assert list(steps) == sorted(set(steps))
    assert thresholds(Graph(title="", nodes=(), edges=())) == (0.0,)


nets = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(
        lambda e: (min(e), max(e), frozenset({e[0]}), frozenset({e[1]}) - {e[0]})
    ),
    max_size=12,
)


@given(nets)
def test_lines_on_one_track_never_touch(channel):
    levels = tracks(channel)
    assert len(levels) == len(channel)
    for (one, level), (other, beside) in itertools.combinations(zip(channel, levels, strict=True), 2):
        if level == beside:
            assert one[1] + 1 < other[0] or other[1] + 1 < one[0]
