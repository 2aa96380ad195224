"""Scores of all edges as operations: by gradients, and exactly. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.discovery.asking import AskedEdges, OnEdges, ask_edges, score_matrix
from engine.circuits.discovery.found import judged
from engine.circuits.discovery.selection_operations import (
    EdgesField,
    PruneField,
    RankField,
    SelectField,
    ThresholdField,
    selected,
    selected_circuit,
)
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Column, Table
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


class ScoredEdges(OnEdges, frozen=True, kw_only=True):
    """What every method that scores edges takes: which of them become a circuit."""

    select: SelectField = "greedy"
    edges: EdgesField = 0
    threshold: ThresholdField = 0.01
    rank: RankField = "absolute"
    prune: PruneField = True


class Eap(ScoredEdges, frozen=True, kw_only=True):
    method: Annotated[
        Literal["eap", "eap_ig_inputs", "eap_ig_activations", "clean_corrupt"],
        Meta(description="where the gradient is taken: clean run; on the way from corrupt to clean; at both ends"),
    ] = "eap"
    steps: Annotated[int, Meta(description="runs on the way (eap_ig)", ge=1, le=1000)] = 5


class EdgePatching(ScoredEdges, frozen=True, kw_only=True):
    direction: Annotated[
        Literal["noising", "denoising"],
        Meta(
            description="noising: the clean run with one edge ablated; denoising: the corrupt run with one edge clean"
        ),
    ] = "noising"


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
    patched = edges
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
        patched = AskedEdges(edges.asked._replace(batch=swapped), edges.graph)
    runs = patched.runs()
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
    clean = runs if patched is edges else edges.runs()  # a circuit is judged on the clean prompts, however it was found
    return _results(params, edges, clean, scores, facts, f"Edge patching ({params.direction})")


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
    params: ScoredEdges, edges: AskedEdges, runs: PromptRuns, scores: Tensor, facts: dict[str, Any], title: str
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
    mask = selected(scores, graph, params)
    found = judged(edges, mask, runs, None, "all prompts, which the scores come from")
    return [matrix, table, selected_circuit(graph, mask, scores, facts | found, params, runs.metric.unit)]


def _ordered(graph: ComputationalGraph, scores: Tensor) -> list[tuple[str, str, float]]:
    import torch

    places = graph.edges.nonzero()
    values = scores[places[:, 0], places[:, 1]]
    order = torch.argsort(values.abs(), descending=True, stable=True).tolist()
    return [
        (str(graph.sources[int(places[i, 1])]), str(graph.targets[int(places[i, 0])]), float(values[i])) for i in order
    ]


__all__ = ["Eap", "EdgePatching", "eap", "edge_patching"]
