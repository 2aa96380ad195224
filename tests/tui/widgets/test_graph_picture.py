"""What a circuit and an automaton look like as text, and how a person moves through them."""

import pytest

from sessions.artifacts import Edge, Graph, Node
from sessions.components import Embed, Head, Logits
from tests.tui.widgets.graphs import automaton, division_by_three, random_circuit, small_circuit
from tui.widgets.automaton_picture import AutomatonPicture, breadth_first
from tui.widgets.edge_lines import edge_matrix, lines_of
from tui.widgets.graph_canvas import Canvas
from tui.widgets.graph_layout import shown
from tui.widgets.graph_model import GraphModel
from tui.widgets.graph_picture import DENSE, LayeredPicture
from tui.widgets.graph_sides import SIDES, legend, side_ink
from tui.widgets.inks import Inks

DOWN, UP = set("│┃╎┌┐┬├┤┼┏┓┳┣┫╋╷╻"), set("│┃╎└┘┴├┤┼┗┛┻┣┫╋╵╹")
RIGHT, LEFT = set("─━╌┌└┬┴├┼┏┗┳┻┣╋╶╺"), set("─━╌┐┘┬┴┤┼┓┛┳┻┫╋╴╸")


def text(picture):
    return [
        "".join(picture.cells[(x, y)].text if (x, y) in picture.cells else " " for x in range(picture.width)).rstrip()
        for y in range(picture.height)
    ]


def ends_in_the_air(picture):
    """Line characters whose line does not go on in the neighbouring cell, gaps at crossings excepted."""
    loose = []
    for (x, y), cell in picture.cells.items():
        if cell.node or not cell.edges:
            continue
        right, left = picture.cells.get((x + 1, y)), picture.cells.get((x - 1, y))
        if cell.text in RIGHT and (right is None or right.text not in LEFT):
            loose.append((x, y))
        if cell.text in LEFT and (left is None or left.text not in RIGHT):
            loose.append((x, y))
        below, above = picture.cells.get((x, y + 1)), picture.cells.get((x, y - 1))
        if cell.text in DOWN and below is None:
            loose.append((x, y))
        if cell.text in UP and above is None:
            loose.append((x, y))
    return loose


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_no_line_ends_in_the_air(level, seed):
    graph = random_circuit(3, 4, 25, seed)
    assert ends_in_the_air(LayeredPicture(shown(graph), level, "embed")) == []


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_shown_node_stands_in_the_drawing_with_its_name(level):
    part = shown(small_circuit())
    picture = LayeredPicture(part, level, "mlp0")
    assert set(picture.at) == {n.id for n in part.nodes}
    if level:
        drawn = "\n".join(text(picture))
        assert all(n.label in drawn for n in part.nodes)


def test_ascii_rails_are_ascii_and_said_in_the_title():
    model = GraphModel()
    model.inks = Inks(depth="ascii")
    model.show(random_circuit(4, 4, 40))
    assert model.picture.plan.far
    assert "long edges" in model.heading()
    assert all(line.isascii() for line in text(model.picture))


def test_signs_stand_at_the_arrowheads():
    drawn = text(LayeredPicture(shown(small_circuit()), 1, "mlp0"))
    above_logits = drawn[next(y for y, line in enumerate(drawn) if "logits" in line) - 1]
    assert sorted(above_logits.split()) == ["+", "-"]


def test_ascii_drawings_are_ascii():
    part = shown(small_circuit(), threshold=1.0)
    for level in (0, 1, 2):
        assert all(line.isascii() for line in text(LayeredPicture(part, level, "mlp0", ascii_only=True)))


def test_hidden_edges_are_written_on_their_nodes():
    drawn = "\n".join(text(LayeredPicture(shown(small_circuit(), threshold=1.0), 1, "mlp0")))
    assert "L5H7 ·1" in drawn
    assert "L0H3 ·1" in drawn


def test_long_edges_stand_in_the_side_rail_as_a_count_until_their_node_is_selected():
    nodes = tuple(Node(f"n{i}", f"n{i}", i) for i in range(6))
    near = [Edge(f"n{i}", f"n{i + 1}") for i in range(5)]
    near += [Edge(f"n{i}", f"n{i + 2}") for i in range(4)] + [Edge(f"n{i}", f"n{i + 3}") for i in range(3)]
    graph = Graph(title="", nodes=nodes, edges=(*near, Edge("n0", "n5", 2.0)))
    far = LayeredPicture(shown(graph), 1, "n2")
    assert any("┆" in line for line in text(far))
    last = len(graph.edges) - 1
    assert not any(last in cell.edges for cell in far.cells.values())
    unfolded = LayeredPicture(shown(graph), 1, "n5")
    assert any(last in cell.edges for cell in unfolded.cells.values())
    assert far.at == unfolded.at


