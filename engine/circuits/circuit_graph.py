"""A circuit as the layered graph that is drawn: embeddings, heads, MLPs, logits, and what their edges are worth."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sessions.artifacts import Edge, Graph, Node
from sessions.components import Component, Embed, Head, Logits, Mlp
from sessions.errors import CallError


def row_of(component: Component, n_layers: int) -> int:
    """The row a component is drawn in: embed 0, the heads of layer l at 1 + 2l, its MLP at 2 + 2l, logits last."""
    match component:
        case Embed():
            return 0
        case Head(layer=layer):
            return 1 + 2 * layer
        case Mlp(layer=layer):
            return 2 + 2 * layer
        case _:
            return 1 + 2 * n_layers


def circuit_graph(
    components: Iterable[Component],
    *,
    n_layers: int,
    removed: Collection[Component],
    scores: Mapping[Component, float],
    edges: Mapping[tuple[Component, Component], float],
    title: str,
    summary: str,
    facts: dict[str, Any],
    score_name: str,
    weight_name: str,
) -> Graph:
    """The graph of all `components`, embeddings and logits added; those of `removed` are there but not kept.

    `edges` are drawn as they are given: an edge that nobody measured does not exist.
    """
    every: list[Component] = [Embed(), *components, Logits()]
    return Graph(
        title=title,
        summary=summary,
        facts=facts,
        nodes=tuple(
            Node(
                id=str(component),
                label=str(component),
                layer=row_of(component, n_layers),
                component=component,
                score=scores.get(component),
                kept=component not in removed,
            )
            for component in every
        ),
        edges=tuple(Edge(str(s), str(t), weight) for (s, t), weight in edges.items()),
        score_name=score_name,
        weight_name=weight_name,
    )


def kept_components(graph: Graph, *, n_layers: int, n_heads: int, has_mlps: bool) -> set[Component]:
    """The heads and MLPs that a graph keeps. A graph without any MLP node says nothing of MLPs: all are kept.

    CallError when the graph is no circuit, or not one of a model of this shape.
    """
    named = [node for node in graph.nodes if node.component is not None]
    heads = [node for node in named if isinstance(node.component, Head)]
    if not heads:
        raise CallError(f"'{graph.title}' has no attention heads", "circuit", "give a graph that a circuit method left")
    kept: set[Component] = set()
    speaks_of_mlps = any(isinstance(node.component, Mlp) for node in named)
    for node in named:
        component = node.component
        if isinstance(component, Head | Mlp):
            head = component.head if isinstance(component, Head) else 0
            if component.layer >= n_layers or head >= n_heads:
                raise CallError(
                    f"{component} of '{graph.title}' is not in this model of {n_layers} layers and {n_heads} heads",
                    "circuit",
                    "use a circuit found on a model of the same shape",
                )
            if node.kept:
                kept.add(Head(component.layer, component.head) if isinstance(component, Head) else component)
    if has_mlps and not speaks_of_mlps:
        kept.update(Mlp(layer) for layer in range(n_layers))
    return kept


__all__ = ["circuit_graph", "kept_components", "row_of"]
