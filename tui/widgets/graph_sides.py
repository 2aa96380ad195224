"""Two circuits in one graph: a letter and a colour say which of them has a node or an edge."""

from __future__ import annotations

from collections import Counter

from rich.style import Style

from sessions.artifacts import Graph, Side
from themes.colour import diverging
from tui.widgets.inks import Inks, style_of

SIDES: tuple[Side, ...] = ("both", "first", "second")
LETTERS: dict[Side, str] = {"both": "=", "first": "A", "second": "B"}  # never by colour alone


def compares(graph: Graph) -> bool:
    """Whether the graph shows two circuits side by side."""
    return any(n.side is not None for n in graph.nodes) or any(e.side is not None for e in graph.edges)


def legend(graph: Graph) -> str:
    """`= both: 5 nodes, 9 edges · A only first: ...` with the circuits' names where they are told."""
    nodes, edges = Counter(n.side for n in graph.nodes), Counter(e.side for e in graph.edges)
    words = []
    for side in SIDES:
        name = str(graph.facts.get(side, side)) if side != "both" else "both"
        only = "" if side == "both" else "only "
        words.append(f"{LETTERS[side]} {only}{name}: {nodes[side]} nodes, {edges[side]} edges")
    return " · ".join(words)


def counts(graph: Graph) -> str:
    """The legend without names, for a line of 80 columns: the title says which circuit stands beside which."""
    nodes, edges = Counter(n.side for n in graph.nodes), Counter(e.side for e in graph.edges)
    first, *rest = SIDES
    words = [f"{LETTERS[first]} both {nodes[first]} nodes {edges[first]} edges"]
    return " · ".join(words + [f"{LETTERS[side]} only {nodes[side]}, {edges[side]}" for side in rest])


def side_ink(side: Side, inks: Inks, *, bright: bool = True) -> Style:
    """Of both: the text's own. Of one: an arm of the signed colour map, which colour-blind people tell apart."""
    if side == "both" or inks.depth not in ("truecolor", "256"):
        return inks.text if bright else inks.dim
    ramp = diverging(inks.depth, inks.dark)
    if side == "first":
        return style_of(ramp[1 if bright else len(ramp) // 4], None)
    return style_of(ramp[-2 if bright else len(ramp) * 3 // 4], None)
