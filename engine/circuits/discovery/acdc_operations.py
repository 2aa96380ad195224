"""ACDC as an operation: edges fall away as it runs; the circuit, its score, and how it does on prompts held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from engine.circuits.asking import MetricChoice, split_rows
from engine.circuits.discovery.acdc_results import Picture, circuit, curves, decisions_table, drops
from engine.circuits.discovery.asking import HeldOut, OnEdges, SignTest, ask_edges
from engine.circuits.discovery.found import counts, judged
from engine.operations import Context
from sessions.artifacts import AnyArtifact
from sessions.errors import CallError


class Acdc(OnEdges, frozen=True, kw_only=True):
    metric: MetricChoice = "kl"
    tau: Annotated[
        float, Meta(ge=0, description="threshold: in the metric's unit, or a share of its value (percentage)")
    ] = 0.01
    mode: Annotated[
        Literal["absolute", "percentage", "fixed"],
        Meta(
            description="compare with the value before (absolute), with a share of it (percentage), or with the whole "
            "model's, which bounds the drift of the whole run (fixed)"
        ),
    ] = "absolute"
    test: SignTest = "signed"
    order: Annotated[
        Literal["reverse", "forward", "random"],
        Meta(description="of heads, inputs and sources; targets always go from the logits down"),
    ] = "reverse"
    held_out: HeldOut = 0.5
    chain: Annotated[
        int, Meta(description="most edges tried at once, guessing their verdicts; decisions stay the same", ge=1, le=64)
    ] = 16


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
    lines = [unit["curve"] for unit in units]
    sizes = edges.sizes(len(rows))
    picture = Picture(ctx, edges, facts)
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
                    held = tried.held_out or ((*lines[-1][2:],) if lines else (None, None, None))
                    lines.append([gone, tried.value, *held])
                    since = sum(map(len, saved))
                    unit = {"decisions": [msgspec.to_builtins(line) for line in log[since:]], "curve": lines[-1]}
                    ctx.checkpoint(str(len(saved)), unit)
                    saved.append(log[since:])
                picture.show(log, lines)
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
    weights = torch.from_numpy(drops(graph.edges.shape, log))
    return [
        circuit(graph, mask, weights, facts, params.tau, select),
        decisions_table(facts, graph, log),
        curves(facts, select, aside, lines),
    ]


__all__ = ["Acdc", "acdc"]