def test_unrelated_lines_cross_without_joining_and_related_ones_join():
    canvas = Canvas()
    canvas.horizontal(2, 0, 6, (0, "a", "b"))
    canvas.vertical(3, 0, 4, (1, "c", "d"))
    assert canvas.cell(3, 2, [1, 1]) == ("─", (0,))
    canvas = Canvas()
    canvas.horizontal(2, 0, 6, (0, "a", "b"))
    canvas.vertical(3, 0, 4, (1, "a", "d"))
    assert canvas.cell(3, 2, [1, 1])[0] == "┼"


def test_weight_shows_in_the_line():
    canvas = Canvas()
    for edge in range(3):
        canvas.horizontal(edge, 0, 4, (edge, f"s{edge}", f"t{edge}"))
    assert [canvas.cell(2, y, [0, 1, 2])[0] for y in range(3)] == ["╌", "─", "━"]


def test_a_dense_graph_is_shown_as_a_matrix_and_a_threshold_brings_the_lines_back():
    model = GraphModel()
    model.show(random_circuit(6, 8, 3 * DENSE))
    assert model.shows_matrix
    while model.shows_matrix:
        model.step_threshold(1)
    assert len(model.part.edges) <= DENSE
    assert "matrix" not in model.heading()


def test_the_matrix_holds_every_weight_once():
    graph = small_circuit()
    made = edge_matrix(graph.nodes, graph.edges)
    for edge in graph.edges:
        assert made.values[made.sources.index(edge.source), made.targets.index((edge.target, ""))] == edge.weight
    assert int((made.values == made.values).sum()) == len(graph.edges)


def walked(model, *ways):
    out = []
    for way in ways:
        model.walk(way)
        out.append(model.selected)
    return out


def test_down_and_up_follow_the_strongest_edge():
    model = GraphModel()
    model.show(small_circuit())
    assert model.selected == "embed"
    assert walked(model, "down", "down", "down", "down") == ["mlp0", "L5H0", "L8H3", "logits"]
    assert walked(model, "up", "up") == ["L8H3", "L5H0"]


def test_left_and_right_go_through_the_row_as_drawn():
    model = GraphModel()
    model.show(small_circuit())
    model.selected = "L5H0"
    row = next(r for r in model.picture.rows if "L5H0" in r)
    model.selected = row[0]
    assert walked(model, "right", "right", "right") == [row[1], row[2], row[2]]


def test_a_node_without_edges_is_still_reached():
    graph = Graph(title="", nodes=tuple(Node(f"n{i}", f"n{i}", i) for i in range(3)), edges=())
    model = GraphModel()
    model.show(graph)
    assert walked(model, "down", "down", "down", "up") == ["n1", "n2", "n2", "n1"]


def test_one_node_lists_all_its_edges_strongest_first_also_hidden_ones():
    model = GraphModel()
    model.show(small_circuit())
    model.selected = "mlp0"
    for _ in range(9):
        model.step_threshold(1)
    listed = [(e.source, e.target) for e, _, _ in model.neighbours()]
    assert listed == [
        ("embed", "mlp0"), ("L0H3", "mlp0"), ("mlp0", "L5H0"), ("mlp0", "L5H7"), ("mlp0", "L5H5"),
    ]  # fmt: skip


def test_folding_a_layer_leaves_it_out_and_brings_it_back():
    model = GraphModel()
    model.show(small_circuit())
    model.selected = "L5H0"
    model.toggle_fold()
    assert not any(n.layer == 3 for n in model.part.nodes)
    model.toggle_fold()
    assert any(n.layer == 3 for n in model.part.nodes)


@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none", "ascii"])
@pytest.mark.parametrize("level", range(4))
def test_every_level_is_drawn_in_every_depth(depth, level):
    model = GraphModel()
    model.inks = Inks(depth=depth)
    model.show(small_circuit())
    model.set_level(level)
    lines = ["".join(t for t, _ in model.line(y, 0, 60)) for y in range(model.extent[1])]
    assert any(line.strip() for line in lines)
    assert all(len(line) <= 60 for line in lines)
    if depth == "ascii":
        assert all(line.isascii() for line in lines)


