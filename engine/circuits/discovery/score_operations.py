"""Scores of edges and heads as operations: by gradients, exactly, and circuits made from them. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import head_axis, layer_axis
from engine.circuits.discovery.asking import AskedEdges, OnEdges, ask_edges, score_matrix
from engine.circuits.discovery.found import counts, judged
from engine.operations import Context, MatrixRef, ModelRef, Params
from sessions.artifacts import AnyArtifact, Column, Graph, Matrix, Table
from sessions.components import Head, Mlp
from sessions.errors import CallError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.circuits.discovery.attribution import Method
    from engine.circuits.discovery.computational_graph import ComputationalGraph
    from engine.circuits.runs import PromptRuns

MOST_ROWS = 2000  # of the table of edges
WAYS = {
    "eap": "difference of the source's outputs times the gradient at the clean run (2 forwards, 1 backward)",
    "clean_corrupt": "difference times the mean of the gradients at the clean and the corrupt run",
    "eap_ig_inputs": "difference times the mean gradient of runs whose embeddings go from corrupt to clean",
    "eap_ig_activations": "difference times the mean gradient while the source's layer goes from ablated to clean",
    "exact": "edge patching: the edge alone is cut, its target reads anew, and all that follows is computed again",
}
Select = Literal["top_n", "greedy", "threshold"]
SelectField = Annotated[
    Select,
    Meta(
        description="the n best edges; the best whose target is already in, from the logits; or all above a threshold"
    ),
]
EdgesField = Annotated[
    int, Meta(description="edges of the circuit (top_n, greedy); 0: one in ten", ge=0, le=1_000_000)
]
ThresholdField = Annotated[float, Meta(description="least score of an edge of the circuit (select=threshold)", ge=0)]
SignedField = Annotated[
    Literal["absolute", "positive", "negative"],
    Meta(description="rank edges by the size of their score, or only those that raise or lower the metric when cut"),
]
PruneField = Annotated[
    bool, Meta(description="drop nodes that nothing reaches or that reach nothing, until none is left")
]


class Eap(OnEdges, frozen=True, kw_only=True):
    method: Annotated[
        Literal["eap", "eap_ig_inputs", "eap_ig_activations", "clean_corrupt"],
        Meta(description="where the gradient is taken: clean run; on the way from corrupt to clean; at both ends"),
    ] = "eap"
    steps: Annotated[int, Meta(description="runs on the way (eap_ig)", ge=1, le=1000)] = 5
    select: SelectField = "greedy"
    edges: EdgesField = 0
    threshold: ThresholdField = 0.01
    rank: SignedField = "absolute"
    prune: PruneField = True


class EdgePatching(OnEdges, frozen=True, kw_only=True):
    direction: Annotated[
        Literal["noising", "denoising"],
        Meta(
            description="noising: the clean run with one edge ablated; denoising: the corrupt run with one edge clean"
        ),
    ] = "noising"
    select: SelectField = "greedy"
    edges: EdgesField = 0
    threshold: ThresholdField = 0.01
    rank: SignedField = "absolute"
    prune: PruneField = True


class HeadAttribution(OnEdges, frozen=True, kw_only=True):
    """A model, prompts, an ablation and a metric are all it takes."""


class SelectEdges(Params, frozen=True, kw_only=True):
    scores: Annotated[MatrixRef, Meta(description="scores of edges: @ID of a matrix target x source")]
    model: ModelRef
    select: SelectField = "greedy"
    edges: EdgesField = 0
    threshold: ThresholdField = 0.01
    rank: SignedField = "absolute"
    prune: PruneField = True


def eap(params: Eap, ctx: Context) -> Sequence[AnyArtifact]:
    """Every edge's score by attribution patching, and the circuit of the best."""
    if params.metric == "accuracy":
        raise CallError("accuracy has no gradient", "metric", "use logit_diff, loss, prob_diff, or kl with eap_ig")
    if params.metric in ("kl", "l2") and params.method == "eap":
        raise CallError(
            f"{params.metric} is least at the clean run, so it has no gradient there",
            "metric",
            "use logit_diff or loss, or method=eap_ig_inputs",
        )
    if params.method in ("eap_ig_inputs", "clean_corrupt") and params.ablation != "resample":
        raise CallError(
            f"method {params.method} goes to the corrupt prompts", "ablation", "use resample, or eap_ig_activations"
        )
    edges = ask_edges(params, ctx)
    steps = params.steps if params.method.startswith("eap_ig") else 1
    units = {"eap": 1, "clean_corrupt": 2, "eap_ig_inputs": steps}.get(params.method, 1 + 2 * edges.graph.n_layers)
    runs = edges.runs()
    scores = _measured(ctx, edges, runs, params.method, units * len(runs.chunks), steps)
    facts = edges.facts(runs) | {
        "method": params.method,
        "definition": WAYS[params.method],
        "sign": "change of the metric if the edge were cut, to first order",
    }
    if params.method.startswith("eap_ig"):
        facts["steps"] = f"{steps}: k/{steps} of the way to clean, k = 0 to {steps - 1}"
    return _results(params, edges, runs, scores, facts, f"EAP scores ({params.method})")


