"""Circuits side by side: what they share and where they part, counted and drawn. Needs no model, and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from engine.circuits.across.naming import distinct, short_name, the_circuits
from engine.circuits.across.overlap import EdgeKey, Overlap, Parts, edge_keys, overlap, parts_of, side
from engine.operations import Context, GraphRefs, Params
from sessions.artifacts import AnyArtifact, Axis, Column, Edge, Graph, Matrix, Node, Table
from sessions.components import Component, Head
from sessions.errors import CallError


class Compare(Params, frozen=True, kw_only=True):
    circuits: Annotated[GraphRefs, Meta(description="two circuits or more: @ID,@ID")]


def compare(params: Compare, ctx: Context) -> Sequence[AnyArtifact]:
    """Each circuit beside each other: counts, and a graph of the first beside every other one. With three or more,
    also what all of them share, and how alike each two are."""
    graphs = the_circuits(ctx, params.circuits, least=2)
    parts = [parts_of(graph) for graph in graphs]
    names = distinct([short_name(graph, _kept(part)) for graph, part in zip(graphs, parts)], params.circuits)
    facts = _facts(params, graphs, names)
    pairs = list(combinations(range(len(graphs)), 2))
    rows: list[tuple[Any, ...]] = []
    for done, (a, b) in enumerate(pairs):
        ctx.progress(done, len(pairs), f"{names[a]} and {names[b]}")
        rows += [(names[a], names[b], what, *_numbers(found)) for what, found in _overlaps(parts[a], parts[b])]
    ctx.progress(len(pairs), len(pairs), "circuits compared")
    made: list[AnyArtifact] = [_table(facts, rows)]
    made += [_side_by_side(facts, graphs, parts, names, 0, other) for other in range(1, len(graphs))]
    if len(graphs) > 2:
        made += [_likeness(facts, parts, names), _shared(facts, parts, names)]
    return made


def _kept(parts: Parts) -> str:
    return f"{len(parts.heads)} heads" if parts.edges is None else f"{len(parts.edges)} edges"


def _facts(params: Compare, graphs: Sequence[Graph], names: Sequence[str]) -> dict[str, Any]:
    return {
        "circuits": list(params.circuits),
        "names": list(names),
        "titles": [graph.title for graph in graphs],
        "levels": [graph.level for graph in graphs],
        "found_with": [
            {k: graph.facts[k] for k in ("model_title", "ablation", "metric", "theta", "tau") if k in graph.facts}
            for graph in graphs
        ],
        "Jaccard": "shared / united",
        "precision": "the part of the first that the second has too",
        "recall": "the part of the second that the first has too",
        "edges": "q, k and v inputs apart; compared where both circuits are made of edges",
        "by chance": "shared by two random sets of these sizes, mean (hypergeometric)",
    }


def _overlaps(first: Parts, second: Parts) -> list[tuple[str, Overlap]]:
    """Of two circuits: heads, MLPs, both, edges, and the heads of each layer where either has any."""

    def chosen_from(a: frozenset[Any], b: frozenset[Any]) -> int | None:
        return len(a) if a == b else None  # a reference may list only what it keeps

    found = [("heads", overlap(first.heads, second.heads, chosen_from(first.all_heads, second.all_heads)))]
    if first.all_mlps and second.all_mlps:
        found.append(("MLPs", overlap(first.mlps, second.mlps, chosen_from(first.all_mlps, second.all_mlps))))
        every = chosen_from(first.all_heads | first.all_mlps, second.all_heads | second.all_mlps)
        found.append(("heads and MLPs", overlap(first.nodes, second.nodes, every)))
    if first.edges is not None and second.edges is not None:
        total = first.edges_total if first.edges_total == second.edges_total else None
        found.append(("edges", overlap(first.edges, second.edges, total)))
        for name, inputs in (("edges into q", "q"), ("edges into k", "k"), ("edges into v", "v"), ("other edges", "")):
            ours, theirs = ({e for e in edges if e[2] == inputs} for edges in (first.edges, second.edges))
            if ours or theirs:
                found.append((name, overlap(ours, theirs)))
    for layer in sorted({head.layer for head in first.all_heads | second.all_heads}):
        a, b, all_a, all_b = (
            frozenset(head for head in heads if head.layer == layer)
            for heads in (first.heads, second.heads, first.all_heads, second.all_heads)
        )
        if a or b:
            found.append((f"heads of L{layer}", overlap(a, b, chosen_from(all_a, all_b))))
    return found


def _numbers(found: Overlap) -> tuple[int | float | None, ...]:
    both = found.both
    alike = (both, found.union, found.jaccard, found.precision, found.recall)
    return (*alike, found.first, found.second, found.first - both, found.second - both, found.by_chance)


def _table(facts: dict[str, Any], rows: Sequence[tuple[Any, ...]]) -> Table:
    _, _, what, *numbers = next((row for row in rows if row[2] == "edges"), rows[0])
    shared, united, jaccard, *_ = numbers
    likeness = "undefined" if jaccard is None else f"{jaccard:.3f}"
    return Table(
        title="Circuits compared",
        summary=f"{rows[0][0]} and {rows[0][1]} share {shared} of {united} {what}; Jaccard {likeness}",
        facts=facts,
        columns=(
            Column("first", "text"),
            Column("second", "text"),
            Column("what", "text"),
            Column("both", "int", "", "intersection"),
            Column("either", "int", "", "union"),
            Column("Jaccard", "float", "", "both / either"),
            Column("precision", "float", "", "both / in first: how right the first is if the second is the truth"),
            Column("recall", "float", "", "both / in second: how much of the second the first finds"),
            Column("in first", "int"),
            Column("in second", "int"),
            Column("only first", "int", "", "difference"),
            Column("only second", "int", "", "difference"),
            Column("by chance", "float", "", "what two random sets of these sizes share on average"),
        ),
        rows=tuple(rows),
    )


def _side_by_side(
    facts: dict[str, Any], graphs: Sequence[Graph], parts: Sequence[Parts], names: Sequence[str], a: int, b: int
) -> Graph:
    """Both circuits in one graph, each node and edge saying which of them has it. What neither has is not kept."""
    first, second = graphs[a], graphs[b]
    found = dict(_overlaps(parts[a], parts[b]))
    both_of_edges = "edges" in found
    nodes = _nodes(first, second, parts[a], parts[b])
    edges = _edges(first, second, parts[a], parts[b])
    told = [f"{what} {each.both} of {each.union} shared" for what, each in found.items() if what in ("heads", "edges")]
    return Graph(
        title=f"{names[a]} beside {names[b]}",
        summary="; ".join(told),
        facts=facts
        | {
            "first": names[a],
            "second": names[b],
            "first_circuit": facts["circuits"][a],
            "second_circuit": facts["circuits"][b],
            "side": "both, first or second: which of the two circuits has it",
            "edge_weight": "as in the first circuit; where only the second has the edge, as there",
        },
        nodes=nodes,
        edges=edges,
        weight_name=first.weight_name if first.weight_name == second.weight_name else "weight in its own circuit",
        level="edges" if both_of_edges else "nodes",
    )


def _nodes(first: Graph, second: Graph, ours: Parts, theirs: Parts) -> tuple[Node, ...]:
    """All nodes of either graph, by layer. Embeddings and logits belong to every circuit."""
    found: dict[Component, Node] = {}
    for node in (*first.nodes, *second.nodes):
        part = node.component
        if part is None:
            continue
        if isinstance(part, Head):
            part = Head(part.layer, part.head)
        if part in found and found[part].layer != node.layer:
            raise CallError(
                f"{part} is in row {found[part].layer} of '{first.title}' and in row {node.layer} of '{second.title}'",
                "circuits",
                "compare circuits of models of one shape",
            )
        where = side(ours.has(part), theirs.has(part))
        found.setdefault(part, Node(str(part), str(part), node.layer, part, kept=where is not None, side=where))
    return tuple(sorted(found.values(), key=lambda node: node.layer))


def _edges(first: Graph, second: Graph, ours: Parts, theirs: Parts) -> tuple[Edge, ...]:
    """The kept edges of either circuit. A circuit of nodes has every edge among its nodes, drawn or not."""
    found: dict[EdgeKey, float] = {}
    for graph in (first, second):
        for edge, keys in zip(graph.edges, edge_keys(graph)):
            for key in keys if edge.kept else ():
                found.setdefault(key, edge.weight)
    # A head's three inputs are drawn apart only where one of the circuits tells them apart.
    apart = ours.edges is not None or theirs.edges is not None
    made: dict[tuple[str, str, str], Edge] = {}
    for key, weight in found.items():
        source, target, port = key
        where = side(ours.has_edge(key), theirs.has_edge(key))
        if where is None:
            continue
        if apart:
            made[key] = Edge(source, target, weight, label=port, input=port or None, side=where)
        else:
            made[source, target, ""] = Edge(source, target, weight, side=where)
    return tuple(made.values())


def _likeness(facts: dict[str, Any], parts: Sequence[Parts], names: Sequence[str]) -> Matrix:
    """Jaccard of every two circuits: of their edges where all are made of edges, else of their heads."""
    by_edges = all(part.edges is not None for part in parts)
    sets: list[frozenset[Any]] = [part.edges if by_edges and part.edges is not None else part.heads for part in parts]
    values = np.array([[overlap(a, b).jaccard for b in sets] for a in sets], dtype=np.float32)
    what = "edges" if by_edges else "heads"
    return Matrix(
        title=f"Circuits compared: Jaccard of {what}",
        summary=f"{len(names)} circuits; 1: the same {what}, 0: none shared",
        facts=facts,
        values=values,
        axes=(Axis("circuit", tuple(names)), Axis("circuit", tuple(names))),
        unit="shared / united",
    )


def _shared(facts: dict[str, Any], parts: Sequence[Parts], names: Sequence[str]) -> Table:
    """Which circuits keep each head, most shared first."""
    every = sorted(set().union(*(part.heads for part in parts)))
    lines = [(head, [head in part.heads for part in parts]) for head in every]
    lines.sort(key=lambda line: (-sum(line[1]), line[0]))
    in_all = sum(all(kept) for _, kept in lines)
    return Table(
        title="Heads by how many circuits keep them",
        summary=f"{in_all} of {len(every)} heads are in all {len(names)} circuits",
        facts=facts,
        columns=(
            Column("head", "text"),
            Column("circuits", "int", "", "how many keep it"),
            *(Column(name, "bool") for name in names),
        ),
        rows=tuple((str(head), sum(kept), *kept) for head, kept in lines),
    )


__all__ = ["Compare", "compare"]
