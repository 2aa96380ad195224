"""ACDC as an operation: edges fall away as it runs; the circuit, its score, and how it does on prompts held out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from engine.circuits.asking import MetricChoice, split_rows
from engine.circuits.discovery.asking import AskedEdges, HeldOut, OnEdges, ask_edges, score_matrix
from engine.circuits.discovery.found import counts, judged
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Column, Curve, Graph, Matrix, Series, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.circuits.discovery.acdc import EdgeDecision
    from engine.circuits.runs import PromptRuns

PICTURE_SHARE = 0.1  # of the time, at most, goes into drawing what is not whole yet


Test = Annotated[
    Literal["signed", "absolute"],
    Meta(description="signed: an improvement removes an edge too; absolute: only a small change does"),
]


class Acdc(OnEdges, frozen=True, kw_only=True):
    metric: MetricChoice = "kl"
    tau: Annotated[float, Meta(description="threshold: in the metric's unit, or a share of its value (percentage)")] = (
        0.01
    )
    mode: Annotated[
        Literal["absolute", "percentage", "fixed"],
        Meta(
            description="compare with the value before (absolute), with a share of it (percentage), or with the whole "
            "model's, which bounds the drift of the whole run (fixed)"
        ),
    ] = "absolute"
    test: Test = "signed"
    order: Annotated[
        Literal["reverse", "forward", "random"],
        Meta(description="of heads, inputs and sources; targets always go from the logits down"),
    ] = "reverse"
    held_out: HeldOut = 0.5
    chain: Annotated[
        int, Meta(description="most edges tried at once, guessing their verdicts; decisions stay the same", ge=1, le=64)
    ] = 16


class AcdcThresholds(OnEdges, frozen=True, kw_only=True):
    metric: MetricChoice = "kl"
    taus: Annotated[
        tuple[float, ...], Meta(description="thresholds, a JSON list; an edge's score is the smallest that removes it")
    ] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    test: Test = "signed"
    order: Annotated[Literal["reverse", "forward"], Meta(description="of heads, inputs and sources")] = "reverse"


def acdc(params: Acdc, ctx: Context) -> Sequence[AnyArtifact]:
    """Every edge cut that the metric does not miss; what is left is the circuit."""
    import torch

    from engine.circuits.bootstrap import PairedBootstrap
    from engine.circuits.discovery.acdc import EdgeDecision
    from engine.circuits.discovery.acdc import acdc as discover
    from engine.circuits.discovery.thresholds import Rule
    from engine.circuits.metrics import METRICS
    from engine.hardware import TooLargeError, is_out_of_memory

    if params.mode == "percentage" and params.metric == "kl":
        raise CallError(
            "the whole model's KL is 0, and every share of it too", "mode", "use absolute or fixed, or another metric"
        )
    if params.mode != "absolute" and params.test == "absolute":
        raise CallError(f"mode {params.mode} bounds a loss only", "test", "use test=signed, or mode=absolute")
    edges = ask_edges(params, ctx)
    asked, graph = edges.asked, edges.graph
    rows, aside_rows = split_rows(ctx.rng, len(asked.batch.tokens), params.held_out)
    select = edges.runs(rows)
    aside = edges.runs(aside_rows) if len(aside_rows) else None
    rule = Rule(METRICS[params.metric], params.tau, params.mode, params.test)
    facts = edges.facts(select) | {
        "n": len(rows) + len(aside_rows),
        "n_select": len(rows),
        "n_held_out": len(aside_rows),
        "tau": params.tau,
        "mode": params.mode,
        "test": rule.words,
        "order": f"targets from the logits down; heads, inputs and sources: {params.order}",
        "sign": "drop: how much worse than before the edge was cut",
        "total": graph.size,
    }
    units = [unit for _, unit in sorted(ctx.checkpoints().items(), key=lambda item: int(item[0]))]
    saved = [[msgspec.convert(line, EdgeDecision) for line in unit["decisions"]] for unit in units]
    log = [line for lines in saved for line in lines]
    curves = [unit["curve"] for unit in units]
    sizes = edges.sizes(len(rows))
    picture = _Picture(ctx, edges, facts)
    asked.say(len(log), graph.size, f"{len(rows)} prompts decide, {len(aside_rows)} are held out")
    while True:
        made = discover(
            select,
            graph,
            rule,
            held_out=aside,
            order=params.order,
            rng=np.random.default_rng([ctx.seed, 1]),
            chain=min(params.chain, max(1, sizes.rows // max(len(chunk.tokens) for chunk in select.chunks))),
            rows=sizes.rows,
            keep_bytes=sizes.keep_bytes,
            bootstrap=PairedBootstrap(len(aside_rows), ctx.seed) if aside is not None else None,
            decided=tuple(saved),
        )
        try:
            for tried in made:
                log.extend(tried.decisions)
                gone = sum(line.removed for line in log)
                asked.say(len(log), graph.size, f"{graph.targets[log[-1].target]}; {gone:,} edges cut")
                if tried.value is not None:
                    held = tried.held_out or ((*curves[-1][2:],) if curves else (None, None, None))
                    curves.append([gone, tried.value, *held])
                    since = sum(map(len, saved))
                    unit = {"decisions": [msgspec.to_builtins(line) for line in log[since:]], "curve": curves[-1]}
                    ctx.checkpoint(str(len(saved)), unit)
                    saved.append(log[since:])
                picture.show(log, curves)
            break
        except (RuntimeError, MemoryError, TooLargeError) as error:
            if not is_out_of_memory(error):
                raise
        # decisions do not depend on the chunks: go on with smaller ones from the last target that was finished
        select, aside = select.narrower(), None if aside is None else aside.narrower()
        log = [line for lines in saved for line in lines]
    mask = torch.ones_like(graph.edges) & graph.edges
    for line in log:
        mask[line.target, line.source] = not line.removed
    where = "held-out prompts" if aside else "the prompts that decided"
    found = judged(edges, mask, aside or select, aside_rows if aside else rows, where)
    facts |= found | counts(graph, mask)
    weights = torch.from_numpy(_drops(graph.edges.shape, log))
    circuit = _circuit(graph, mask, weights, facts, params.tau, select)
    return [circuit, _table(facts, graph, log), _curves(facts, select, aside, curves)]


class _Picture:
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
                torch.from_numpy(_drops(graph.edges.shape, log)),
                title=f"ACDC: {len(log):,} of {graph.size:,} edges tried, {gone:,} cut",
                summary=f"at {graph.targets[log[-1].target]}" if log else "",
                facts=self.facts | {"tried": len(log)},
                weight_name=_weight_name(self.facts),
            )
        )
        self.ctx.partial(_series(self.facts, curves))
        spent = time.monotonic() - started
        self._next = time.monotonic() + max(0.2, spent / PICTURE_SHARE)


def _drops(shape: Sequence[int], log: Sequence[EdgeDecision]) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = np.full(tuple(shape), np.nan)
    for line in log:
        if line.tried:
            values[line.target, line.source] = line.drop
    return values


def _weight_name(facts: dict[str, Any]) -> str:
    return f"drop in {facts['metric']} when the edge was tried ({facts['unit']})"


def _circuit(graph: Any, mask: Tensor, weights: Tensor, facts: dict[str, Any], tau: float, select: PromptRuns) -> Graph:
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


def _table(facts: dict[str, Any], graph: Any, log: Sequence[EdgeDecision]) -> Table:
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


def _curves(
    facts: dict[str, Any], select: PromptRuns, aside: PromptRuns | None, curves: Sequence[Sequence[Any]]
) -> Series:
    clean = float(select.clean.double().mean())
    held = None if aside is None else float(aside.clean.double().mean())
    whole = _series(facts, [[0, clean, held, held, held], *curves])
    ends = f"from {clean:.3g} to {curves[-1][1]:.3g} on the prompts that decide"
    if held is not None and curves[-1][2] is not None:
        ends += f", {held:.3g} to {curves[-1][2]:.3g} held out"
    return msgspec.structs.replace(whole, summary=ends)


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


def _thresholds_matrix(graph: Any, scores: Any, facts: dict[str, Any]) -> Matrix:
    matrix = score_matrix(
        graph,
        scores,
        title="ACDC: smallest threshold that removes an edge",
        summary=f"{len(facts['taus'])} thresholds, {graph.size:,} edges",
        facts=facts,
        unit=facts["unit"],
    )
    return msgspec.structs.replace(matrix, scale="sequential")


__all__ = ["Acdc", "AcdcThresholds", "acdc", "acdc_thresholds"]
