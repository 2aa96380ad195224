"""Scores, or a circuit, against a reference circuit, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta

from engine.operations import Context, GraphRef, MatrixRef, ModelRef, Params
from sessions.artifacts import AnyArtifact, Array, Column, Curve, Graph, Matrix, Series, Table
from sessions.components import Head
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.discovery.computational_graph import ComputationalGraph
    from engine.circuits.judging.roc import Roc

MOST_POINTS = 500  # rows of the table; the curve has all


class RocParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    reference: Annotated[GraphRef, Meta(description="the circuit taken for true: @ID of its graph")]
    scores: Annotated[
        MatrixRef | None, Meta(description="scores to judge: @ID of a matrix target x source, or layer x head")
    ] = None
    circuit: Annotated[GraphRef | None, Meta(description="or a circuit to judge: @ID of its graph; one point")] = None
    level: Annotated[
        Literal["edges", "nodes"],
        Meta(description="what is judged; nodes: a node's score is that of its best outgoing edge"),
    ] = "edges"
    rank: Annotated[
        Literal["absolute", "positive", "negative"],
        Meta(description="rank by the size of the score, by the score, or by the score with its sign turned"),
    ] = "absolute"
    ties: Annotated[
        Literal["trapezoid", "pessimistic"],
        Meta(description="equal scores: counted half (trapezoid), or as lost (pessimistic)"),
    ] = "trapezoid"
    constants: Annotated[
        Literal["out", "in"],
        Meta(description="edges of a compiled model that carry a constant only: out of the count, or in the reference"),
    ] = "out"


class Judged(NamedTuple):
    """What is judged: a score and a truth for each item (edge, node or head)."""

    what: str
    scores: Array
    truth: Array
    left_out: int


def roc(params: RocParams, ctx: Context) -> Sequence[AnyArtifact]:
    """The ROC curve of scores (or one point of a circuit) against a reference, its area, and precision."""
    from engine.circuits.discovery.computational_graph import computational_graph
    from engine.circuits.judging.roc import roc as curve_of

    if (params.scores is None) == (params.circuit is None):
        raise CallError("give scores or a circuit, one of them", "scores", "write scores=@ID, or circuit=@ID")
    model = ctx.transformer(params.model)
    graph = computational_graph(model.config)
    reference = ctx.artifact(params.reference)
    assert isinstance(reference, Graph)
    item = ctx.artifact(params.scores or params.circuit or "")
    judged = _judged(params, graph, reference, item)
    positives = int(judged.truth.sum())
    if positives in (0, len(judged.truth)):
        extent = "none" if positives == 0 else "all"
        raise CallError(
            f"{extent} of the {len(judged.truth):,} {judged.what} are in '{reference.title}'",
            "reference",
            "use a reference that holds some and not all",
        )
    found = curve_of(judged.scores, judged.truth)
    area = found.area if params.ties == "trapezoid" else found.pessimistic_area
    facts = {
        "model": model.handle.source,
        "reference": reference.title,
        "judged": item.title,
        "level": judged.what,
        "in_reference": found.positives,
        "not_in_reference": found.negatives,
        "left_out": judged.left_out,
        "rank": params.rank if params.scores else "in the circuit or not",
        "ties": params.ties,
        "auroc": area,
        "auroc_trapezoid": found.area,
        "auroc_pessimistic": found.pessimistic_area,
        "precision_at_reference_size": found.precision_at(found.positives),
        "definition": "TPR: part of the reference that is taken; FPR: part of all else that is taken",
    } | {f"of_{key}": item.facts[key] for key in ("method", "ablation", "metric", "task", "n") if key in item.facts}
    ctx.progress(1, 1, "ROC")
    return [_curve(facts, found), _table(facts, found, single=params.circuit is not None)]


def _judged(params: RocParams, graph: ComputationalGraph, reference: Graph, item: AnyArtifact) -> Judged:
    from engine.circuits.discovery.edge_circuit import mask_of
    from engine.circuits.discovery.selection_operations import scores_of

    if isinstance(item, Matrix) and tuple(axis.name for axis in item.axes) == ("layer", "head"):
        return _heads(params, graph, reference, item)
    true = mask_of(reference, graph).numpy()
    counted = graph.edges.numpy()
    constant = _constants(reference, graph) if params.constants == "out" else np.zeros_like(counted)
    true = true & ~constant
    left_out = int((constant & counted).sum())
    counted = counted & ~constant
    if isinstance(item, Graph):
        scores = mask_of(item, graph).numpy().astype(np.float64)
    else:
        assert isinstance(item, Matrix)
        known = scores_of(item, graph)
        if not np.isfinite(item.values[graph.edges.numpy()]).all():
            raise CallError(f"'{item.title}' lacks scores of some edges", "scores", "wait until it is whole")
        scores = _ranked(params, known.numpy())
    if params.level == "nodes":
        best = np.where(counted, scores, -np.inf).max(0)
        truth = (true & counted).any(0)
        here = np.isfinite(best)
        return Judged("nodes", best[here], truth[here], int((~here).sum()))
    return Judged("edges", scores[counted], true[counted], left_out)


def _heads(params: RocParams, graph: ComputationalGraph, reference: Graph, item: Matrix) -> Judged:
    """Heads by their scores; a head is in a reference of edges when an edge of it leaves the head."""
    from engine.circuits.discovery.edge_circuit import mask_of

    if item.values.shape != (graph.n_layers, graph.n_heads):
        raise CallError(
            f"'{item.title}' has {item.values.shape[0]} x {item.values.shape[1]} heads, the model {graph.n_layers} x "
            f"{graph.n_heads}",
            "scores",
            "give scores of this model",
        )
    if reference.level == "nodes":
        from engine.circuits.circuit_graph import kept_components

        kept = kept_components(reference, n_layers=graph.n_layers, n_heads=graph.n_heads, has_mlps=graph.has_mlps)
    else:
        kept = {*graph.nodes(mask_of(reference, graph))}
    truth = np.zeros(item.values.shape, bool)
    for part in kept:
        if isinstance(part, Head):
            truth[part.layer, part.head] = True
    if not np.isfinite(item.values).all():
        raise CallError(f"'{item.title}' lacks scores of some heads", "scores", "wait until it is whole")
    return Judged("heads", _ranked(params, item.values.astype(np.float64)).ravel(), truth.ravel(), 0)


def _ranked(params: RocParams, scores: Array) -> Array:
    return np.abs(scores) if params.rank == "absolute" else -scores if params.rank == "negative" else scores


def _constants(reference: Graph, graph: ComputationalGraph) -> Array:
    """The edges of a compiled model's graph that carry only a constant."""
    import msgspec

    from engine.circuits.discovery.edge_circuit import mask_of

    if "only a constant" not in reference.weight_name:
        return np.zeros(tuple(graph.edges.shape), bool)
    only = tuple(edge for edge in reference.edges if edge.weight == 0)
    found: Array = mask_of(msgspec.structs.replace(reference, edges=only), graph).numpy()
    return found


