"""Faithfulness against size, for circuits taken from scores, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.bootstrap import PairedBootstrap
from engine.circuits.discovery.asking import OnEdges, ask_edges
from engine.circuits.judging.circuit_operations import share_interval
from engine.circuits.judging.faithfulness_curve import FRACTIONS, areas, edges_at
from engine.operations import Context, MatrixRef
from sessions.artifacts import AnyArtifact, Array, Column, Curve, Matrix, Series, Table
from sessions.errors import CallError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.circuits.discovery.computational_graph import ComputationalGraph


class FaithfulnessCurve(OnEdges, frozen=True, kw_only=True):
    scores: Annotated[MatrixRef, Meta(description="scores of edges: @ID of a matrix target x source")]
    select: Annotated[
        Literal["top_n", "greedy"],
        Meta(description="the n best edges, or the best whose target is already in, from the logits"),
    ] = "top_n"
    rank: Annotated[
        Literal["absolute", "positive", "negative"],
        Meta(description="rank edges by the size of their score, by the score, or by the score with its sign turned"),
    ] = "absolute"
    prune: Annotated[bool, Meta(description="drop nodes that nothing reaches or that reach nothing")] = True
    fractions: Annotated[
        tuple[float, ...], Meta(description="parts of the edges that circuits may keep, rising, a JSON list")
    ] = FRACTIONS
    axis: Annotated[Literal["linear", "log"], Meta(description="of the areas: the fraction, or its logarithm")] = (
        "linear"
    )


def faithfulness_curve(params: FaithfulnessCurve, ctx: Context) -> Sequence[AnyArtifact]:
    """Faithfulness of the best edges at each size, the area under it (CPR), and its distance from 1 (CMD)."""
    import torch

    from engine.circuits.discovery.edge_passes import edge_values
    from engine.circuits.discovery.selection_operations import scores_of

    fractions = params.fractions
    if len(fractions) < 2 or min(fractions) <= 0 or max(fractions) > 1 or sorted(set(fractions)) != list(fractions):
        raise CallError(
            "fractions are at least two numbers above 0 and up to 1, rising", "fractions", "write [0.01,0.1,1]"
        )
    edges = ask_edges(params, ctx)
    matrix = ctx.artifact(params.scores)
    assert isinstance(matrix, Matrix)
    graph = edges.graph
    scores = scores_of(matrix, graph)
    runs = edges.runs()
    saved = {key: np.asarray(value) for key, value in ctx.checkpoints().items()}
    bootstrap = PairedBootstrap(runs.size, ctx.seed)
    full = runs.clean.double().numpy()
    total = len(fractions) + 1

    def measured(key: str, mask: Tensor, done: int) -> Array:
        if key not in saved:
            edges.asked.say(done, total, "nothing" if done == 0 else f"{fractions[done - 1]:g} of the edges")
            saved[key] = edge_values((runs,), mask[None], graph)[0][0].double().numpy()
            ctx.checkpoint(key, saved[key])
        return saved[key]

    nothing = measured("nothing", torch.zeros_like(graph.edges), 0)
    span = float(full.mean() - nothing.mean())
    if abs(span) < 1e-9:
        raise CallError(
            f"cutting every edge does not change {params.metric}, so there is nothing to be faithful to",
            "metric",
            "use other prompts, another metric or ablation",
        )
    facts = edges.facts(runs) | {
        "scores": matrix.title,
        "method": matrix.facts.get("method", ""),
        "selection": f"{params.select}, ranked {params.rank}" + (", pruned" if params.prune else ""),
        "axis": params.axis,
        "definition": "f = (circuit - nothing) / (whole model - nothing); CPR: area under f(k), CMD: under |1 - f(k)|, "
        f"k from {fractions[0]:g} to {fractions[-1]:g}",
        "nothing": float(nothing.mean()),
        "interval": "95 %, paired bootstrap over prompts",
    }
    lines: list[tuple[Any, ...]] = []
    for number, fraction in enumerate(fractions, 1):
        n = edges_at(fraction, graph.size)
        mask = _circuit(params, graph, scores, n)
        values = measured(f"{fraction:g}", mask, number)
        f = float((values.mean() - nothing.mean()) / span)
        low, high = share_interval(bootstrap, values, nothing, full)
        lines.append((fraction, n, int(mask.sum()), float(values.mean()), f, low, high, abs(1 - f)))
        ctx.partial(_series(facts, lines))
    edges.asked.say(total, total, "faithfulness")
    for axis in ("linear", "log"):
        found = areas(fractions, [line[4] for line in lines], axis)
        facts |= {f"cpr_{axis}": found.cpr, f"cmd_{axis}": found.cmd, f"width_{axis}": found.width}
    facts |= {"cpr": facts[f"cpr_{params.axis}"], "cmd": facts[f"cmd_{params.axis}"]}
    return [_series(facts, lines), _table(facts, lines)]


def _circuit(params: FaithfulnessCurve, graph: ComputationalGraph, scores: Tensor, n: int) -> Tensor:
    from engine.circuits.discovery.selection import greedy, pruned, top_n

    ranked, absolute = -scores if params.rank == "negative" else scores, params.rank == "absolute"
    choose = top_n if params.select == "top_n" else greedy
    mask = choose(ranked, graph, n, absolute=absolute)
    return pruned(mask, graph) if params.prune else mask


def _told(facts: dict[str, Any]) -> str:
    if "cpr" not in facts:
        return "so far"
    return f"CPR {facts['cpr']:.3f}, CMD {facts['cmd']:.3f} ({facts['axis']} axis)"


def _series(facts: dict[str, Any], lines: Sequence[tuple[Any, ...]]) -> Series:
    columns = np.array([line[:8] for line in lines], np.float64).reshape(-1, 8).T
    x = np.log10(columns[0]) if facts["axis"] == "log" else columns[0]
    return Series(
        title=f"Faithfulness by size ({facts['scores']})",
        summary=_told(facts),
        facts=facts,
        x=x,
        x_name="part of the edges" + (" (log10)" if facts["axis"] == "log" else ""),
        curves=(
            Curve("faithfulness", columns[4], low=columns[5], high=columns[6]),
            Curve("whole model", np.ones(len(x))),
        ),
        y_name=f"faithfulness by {facts['metric']}",
    )


def _table(facts: dict[str, Any], lines: Sequence[tuple[Any, ...]]) -> Table:
    return Table(
        title="Faithfulness by size",
        summary=_told(facts),
        facts=facts,
        columns=(
            Column("fraction", "float", "", "part of the edges that may be kept"),
            Column("edges allowed", "int"),
            Column("edges kept", "int", "", "after pruning"),
            Column("circuit", "float", facts["unit"]),
            Column("faithfulness", "float"),
            Column("low", "float", "", "95 % interval (paired bootstrap)"),
            Column("high", "float"),
            Column("distance", "float", "", "|1 - faithfulness|"),
        ),
        rows=tuple(lines),
    )


__all__ = ["FaithfulnessCurve", "faithfulness_curve"]
