"""Graphs as text: a circuit layer by layer with its edges, an automaton as its transition table."""

from __future__ import annotations

from collections import defaultdict

from sessions.artifacts import Edge, Graph, Node, Side
from sessions.render.layout import Style, columns, wrapped
from sessions.render.numbers import column


def graph(artifact: Graph, style: Style) -> list[str]:
    return transitions(artifact, style) if artifact.layout == "automaton" else _layered(artifact, style)


def _layered(artifact: Graph, style: Style) -> list[str]:
    kept = [node for node in artifact.nodes if node.kept]
    edges = strongest(artifact)
    lines = [
        f"{len(kept):,} of {len(artifact.nodes):,} nodes and {len(edges):,} of {len(artifact.edges):,} edges kept"
        + (f"; scores: {artifact.score_name}" if artifact.score_name else "")
    ]
    if compared(artifact):
        first, second = compared_names(artifact)
        lines += wrapped(f"{SIDES['first']} only in {first}; {SIDES['second']} only in {second}", style)
    layers: dict[int, list[Node]] = defaultdict(list)
    for node in artifact.nodes:
        layers[node.layer].append(node)
    side = len(str(max(layers, default=0)))
    for layer in sorted(layers):
        shown = [node for node in layers[layer] if node.kept]
        scores = dict(zip((n.id for n in shown), column([n.score for n in shown])))
        names = [
            node.label + (f" {scores[node.id]}" if node.score is not None else "") + _side(node.side) for node in shown
        ]
        dropped = len(layers[layer]) - len(shown)
        text = style.dot.join(names) + (f"  ({dropped} not kept)" if dropped else "")
        lines += wrapped(f"{layer:>{side}}  {text}", style, " " * (side + 4))
    if edges:
        lines.append("")
        lines += _edges(artifact, edges, style)
    return lines


SIDES = {"first": "[1]", "second": "[2]"}


def compared(artifact: Graph) -> bool:
    """Whether the graph is of two circuits compared."""
    return any(node.side for node in artifact.nodes) or any(edge.side for edge in artifact.edges)


def compared_names(artifact: Graph) -> tuple[str, str]:
    return str(artifact.facts.get("first", "the first")), str(artifact.facts.get("second", "the second"))


def _side(side: Side | None) -> str:
    """What stands behind what only one of two circuits has."""
    return f" {SIDES[side]}" if side in SIDES else ""


def strongest(artifact: Graph) -> list[Edge]:
    """The kept edges between kept nodes, strongest first."""
    kept = {node.id for node in artifact.nodes if node.kept}
    edges = [edge for edge in artifact.edges if edge.kept and edge.source in kept and edge.target in kept]
    return sorted(edges, key=lambda edge: -abs(edge.weight))


def _edges(artifact: Graph, edges: list[Edge], style: Style) -> list[str]:
    names = {node.id: node.label for node in artifact.nodes}
    shown = edges[: style.max_rows]
    weights = column([edge.weight for edge in shown])
    rows = [
        (
            f"{names.get(e.source, e.source)} {style.arrow} {e.into(names.get(e.target, e.target))}",
            weight,
            e.label + _side(e.side),
        )
        for e, weight in zip(shown, weights)
    ]
    lines = columns(("edge", artifact.weight_name or "weight", ""), rows, style, numeric=(False, True, False))
    return lines + ([f"{len(shown):,} of {len(edges):,} edges, strongest first"] if len(shown) < len(edges) else [])


def transitions(artifact: Graph, style: Style) -> list[str]:
    """A state per row, an input symbol per column; in the cell the next state and, after `/`, what is written."""
    names = {node.id: node.label for node in artifact.nodes}
    table: dict[tuple[str, str], list[str]] = defaultdict(list)
    for edge in artifact.edges:
        for label in edge.label.split(", "):  # parallel transitions share an edge: "0/0, 1/1"
            symbol, slash, output = label.partition("/")
            table[edge.source, symbol].append(names.get(edge.target, edge.target) + (f" / {output}" if slash else ""))
    symbols = sorted(dict.fromkeys(symbol for _, symbol in table))
    shown = artifact.nodes[: style.max_rows]
    rows = [[_state(node), *(", ".join(table[node.id, symbol]) or "-" for symbol in symbols)] for node in shown]
    written = any("/" in edge.label for edge in artifact.edges)
    count = sum(len(targets) for targets in table.values())
    lines = [f"{len(artifact.nodes):,} states, {count:,} transitions; > start, * accepting"]
    header = ["state", *(f"reads {symbol or 'anything'}" for symbol in symbols)]
    lines += columns(header, rows, style, numeric=[False] * len(header))
    if len(shown) < len(artifact.nodes):
        lines.append(f"{len(shown):,} of {len(artifact.nodes):,} states")
    return lines + (["each cell: next state / what is written"] if written else [])


def _state(node: Node) -> str:
    return (">" if node.layer == 0 else " ") + ("*" if node.accepting else " ") + node.label