def edge_patching(params: EdgePatching, ctx: Context) -> Sequence[AnyArtifact]:
    """Every edge's exact worth, one at a time, and the circuit of the best."""
    edges = ask_edges(params, ctx)
    if params.direction == "denoising":
        corrupt = edges.asked.batch.corrupt
        if params.ablation != "resample" or corrupt is None:
            raise CallError(
                "denoising puts clean values into the corrupt run", "ablation", "use resample, on paired prompts"
            )
        if params.metric in ("kl", "l2"):
            raise CallError(
                f"{params.metric} is measured from the run that is patched",
                "metric",
                "use logit_diff, loss or accuracy, or direction=noising",
            )
        batch = edges.asked.batch
        swapped = batch._replace(tokens=corrupt, corrupt=batch.tokens)
        edges = AskedEdges(edges.asked._replace(batch=swapped), edges.graph)
    runs = edges.runs()
    scores = _measured(ctx, edges, runs, "exact", len(edges.graph.targets) * len(runs.chunks), 1)
    base = "clean" if params.direction == "noising" else "corrupt"
    facts = edges.facts(runs) | {
        "method": "exact",
        "definition": WAYS["exact"],
        "direction": params.direction,
        "base": f"the {base} run",
        "sign": f"change of the metric from the {base} run",
        "not_to_be_confused_with": "path patching, which carries an effect through the MLPs between",
    }
    return _results(params, edges, runs, scores, facts, f"Edge patching ({params.direction})")


def _measured(ctx: Context, edges: AskedEdges, runs: PromptRuns, method: Method, units: int, steps: int) -> Tensor:
    """Mean scores over the prompts, share by share, with checkpoints where a share takes long."""
    import torch

    from engine.circuits.discovery.attribution import edge_scores

    total = torch.zeros(edges.graph.edges.shape, dtype=torch.float64)
    saved = ctx.checkpoints() if method == "exact" else {}
    done = 0
    sizes = edges.sizes(runs.size)
    keep = [np.asarray(saved[str(i)]) for i in range(len(saved))] if method == "exact" else []
    parts = edge_scores(runs, edges.graph, method, steps=steps, variants=sizes.variants, skip=len(keep))
    n_targets = len(edges.graph.targets)
    for number, values in enumerate(keep):
        total[n_targets - 1 - number % n_targets] += torch.from_numpy(values)
        done += 1
    edges.asked.say(done, units, method)
    for part in parts:
        total += part.scores
        if method == "exact":
            row = n_targets - 1 - done % n_targets
            ctx.checkpoint(str(done), part.scores[row].numpy())
            ctx.partial(
                score_matrix(
                    edges.graph,
                    (total / runs.size).numpy(),
                    title="Edge patching so far",
                    summary=f"{done + 1} of {units} targets",
                    facts={},
                    unit=runs.metric.unit,
                )
            )
        done += 1
        edges.asked.say(done, units, part.name)
    return total / runs.size


def _results(
    params: Eap | EdgePatching, edges: AskedEdges, runs: PromptRuns, scores: Tensor, facts: dict[str, Any], title: str
) -> Sequence[AnyArtifact]:
    graph = edges.graph
    best = _ordered(graph, scores)
    matrix = score_matrix(
        graph,
        scores.numpy(),
        title=title,
        summary=f"{graph.size:,} edges; largest {best[0][0]}->{best[0][1]} {best[0][2]:+.3g} {runs.metric.unit}",
        facts=facts,
        unit=runs.metric.unit,
    )
    table = Table(
        title=f"{title}: edges",
        summary=f"{min(MOST_ROWS, len(best)):,} of {graph.size:,} edges by the size of their score",
        facts=facts,
        columns=(
            Column("source", "text"),
            Column("target", "text"),
            Column("score", "float", runs.metric.unit, facts["sign"]),
            Column("rank", "int", "", "by |score|"),
        ),
        rows=tuple((*line, rank) for rank, line in enumerate(best[:MOST_ROWS], 1)),
    )
    mask = select(scores, graph, params)
    found = judged(edges, mask, runs, None, "all prompts, which the scores come from")
    return [matrix, table, _circuit(graph, mask, scores, facts | found, params, runs.metric.unit)]