# ---- automata


def test_an_automaton_is_drawn_with_its_loops_arcs_and_table():
    drawn = text(AutomatonPicture(division_by_three(), "0"))
    assert drawn == [
        "      ┌─── 1/0 ───┐ ┌─── 0/0 ───┐",
        "      │           ▼ │           ▼",
        "  ╔═══════╗     ┌─────┐     ┌───────┐",
        "→ ║   S0  ║     │  S1 │     │   S2  │",
        "  ║ ↺ 0/1 ║     │     │     │ ↺ 1/0 │",
        "  ╚═══════╝     └─────┘     └───────┘",
        "      ▲           │ ▲           │",
        "      └─── 1/1 ───┘ └─── 0/0 ───┘",
        "",
        "  state   reads 0   reads 1",
        "  S0      S0 / 1    S1 / 0",
        "  S1      S2 / 0    S0 / 1",
        "  S2      S1 / 0    S2 / 0",
    ]


def test_states_stand_in_breadth_first_order_from_the_start():
    graph = automaton(4, lambda s, bit: ((s + 2) % 4 if bit else (s + 3) % 4, 0))
    assert [n.id for n in breadth_first(graph)] == ["0", "3", "2", "1"]


@pytest.mark.parametrize("states", range(1, 9))
def test_every_transition_of_an_automaton_is_labelled_in_drawing_and_table(states):
    graph = automaton(states, lambda s, bit: ((2 * s + bit) % states, (s + bit) % 2))
    picture = AutomatonPicture(graph, "0")
    drawn = "\n".join(text(picture))
    for edge in graph.edges:
        assert edge.label in drawn
    rows = [line.split() for line in text(picture) if line.startswith("  S") and "reads" not in line][-states:]
    for row in rows:
        state = int(row[0][1:])
        cells = [c for c in row[1:] if c != "/"]
        for bit in (0, 1):
            assert cells[2 * bit] == f"S{(2 * state + bit) % states}"
            assert int(cells[2 * bit + 1]) == (state + bit) % 2


def test_ascii_automata_are_ascii():
    assert all(line.isascii() for line in text(AutomatonPicture(division_by_three(), "0", ascii_only=True)))


def test_an_automaton_is_walked_left_and_right():
    model = GraphModel()
    model.show(division_by_three())
    assert walked(model, "right", "right", "right", "left") == ["1", "2", "2", "1"]


def test_an_empty_graph_is_no_error():
    model = GraphModel()
    model.show(Graph(title="nothing", nodes=(), edges=()))
    assert model.facts() == ""
    assert not model.walk("down")


# ---- edges that name an input, and edges that were cut


def of_edges() -> Graph:
    """Two heads; the second is fed through q and v by the first, and its k edge was cut."""
    nodes = [
        Node("embed", "embed", 0, Embed()),
        Node("L0H1", "L0H1", 1, Head(0, 1)),
        Node("L1H2", "L1H2", 3, Head(1, 2)),
    ]
    edges = [
        Edge("L0H1", "L1H2", w, kept=kept, input=i)
        for i, w, kept in (("q", 0.5, True), ("k", -0.01, False), ("v", -2.0, True))
    ]
    return Graph(
        title="",
        nodes=tuple(nodes),
        edges=(Edge("embed", "L0H1", 1.0, input="v"), *edges),
        level="edges",
        weight_name="drop in kl",
    )


def test_edges_into_the_inputs_of_a_head_are_one_line_that_shows_the_strongest():
    lines = lines_of(of_edges().edges)
    assert [(e.source, e.target, e.weight, e.label) for e in lines] == [
        ("embed", "L0H1", 1.0, ""), ("L0H1", "L1H2", -2.0, "qkv"),
    ]  # fmt: skip
    assert "3 of 4 edges" in shown(of_edges()).title
    assert [e.label for e in shown(of_edges()).lines] == ["", "qv"]


def test_the_list_of_one_node_and_its_words_name_the_inputs():
    model = GraphModel()
    model.show(of_edges())
    model.set_level(3)
    model.selected = "L1H2"
    lines = ["".join(t for t, _ in model.line(y, 0, 80)) for y in range(1, 4)]
    assert ["from L0H1 → v" in lines[0], "from L0H1 → q" in lines[1], "from L0H1 → k" in lines[2]] == [True] * 3
    assert "not in the circuit" in lines[2]
    model.selected = "L0H1"
    assert "to   L1H2.v" in "".join(t for t, _ in model.line(2, 0, 80))
    edge = model.edge("L0H1", "L1H2.k")
    assert edge is not None
    assert model.edge_facts(edge) == "L0H1→L1H2.k -0.01 · drop in kl · not in the circuit"


