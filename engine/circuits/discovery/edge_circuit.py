"""A circuit of edges as a graph that is drawn and stored, and back to the mask that passes are made with."""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.circuit_graph import kept_components, row_of
from engine.circuits.discovery.computational_graph import ComputationalGraph, Link
from sessions.artifacts import Edge, Graph, Node
from sessions.components import Component, Embed, Head, Logits, Mlp, parse_component
from sessions.errors import CallError

MOST_REMOVED = 5_000  # edges that are not kept are drawn and stored up to this many


def edge_graph(
    graph: ComputationalGraph,
    mask: Bool[Tensor, "target source"],
    weights: Float[Tensor, "target source"],
    *,
    title: str,
    summary: str,
    facts: dict[str, Any],
    weight_name: str,
    scores: dict[Component, float] | None = None,
    score_name: str = "",
) -> Graph:
    """The graph of a circuit of edges: kept ones, and removed ones too while there are not too many of them.

    A node is kept when a kept edge leaves it (the logits: enters). Weights that are NaN (never measured) count as 0.
    """
    removed_too = int((graph.edges & ~mask).sum()) <= MOST_REMOVED
    shown = graph.edges if removed_too else mask
    numbers = weights.double().nan_to_num(0.0).tolist()
    kept = mask.tolist()
    edges = []
    for target, source in shown.nonzero().tolist():
        end = graph.targets[target]
        edges.append(
            Edge(
                str(graph.sources[source]),
                str(node_of(end)),
                numbers[target][source],
                kept=kept[target][source],
                input=end.input if isinstance(end, Head) else None,
            )
        )
    used = {*graph.nodes(mask), Logits()}
    every: tuple[Component, ...] = (*graph.sources, Logits())
    return Graph(
        title=title,
        summary=summary,
        facts=facts
        | {
            "edges_kept": int(mask.sum()),
            "edges_total": graph.size,
            "nodes_kept": len(used),
            "removed_edges_stored": removed_too,
        },
        nodes=tuple(
            Node(
                id=str(component),
                label=str(component),
                layer=row_of(component, graph.n_layers),
                component=component,
                score=(scores or {}).get(component),
                kept=component in used,
            )
            for component in every
        ),
        edges=tuple(edges),
        score_name=score_name,
        weight_name=weight_name,
        level="edges",
    )


def mask_of(found: Graph, graph: ComputationalGraph) -> Bool[Tensor, "target source"]:
    """The edges that a graph keeps: its kept edges, or for a circuit of nodes every edge among its kept nodes.

    CallError when it is no circuit, or not one of a model of this shape.
    """
    if found.level == "nodes":
        kept = kept_components(found, n_layers=graph.n_layers, n_heads=graph.n_heads, has_mlps=graph.has_mlps)
        return graph.between(kept)
    components = {node.id: node.component for node in found.nodes}
    links = []
    for edge in found.edges:
        if not edge.kept:
            continue
        source, target = (components.get(end) or parse_component(end) for end in (edge.source, edge.target))
        if isinstance(target, Head) and edge.input is not None:
            target = Head(target.layer, target.head, edge.input)
        if isinstance(source, Logits):
            raise _misfit(found, f"{edge.source}->{edge.target}", graph)
        links.append(Link(source, target))
    try:
        return graph.mask(links)
    except (ValueError, IndexError):
        misfit = next((link for link in links if not _fits(link, graph)), links[0])
        raise _misfit(found, str(misfit), graph) from None


def node_of(target: Component) -> Component:
    """The node an edge's target belongs to: a head for its q, k and v."""
    return Head(target.layer, target.head) if isinstance(target, Head) else target


def _fits(link: Link, graph: ComputationalGraph) -> bool:
    def here(part: Component) -> bool:
        if isinstance(part, Embed | Logits):
            return True
        if isinstance(part, Mlp):
            return graph.has_mlps and part.layer < graph.n_layers
        return part.layer < graph.n_layers and part.head < graph.n_heads

    if not (here(link.source) and here(link.target)):
        return False
    try:
        graph.mask([link])
    except (ValueError, IndexError):
        return False
    return True


def _misfit(found: Graph, edge: str, graph: ComputationalGraph) -> CallError:
    mlps = "" if graph.has_mlps else ", without MLPs"
    return CallError(
        f"the edge {edge} of '{found.title}' is not in this model of {graph.n_layers} layers and {graph.n_heads} "
        f"heads{mlps}",
        "circuit",
        "use a circuit found on a model of the same shape",
    )


__all__ = ["MOST_REMOVED", "edge_graph", "mask_of", "node_of"]
