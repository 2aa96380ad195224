"""Circuits from papers as graphs, to lay beside what a method finds. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from engine.operations import Context, ModelRef, Params
from sessions.artifacts import AnyArtifact
from sessions.errors import CallError


class Reference(Params, frozen=True, kw_only=True):
    model: ModelRef
    task: Annotated[
        Literal["ioi", "greater_than", "docstring"], Meta(description="the task whose circuit was found by hand")
    ] = "ioi"


def reference(params: Reference, ctx: Context) -> Sequence[AnyArtifact]:
    """The circuit that researchers found by hand, as a graph of edges of the model given."""
    import torch

    from engine.circuits.discovery.computational_graph import computational_graph
    from engine.circuits.discovery.edge_circuit import edge_graph
    from engine.circuits.judging.known_circuits import expand, internal_edges, known_circuit

    model = ctx.transformer(params.model)
    known, graph = known_circuit(params.task), computational_graph(model.config)
    if not known.fits(graph) or model.config.parallel_attn_mlp:
        mlps = "with MLPs" if known.mlps else "without MLPs"
        raise CallError(
            f"the {params.task} circuit is one of {known.model} ({known.layers} layers of {known.heads} heads, "
            f"{mlps}), and this model has {graph.n_layers} layers of {graph.n_heads} heads",
            "model",
            f"load {known.model}",
        )
    mask = expand(known, graph)
    edges, inside = int(mask.sum()), internal_edges(graph, mask)
    found = edge_graph(
        graph,
        mask,
        torch.where(mask, 1.0, 0.0),
        title=f"Reference circuit: {known.title}",
        summary=f"{edges:,} of {graph.size:,} edges ({edges + inside:,} with {inside} inside heads, as ACDC counts)",
        facts={
            "task": params.task,
            "model": model.handle.source,
            "model_title": model.handle.title,
            "found_on": known.model,
            "source": known.source,
            "checked": "the model's shape only; its weights may be others",
            "edges_with_internal": edges + inside,
            "heads_kept": sum(part.startswith("L") for parts in known.classes.values() for part in parts),
            "classes": {name: list(parts) for name, parts in known.classes.items()},
            "level": "edges",
        },
        weight_name="1: in the reference",
    )
    classes = known.class_of()
    nodes = tuple(
        msgspec.structs.replace(node, label=f"{node.label} {classes[node.component]}")
        if node.component in classes
        else node
        for node in found.nodes
    )
    ctx.progress(1, 1, "reference")
    return [msgspec.structs.replace(found, nodes=nodes)]


__all__ = ["Reference", "reference"]
