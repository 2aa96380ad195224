"""Edges between the same two nodes as one line: a head is fed through three inputs, and a drawing has room for one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from sessions.artifacts import Array, Axis, Edge, Node, Side

Target = tuple[str, str]  # the node, and the input it is fed through ("" where there is only one)


def lines_of(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """One edge for each pair of nodes, in the order met: the strongest of them, `label` naming the inputs fed.

    It is kept if any of them is. Of two circuits compared it belongs to both if both have some of its edges.
    """
    found: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        found.setdefault((edge.source, edge.target), []).append(edge)
    return tuple(group[0] if len(group) == 1 else _one(group) for group in found.values())


def _one(group: Sequence[Edge]) -> Edge:
    strongest = max(group, key=lambda e: (e.kept, abs(e.weight)))
    sides = {e.side for e in group if e.side is not None}
    side: Side | None = next(iter(sides)) if len(sides) == 1 else "both" if sides else None
    inputs = "".join(e.input for e in group if e.input is not None)
    return msgspec.structs.replace(strongest, label=inputs, input=None, kept=any(e.kept for e in group), side=side)


class EdgeMatrix(msgspec.Struct, frozen=True):
    """Source x target weights, NaN where there is no edge: what a dense graph is shown as.

    A head that is fed through several inputs has a column for each of them: `L3H1.q`, `L3H1.k`, `L3H1.v`.
    """

    values: Array  # (source, target)
    sources: tuple[str, ...]
    targets: tuple[Target, ...]
    source_axis: Axis
    target_axis: Axis


def edge_matrix(nodes: Sequence[Node], edges: Sequence[Edge]) -> EdgeMatrix:
    """The edges among the nodes; rows and columns in the nodes' order, only those that have an edge."""
    labels = {n.id: n.label for n in nodes}
    place = {n.id: i for i, n in enumerate(nodes)}
    sources = sorted({e.source for e in edges}, key=place.__getitem__) or list(labels)
    targets = sorted({_target(e) for e in edges}, key=lambda t: (place[t[0]], "qkv".find(t[1]))) or [
        (name, "") for name in labels
    ]
    row, column = {n: i for i, n in enumerate(sources)}, {t: i for i, t in enumerate(targets)}
    values = np.full((len(sources), len(targets)), np.nan)
    for edge in edges:
        values[row[edge.source], column[_target(edge)]] = edge.weight
    return EdgeMatrix(
        values,
        tuple(sources),
        tuple(targets),
        Axis("source", tuple(labels[n] for n in sources)),
        Axis("target", tuple(labels[n] + (f".{i}" if i else "") for n, i in targets)),
    )


def _target(edge: Edge) -> Target:
    return edge.target, edge.input or ""
