"""What ACDC shows while it runs, and what it leaves: the circuit, the decisions, the metric as edges go. No torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.circuits.discovery.asking import AskedEdges
from engine.operations import Context
from sessions.artifacts import Column, Curve, Graph, Series, Table

if TYPE_CHECKING:
    from torch import Tensor

    from engine.circuits.discovery.acdc import EdgeDecision
    from engine.circuits.discovery.computational_graph import ComputationalGraph
    from engine.circuits.runs import PromptRuns

PICTURE_SHARE = 0.1  # of the time, at most, goes into drawing what is not whole yet


class Picture:
    """What is seen while it runs: the graph from which edges fall, and the curves. Drawn only so often that it costs
    little beside the work."""

    def __init__(self, ctx: Context, edges: AskedEdges, facts: dict[str, Any]) -> None:
        self.ctx, self.edges, self.facts = ctx, edges, facts
        self._next = 0.0

    def show(self, log: Sequence[EdgeDecision], curves: Sequence[Sequence[Any]]) -> None:
        import torch

        from engine.circuits.discovery.edge_circuit import MOST_REMOVED, edge_graph

        started = time.monotonic()
        if started < self._next:
            return
        graph = self.edges.graph
        small = graph.size <= MOST_REMOVED
        # of a large graph only what was tried and stayed: all that nobody has looked at yet would hide it
        mask = graph.edges.clone() if small else torch.zeros_like(graph.edges)
        for line in log:
            mask[line.target, line.source] = not line.removed
        gone = sum(line.removed for line in log)
        self.ctx.partial(
            edge_graph(
                graph,
                mask,
                torch.from_numpy(drops(graph.edges.shape, log)),
                title=f"ACDC: {len(log):,} of {graph.size:,} edges tried, {gone:,} cut",
                summary=f"at {graph.targets[log[-1].target]}" if log else "",
                facts=self.facts | {"tried": len(log)},
                weight_name=_weight_name(self.facts),
            )
        )
        self.ctx.partial(_series(self.facts, curves))
        spent = time.monotonic() - started
        self._next = time.monotonic() + max(0.2, spent / PICTURE_SHARE)


def drops(shape: Sequence[int], log: Sequence[EdgeDecision]) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = np.full(tuple(shape), np.nan)
    for line in log:
        if line.tried:
            values[line.target, line.source] = line.drop
    return values


def _weight_name(facts: dict[str, Any]) -> str:
    return f"drop in {facts['metric']} when the edge was tried ({facts['unit']})"


def circuit(
    graph: ComputationalGraph, mask: Tensor, weights: Tensor, facts: dict[str, Any], tau: float, select: PromptRuns
) -> Graph:
    from engine.circuits.discovery.edge_circuit import edge_graph

    fraction = facts["faithfulness"]
    return edge_graph(
        graph,
        mask,
        weights,
        title=f"Circuit of {facts['edges_kept']:,} edges (ACDC, tau {tau:g} {select.metric.unit})",
        summary=f"{facts['edges_kept']:,} of {graph.size:,} edges, {facts['nodes_kept']} nodes "
        f"({facts['heads_kept']} heads); "
        + ("faithfulness undefined" if fraction is None else f"faithfulness {fraction:.3f}")
        + f" on {facts['measured_on']}"
        + (
            f"; accuracy {facts['accuracy_full']:.3f} -> {facts['accuracy_circuit']:.3f}"
            if "accuracy_full" in facts
            else ""
        ),
        facts=facts,
        weight_name=_weight_name(facts),
    )


def decisions_table(facts: dict[str, Any], graph: ComputationalGraph, log: Sequence[EdgeDecision]) -> Table:
    unit, metric = facts["unit"], facts["metric"]
    return Table(
        title="ACDC: decisions",
        summary=f"{facts['edges_removed']:,} of {len(log):,} edges cut; {metric} on {facts['measured_on']} "
        f"{facts['metric_full']:.3g} -> {facts['metric_circuit']:.3g}",
        facts=facts,
        columns=(
            Column("source", "text"),
            Column("target", "text"),
            Column("verdict", "text", "", "unheard: nothing listened to the target any more, so it was not tried"),
            Column("before", "float", unit, f"{metric} of the circuit when the edge was tried"),
            Column("after", "float", unit, "without the edge too"),
            Column("drop", "float", unit, "how much worse"),
            Column("alone", "bool", "", "too close to tau for rounding: measured again in a whole pass"),
        ),
        rows=tuple(
            (
                str(graph.sources[line.source]),
                str(graph.targets[line.target]),
                ("cut" if line.removed else "kept") if line.tried else "unheard",
                line.before,
                line.after,
                line.drop if line.tried else None,
                line.alone,
            )
            for line in log
        ),
    )


def _series(facts: dict[str, Any], curves: Sequence[Sequence[Any]]) -> Series:
    lines = np.array([[np.nan if v is None else v for v in line] for line in curves], dtype=np.float64).reshape(-1, 5)
    found = [Curve("prompts that decide", lines[:, 1])]
    if facts["n_held_out"]:
        found.append(Curve("held out", lines[:, 2], low=lines[:, 3], high=lines[:, 4]))
    return Series(
        title=f"ACDC: {facts['metric']} as edges go",
        summary=f"after {len(lines)} targets",
        facts=facts,
        x=lines[:, 0],
        x_name="edges cut",
        curves=tuple(found),
        y_name=f"{facts['metric_title']} ({facts['unit']})",
    )


def curves(
    facts: dict[str, Any], select: PromptRuns, aside: PromptRuns | None, lines: Sequence[Sequence[Any]]
) -> Series:
    clean = float(select.clean.double().mean())
    held = None if aside is None else float(aside.clean.double().mean())
    whole = _series(facts, [[0, clean, held, held, held], *lines])
    ends = f"from {clean:.3g} to {lines[-1][1]:.3g} on the prompts that decide"
    if held is not None and lines[-1][2] is not None:
        ends += f", {held:.3g} to {lines[-1][2]:.3g} held out"
    return msgspec.structs.replace(whole, summary=ends)


__all__ = ["Picture", "circuit", "curves", "decisions_table", "drops"]