def _ordered(graph: ComputationalGraph, scores: Tensor) -> list[tuple[str, str, float]]:
    import torch

    places = graph.edges.nonzero()
    values = scores[places[:, 0], places[:, 1]]
    order = torch.argsort(values.abs(), descending=True, stable=True).tolist()
    return [
        (str(graph.sources[int(places[i, 1])]), str(graph.targets[int(places[i, 0])]), float(values[i])) for i in order
    ]


def select(scores: Tensor, graph: ComputationalGraph, params: Eap | EdgePatching | SelectEdges) -> Tensor:
    """The circuit that the parameters ask for."""
    from engine.circuits.discovery.selection import above, greedy, pruned, top_n

    absolute, n = params.rank == "absolute", wanted(params, graph)
    ranked = -scores if params.rank == "negative" else scores
    match params.select:
        case "top_n":
            mask = top_n(ranked, graph, n, absolute=absolute)
        case "greedy":
            mask = greedy(ranked, graph, n, absolute=absolute)
        case _:
            mask = above(ranked, graph, params.threshold, absolute=absolute)
    return pruned(mask, graph) if params.prune else mask


def wanted(params: Eap | EdgePatching | SelectEdges, graph: ComputationalGraph) -> int:
    """How many edges are asked for."""
    return params.edges or max(1, graph.size // 10)


def _circuit(
    graph: ComputationalGraph,
    mask: Tensor,
    scores: Tensor,
    facts: dict[str, Any],
    params: Eap | EdgePatching | SelectEdges,
    unit: str,
) -> Graph:
    from engine.circuits.discovery.edge_circuit import edge_graph

    size = counts(graph, mask)
    how = (
        f"score above {params.threshold:g}"
        if params.select == "threshold"
        else f"{params.select}, {wanted(params, graph):,}"
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


def head_attribution(params: HeadAttribution, ctx: Context) -> Sequence[AnyArtifact]:
    """Every head's effect by attribution patching: one backward pass for all of them."""
    import torch

    from engine.circuits.discovery.attribution import head_attribution as attribution

    if params.metric in ("accuracy", "kl", "l2"):
        raise CallError(
            f"{params.metric} has no gradient at the clean run", "metric", "use logit_diff, loss or prob_diff"
        )
    edges = ask_edges(params, ctx)
    asked, runs, c = edges.asked, edges.runs(), edges.asked.model.config
    total = torch.zeros(c.n_layers, c.n_heads, dtype=torch.float64)
    for index in range(len(runs.chunks)):
        asked.say(index, len(runs.chunks), "forward and backward")
        total += attribution(runs, edges.graph, index)
    asked.say(len(runs.chunks), len(runs.chunks), "forward and backward")
    values = (total / runs.size).numpy()
    facts = asked.facts(runs) | {
        "definition": "sum over positions of (z ablated - z clean) . dM/dz at the clean run",
        "sign": "change of the metric if the head were ablated, to first order",
    }
    order = np.argsort(-np.abs(values), axis=None, kind="stable")
    lines = [(str(Head(*divmod(int(i), c.n_heads))), float(values.flat[i])) for i in order]
    return [
        Matrix(
            title=f"Head attribution patching ({params.ablation})",
            summary=f"largest: {', '.join(f'{name} {value:+.3g}' for name, value in lines[:3])}",
            facts=facts,
            values=values.astype(np.float32),
            axes=(layer_axis(asked.model), head_axis(asked.model)),
            unit=runs.metric.unit,
            scale="diverging",
        ),
        Table(
            title="Heads by attribution",
            summary=f"{len(lines)} heads",
            facts=facts,
            columns=(Column("head", "text"), Column("score", "float", runs.metric.unit, facts["sign"])),
            rows=tuple(lines),
        ),
    ]


def select_edges(params: SelectEdges, ctx: Context) -> Sequence[AnyArtifact]:
    """A circuit from scores that were measured before."""
    from engine.circuits.discovery.computational_graph import computational_graph

    matrix = ctx.artifact(params.scores)
    assert isinstance(matrix, Matrix)
    graph = computational_graph(ctx.transformer(params.model).config)
    scores = scores_of(matrix, graph)
    mask = select(scores, graph, params)
    facts = {**matrix.facts, "scores": params.scores}
    ctx.progress(1, 1, "selection")
    return [_circuit(graph, mask, scores, facts, params, matrix.unit)]


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


__all__ = [
    "Eap",
    "EdgePatching",
    "HeadAttribution",
    "SelectEdges",
    "eap",
    "edge_patching",
    "head_attribution",
    "scores_of",
    "select_edges",
]
