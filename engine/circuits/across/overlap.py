"""How far two circuits are the same: sets of components or edges, compared."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal, NamedTuple

from sessions.artifacts import Graph, Side
from sessions.components import Component, Head, Mlp, parse_component
from sessions.errors import CallError

INPUTS: tuple[Port, ...] = ("q", "k", "v")

Port = Literal["q", "k", "v", ""]  # which of a head's inputs an edge feeds; "" where its target is no head
EdgeKey = tuple[str, str, Port]  # source, target, port


class Overlap(NamedTuple):
    """Sizes of two sets, of what they share, and of all there is to choose from (None where nobody says)."""

    first: int
    second: int
    both: int
    of: int | None

    @property
    def union(self) -> int:
        return self.first + self.second - self.both

    @property
    def jaccard(self) -> float | None:
        """Shared / united; None where both are empty."""
        return self.both / self.union if self.union else None

    @property
    def precision(self) -> float | None:
        """The part of the first that is in the second: how right the first is, if the second is the truth."""
        return self.both / self.first if self.first else None

    @property
    def recall(self) -> float | None:
        """The part of the second that is in the first: how much of it the first finds."""
        return self.both / self.second if self.second else None

    @property
    def by_chance(self) -> float | None:
        """How many two random sets of these sizes share on average (the hypergeometric mean)."""
        return self.first * self.second / self.of if self.of else None


def overlap(first: Set[object], second: Set[object], of: int | None = None) -> Overlap:
    return Overlap(len(first), len(second), len(first & second), of)


def side(first: bool, second: bool) -> Side | None:
    """Which of two circuits has it; None where neither has."""
    if first:
        return "both" if second else "first"
    return "second" if second else None


class Parts(NamedTuple):
    """What a circuit keeps, and what it was chosen from. `edges` are None for a circuit of nodes."""

    heads: frozenset[Head]
    mlps: frozenset[Mlp]
    edges: frozenset[EdgeKey] | None
    all_heads: frozenset[Head]
    all_mlps: frozenset[Mlp]
    edges_total: int | None

    @property
    def nodes(self) -> frozenset[Head | Mlp]:
        return self.heads | self.mlps

    def has(self, part: Component) -> bool:
        """Whether the circuit keeps a component. One that says nothing of MLPs keeps them all; embeddings and logits
        are in every circuit."""
        match part:
            case Head():
                return part in self.heads
            case Mlp():
                return part in self.mlps or not self.all_mlps
            case _:
                return True

    def has_edge(self, edge: EdgeKey) -> bool:
        """Whether it keeps an edge: a circuit of nodes keeps every edge among them."""
        if self.edges is not None:
            return edge in self.edges
        return all(self.has(parse_component(end)) for end in edge[:2])


def parts_of(graph: Graph) -> Parts:
    """A circuit's heads and MLPs, and its edges where it is made of edges. CallError when it has no heads at all."""
    named = [node for node in graph.nodes if node.component is not None]
    heads = [(Head(c.layer, c.head), node.kept) for node in named if isinstance(c := node.component, Head)]
    mlps = [(c, node.kept) for node in named if isinstance(c := node.component, Mlp)]
    if not heads:
        raise CallError(f"'{graph.title}' has no attention heads", "circuits", "give graphs that a circuit method left")
    edges, total = None, graph.facts.get("edges_total")
    if graph.level == "edges":
        keys = edge_keys(graph)
        edges = frozenset(key for edge, found in zip(graph.edges, keys) if edge.kept for key in found)
    return Parts(
        heads=frozenset(head for head, kept in heads if kept),
        mlps=frozenset(mlp for mlp, kept in mlps if kept),
        edges=edges,
        all_heads=frozenset(head for head, _ in heads),
        all_mlps=frozenset(mlp for mlp, _ in mlps),
        edges_total=total if isinstance(total, int) else None,
    )


def edge_keys(graph: Graph) -> tuple[tuple[EdgeKey, ...], ...]:
    """Of every edge its ends and the input it feeds; three where it feeds a head as a whole."""
    components = {node.id: node.component for node in graph.nodes}
    found: list[tuple[EdgeKey, ...]] = []
    for edge in graph.edges:
        source, target = (components.get(end) or parse_component(end) for end in (edge.source, edge.target))
        inputs: tuple[Port, ...] = (edge.input,) if edge.input else INPUTS if isinstance(target, Head) else ("",)
        if isinstance(target, Head):
            target = Head(target.layer, target.head)
        found.append(tuple((str(source), str(target), name) for name in inputs))
    return tuple(found)


__all__ = ["EdgeKey", "Overlap", "Parts", "edge_keys", "overlap", "parts_of", "side"]
