"""A circuit from scores of edges: the parameters that say which, and the operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
from msgspec import Meta

from engine.circuits.discovery.found import counts
from engine.operations import Context, MatrixRef, ModelRef, Params
from sessions.artifacts import AnyArtifact, Graph, Matrix
from sessions.components import Head, Mlp
from sessions.errors import CallError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.circuits.discovery.computational_graph import ComputationalGraph

Select = Literal["top_n", "greedy", "threshold"]
SelectField = Annotated[
    Select,
    Meta(
        description="the n best edges; the best whose target is already in, from the logits; or all above a threshold"
    ),
]
EdgesField = Annotated[int, Meta(description="edges of the circuit (top_n, greedy); 0: one in ten", ge=0, le=1_000_000)]
ThresholdField = Annotated[float, Meta(description="least score of an edge of the circuit (select=threshold)", ge=0)]
Rank = Literal["absolute", "positive", "negative"]
RankField = Annotated[
    Rank,
    Meta(description="rank edges by the size of their score, by the score, or by the score with its sign turned"),
]
PruneField = Annotated[
    bool, Meta(description="drop nodes that nothing reaches or that reach nothing, until none is left")
]


class Selects(Protocol):
    """Parameters that say which edges become a circuit."""

    @property
    def select(self) -> Select: ...

    @property
    def edges(self) -> int: ...

    @property
    def threshold(self) -> float: ...

    @property
    def rank(self) -> Rank: ...

    @property
    def prune(self) -> bool: ...


class SelectEdges(Params, frozen=True, kw_only=True):
    scores: Annotated[MatrixRef, Meta(description="scores of edges: @ID of a matrix target x source")]
    model: ModelRef
    select: SelectField = "greedy"
    edges: EdgesField = 0
    threshold: ThresholdField = 0.01
    rank: RankField = "absolute"
    prune: PruneField = True


def select_edges(params: SelectEdges, ctx: Context) -> Sequence[AnyArtifact]:
    """A circuit from scores that were measured before."""
    from engine.circuits.discovery.computational_graph import computational_graph

    matrix = ctx.artifact(params.scores)
    assert isinstance(matrix, Matrix)
    graph = computational_graph(ctx.transformer(params.model).config)
    scores = scores_of(matrix, graph)
    mask = selected(scores, graph, params)
    facts = {**matrix.facts, "scores": params.scores}
    ctx.progress(1, 1, "selection")
    return [selected_circuit(graph, mask, scores, facts, params, matrix.unit)]


def scores_of(matrix: Matrix, graph: ComputationalGraph) -> Tensor:
    """The scores of a matrix target x source, 0 where there is no edge. CallError when it is not one of this model."""
    import torch

    names = tuple(str(target) for target in graph.targets), tuple(str(source) for source in graph.sources)
    if tuple(axis.labels for axis in matrix.axes) != names:
        heads = sum(isinstance(source, Head) for source in graph.sources)
        mlps = sum(isinstance(source, Mlp) for source in graph.sources)
        raise CallError(
            f"'{matrix.title}' does not hold scores of this model's edges",
            "scores",
            f"give a matrix target x source of a model with {heads} heads and {mlps} MLPs, made by circuits.eap",
        )
    return torch.from_numpy(np.nan_to_num(matrix.values.astype(np.float64)))


def selected(scores: Tensor, graph: ComputationalGraph, params: Selects) -> Tensor:
    """The circuit that the parameters ask for."""
    from engine.circuits.discovery.selection import above, greedy, pruned, top_n

    absolute, n = params.rank == "absolute", _wanted(params, graph)
    ranked = -scores if params.rank == "negative" else scores
    match params.select:
        case "top_n":
            mask = top_n(ranked, graph, n, absolute=absolute)
        case "greedy":
            mask = greedy(ranked, graph, n, absolute=absolute)
        case _:
            mask = above(ranked, graph, params.threshold, absolute=absolute)
    return pruned(mask, graph) if params.prune else mask


def _wanted(params: Selects, graph: ComputationalGraph) -> int:
    """How many edges are asked for."""
    return params.edges or max(1, graph.size // 10)


def selected_circuit(
    graph: ComputationalGraph,
    mask: Tensor,
    scores: Tensor,
    facts: dict[str, Any],
    params: Selects,
    unit: str,
) -> Graph:
    from engine.circuits.discovery.edge_circuit import edge_graph

    size = counts(graph, mask)
    how = (
        f"score above {params.threshold:g}"
        if params.select == "threshold"
        else f"{params.select}, {_wanted(params, graph):,}"
    )
    words = f"{how}, ranked {params.rank}" + (", pruned" if params.prune else "")
    fraction = facts.get("faithfulness")
    judged_words = ""
    if "metric_full" in facts:
        judged_words = "; faithfulness " + ("undefined" if fraction is None else f"{fraction:.3f}")
    return edge_graph(
        graph,
        mask,
        scores,
        title=f"Circuit of {size['edges_kept']:,} edges ({facts.get('method', 'scores')}; {words})",
        summary=f"{size['edges_kept']:,} of {graph.size:,} edges, {size['nodes_kept']} nodes "
        f"({size['heads_kept']} heads){judged_words}",
        facts=facts | size | {"selection": words},
        weight_name=f"score ({unit})",
    )


__all__ = [
    "EdgesField",
    "PruneField",
    "RankField",
    "SelectEdges",
    "SelectField",
    "Selects",
    "ThresholdField",
    "scores_of",
    "select_edges",
    "selected",
    "selected_circuit",
]
