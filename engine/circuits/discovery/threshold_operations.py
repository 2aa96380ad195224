"""ACDC at several thresholds as an operation: an edge's score is the smallest that removes it. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from engine.circuits.asking import MetricChoice
from engine.circuits.discovery.asking import OnEdges, SignTest, ask_edges, score_matrix
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Column, Matrix, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.discovery.acdc import EdgeDecision
    from engine.circuits.discovery.computational_graph import ComputationalGraph


class AcdcThresholds(OnEdges, frozen=True, kw_only=True):
    metric: MetricChoice = "kl"
    taus: Annotated[
        tuple[float, ...], Meta(description="thresholds, a JSON list; an edge's score is the smallest that removes it")
    ] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    test: SignTest = "signed"
    order: Annotated[Literal["reverse", "forward"], Meta(description="of heads, inputs and sources")] = "reverse"


def acdc_thresholds(params: AcdcThresholds, ctx: Context) -> Sequence[AnyArtifact]:
    """ACDC at several thresholds: an edge's score is the smallest that removes it. For ROC curves."""
    from engine.circuits.discovery.acdc import acdc as discover
    from engine.circuits.discovery.thresholds import Rule
    from engine.circuits.metrics import METRICS

    taus = sorted(set(params.taus))
    if not taus:
        raise CallError("no threshold is given", "taus", "give a list, such as [0.01,0.1]")
    edges = ask_edges(params, ctx)
    asked, graph = edges.asked, edges.graph
    runs, sizes = edges.runs(), edges.sizes(len(edges.asked.batch.tokens))
    scores = np.full(tuple(graph.edges.shape), 2.0 * taus[-1] if taus[-1] > 0 else 1.0)
    facts = edges.facts(runs) | {
        "taus": taus,
        "test": params.test,
        "order": params.order,
        "score": "the smallest threshold that removes the edge; twice the largest where none does",
    }
    saved = ctx.checkpoints()
    lines = []
    variants = max(1, sizes.rows // max(len(chunk.tokens) for chunk in runs.chunks))
    for number, tau in enumerate(taus):
        unit = f"{tau:g}"
        if unit not in saved:
            rule = Rule(METRICS[params.metric], tau, "absolute", params.test)
            log: list[EdgeDecision] = []
            value = float("nan")
            for tried in discover(
                runs,
                graph,
                rule,
                order=params.order,
                chain=min(16, variants),
                rows=sizes.rows,
                keep_bytes=sizes.keep_bytes,
            ):
                log.extend(tried.decisions)
                value = value if tried.value is None else tried.value
                asked.say(number * graph.size + len(log), len(taus) * graph.size, f"tau {tau:g}")
            removed = [[line.target, line.source] for line in log if line.removed]
            saved[unit] = {"removed": removed, "value": value}
            ctx.checkpoint(unit, saved[unit])
        gone, value = saved[unit]["removed"], float(saved[unit]["value"])
        for target, source in gone:
            scores[target, source] = min(scores[target, source], tau)
        lines.append((tau, graph.size - len(gone), len(gone), value))
        ctx.partial(_thresholds_matrix(graph, scores, facts))
        asked.say(
            (number + 1) * graph.size, len(taus) * graph.size, f"tau {tau:g}: {graph.size - len(gone)} edges kept"
        )
    table = Table(
        title="ACDC by threshold",
        summary=f"{lines[0][1]:,} to {lines[-1][1]:,} edges kept at tau {taus[0]:g} to {taus[-1]:g}",
        facts=facts,
        columns=(
            Column("tau", "float", runs.metric.unit),
            Column("edges kept", "int"),
            Column("edges cut", "int"),
            Column(runs.metric.name, "float", runs.metric.unit, "of the circuit, on the prompts that decided"),
        ),
        rows=tuple(lines),
    )
    return [_thresholds_matrix(graph, scores, facts), table]


def _thresholds_matrix(graph: ComputationalGraph, scores: Any, facts: dict[str, Any]) -> Matrix:
    matrix = score_matrix(
        graph,
        scores,
        title="ACDC: smallest threshold that removes an edge",
        summary=f"{len(facts['taus'])} thresholds, {graph.size:,} edges",
        facts=facts,
        unit=facts["unit"],
    )
    return msgspec.structs.replace(matrix, scale="sequential")


__all__ = ["AcdcThresholds", "acdc_thresholds"]