def test_the_matrix_has_a_column_for_each_input():
    model = GraphModel()
    model.show(of_edges())
    model.toggle_everything()
    assert model.edges.target_axis.labels == ("L0H1.v", "L1H2.q", "L1H2.k", "L1H2.v")
    assert model.edge_at(1, 3) == ("L0H1", "L1H2.v")
    assert model.edges.values[1].tolist()[1:] == [0.5, -0.01, -2.0]


def test_an_edge_that_was_cut_is_dashed_where_it_is_shown():
    graph = of_edges()
    cut = Graph(title="", nodes=graph.nodes, edges=(*graph.edges[:1], Edge("L0H1", "L1H2", -9.0, kept=False)))
    assert not any("L1H2" in e.target for e in shown(cut).edges)
    drawn = text(LayeredPicture(shown(cut, everything=True), 1, "embed"))
    assert any("╎" in line for line in drawn)


def test_a_graph_that_loses_edges_keeps_node_and_level():
    model = GraphModel()
    whole = random_circuit(3, 4, 60)
    model.show(whole)
    model.set_level(2)
    model.selected = "L1H1"
    fewer = Graph(
        title="",
        nodes=whole.nodes,
        edges=tuple(Edge(e.source, e.target, e.weight, kept=i % 3 > 0) for i, e in enumerate(whole.edges)),
    )
    model.show(fewer)
    assert (model.selected, model.level) == ("L1H1", 2)
    assert model.heading().startswith("40 of 60 edges")


def test_a_graph_with_tens_of_thousands_of_edges_is_shown_without_laying_it_out():
    model = GraphModel()
    model.show(random_circuit(12, 12, 12_000))
    model.matrix = False  # also where a person asks for lines
    assert model.too_dense
    assert model.shows_matrix
    assert "too many edges for lines" in model.heading()
    assert model.facts()
    assert model._picture is None


# ---- two circuits compared


def compared() -> Graph:
    nodes = (
        Node("embed", "embed", 0, Embed(), side="both"), Node("L0H1", "L0H1", 1, Head(0, 1), side="first"),
        Node("L0H2", "L0H2", 1, Head(0, 2), side="second"), Node("logits", "logits", 3, Logits(), side="both"),
    )  # fmt: skip
    edges = (
        Edge("embed", "L0H1", side="first"), Edge("L0H1", "logits", side="first"), Edge("embed", "L0H2", side="second"),
        Edge("L0H2", "logits", side="second"), Edge("embed", "logits", side="both"),
    )  # fmt: skip
    return Graph(title="ACDC beside EAP", nodes=nodes, edges=edges, facts={"first": "ACDC", "second": "EAP"})


def test_of_two_circuits_every_node_and_arrowhead_has_its_letter():
    drawn = text(LayeredPicture(shown(compared()), 1, "embed"))
    assert any("L0H1 A" in line and "L0H2 B" in line for line in drawn)
    above = drawn[next(y for y, line in enumerate(drawn) if "logits =" in line) - 1]
    assert sorted(above.split()) == ["=", "A", "B"]
    grid = "\n".join(text(LayeredPicture(shown(compared()), 0, "embed")))
    assert "A" in grid.replace("L0", "")
    assert "B" in grid


def test_the_legend_counts_and_names_the_circuits():
    assert legend(compared()) == (
        "= both: 2 nodes, 1 edges · A only ACDC: 1 nodes, 2 edges · B only EAP: 1 nodes, 2 edges"
    )
    model = GraphModel()
    model.show(compared())
    assert model.heading().startswith("= both 2 nodes 1 edges · A only 1, 2 · B only 1, 2 · 5 of 5 edges")


def test_sides_have_three_different_inks_and_no_colour_where_there_is_none():
    inks = Inks(depth="truecolor")
    assert len({side_ink(side, inks) for side in SIDES}) == 3
    assert len({side_ink(side, Inks(depth="none")) for side in SIDES}) == 1


def test_lines_of_different_sides_between_two_nodes_belong_to_both():
    pair = (Edge("a", "b", input="q", side="first"), Edge("a", "b", input="v", side="second"))
    assert [e.side for e in lines_of(pair)] == ["both"]