def _curve(facts: dict[str, Any], found: Roc) -> Series:
    fpr, tpr = found.fpr, found.tpr
    if facts["ties"] == "pessimistic":  # right first, then up
        fpr = np.repeat(fpr, 2)[1:]
        tpr = np.repeat(tpr, 2)[:-1]
    return Series(
        title=f"ROC of '{facts['judged']}' ({facts['level']})",
        summary=f"AUROC {facts['auroc']:.3f}, precision {facts['precision_at_reference_size']:.3f} at the reference's "
        f"{found.positives:,} {facts['level']}",
        facts=facts,
        x=fpr,
        x_name="false positive rate",
        curves=(Curve("scores", tpr), Curve("chance", fpr.copy())),
        y_name="true positive rate",
    )


def _table(facts: dict[str, Any], found: Roc, *, single: bool) -> Table:
    points = range(1, 2) if single else range(len(found.taken))
    chosen = list(points)
    if len(chosen) > MOST_POINTS:
        chosen = sorted({round(i) for i in np.linspace(0, len(chosen) - 1, MOST_POINTS)})
    rows = []
    for i in chosen:
        taken, hits = int(found.taken[i]), int(found.hits[i])
        precision = hits / taken if taken else None
        rows.append(
            (
                None if not taken else float(found.thresholds[i]),
                taken,
                hits,
                float(found.tpr[i]),
                float(found.fpr[i]),
                precision,
                2 * hits / (taken + found.positives),
            )
        )
    return Table(
        title=f"ROC points of '{facts['judged']}'",
        summary=f"AUROC {facts['auroc_trapezoid']:.4f} (ties lost: {facts['auroc_pessimistic']:.4f}); precision at the "
        f"reference's size {facts['precision_at_reference_size']:.3f}",
        facts=facts,
        columns=(
            Column("threshold", "float", "", "taken are all scores of at least this"),
            Column("taken", "int", facts["level"]),
            Column("in the reference", "int", facts["level"], "of those taken"),
            Column("TPR", "float", "", "part of the reference that is taken"),
            Column("FPR", "float", "", "part of all else that is taken"),
            Column("precision", "float", "", "part of what is taken that is in the reference"),
            Column("F1", "float", "", "harmonic mean of precision and TPR"),
        ),
        rows=tuple(rows),
    )


__all__ = ["RocParams", "roc"]
