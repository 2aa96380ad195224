"""How often each part is in the circuit when prompts or order are drawn again, as an operation. Loads without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.circuits.asking import head_axis, layer_axis
from engine.circuits.discovery.asking import AskedEdges, OnEdges, ask_edges, score_matrix
from engine.circuits.judging.stability import Agreement, Method, agreement, one_run
from engine.operations import Context
from sessions.artifacts import AnyArtifact, Array, Column, Graph, Matrix, Table
from sessions.components import Component, Head, Mlp
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.runs import PromptRuns

MOST_ROWS = 5000  # of the table


class Stability(OnEdges, frozen=True, kw_only=True):
    method: Annotated[
        Literal["eap", "eap_ig_inputs", "clean_corrupt", "acdc", "greedy_sweep"],
        Meta(description="which method finds the circuits; greedy_sweep finds heads, the others edges"),
    ] = "eap"
    resamples: Annotated[int, Meta(description="circuits to find", ge=2, le=10_000)] = 20
    vary: Annotated[
        Literal["prompts", "order", "both"],
        Meta(description="what is drawn anew: prompts with replacement, the order in which ACDC tries edges, or both"),
    ] = "prompts"
    edges: Annotated[int, Meta(description="edges of a circuit from scores; 0: one in twenty", ge=0)] = 0
    select: Annotated[
        Literal["top_n", "greedy"],
        Meta(description="circuits from scores: the n best edges, or the best whose target is already in, from logits"),
    ] = "greedy"
    steps: Annotated[int, Meta(description="runs on the way (eap_ig_inputs)", ge=1, le=1000)] = 5
    tau: Annotated[float, Meta(description="threshold of ACDC, in the metric's unit")] = 0.01
    theta: Annotated[float, Meta(description="greatest drop that removes a head (greedy_sweep)")] = 0.03
    least: Annotated[
        float, Meta(description="part of the circuits an edge or head must be in to be kept in the graph", gt=0, le=1)
    ] = 0.5


def stability(params: Stability, ctx: Context) -> Sequence[AnyArtifact]:
    """The circuits that a method finds on resampled prompts (or in other orders), and what they have in common."""
    _check(params)
    edges = ask_edges(params, ctx)
    asked, graph = edges.asked, edges.graph
    heads = params.method == "greedy_sweep"
    shape = (graph.n_layers, graph.n_heads) if heads else tuple(graph.edges.shape)
    items = np.ones(shape, bool) if heads else graph.edges.numpy()
    progress = _Progress(edges, params.resamples)
    method = _method(params, edges, progress)
    prompts, saved = len(asked.batch.tokens), ctx.checkpoints()
    facts = (
        edges.facts(_first(edges, heads))
        | {
            "method": params.method,
            "level": "heads" if heads else "edges",
            "varied": params.vary,
            "resamples": params.resamples,
            "kept_from": params.least,
            "frequency": "part of the circuits found that an edge or head is in",
        }
        | _settings(params, graph.size)
    )
    found: list[Array] = []
    for number in range(params.resamples):
        progress.start(number)
        if str(number) in saved:
            mask = np.unpackbits(np.asarray(saved[str(number)]), count=items.size).astype(bool).reshape(shape)
        else:
            mask = one_run(method, prompts, params.vary, ctx.seed, number)
            ctx.checkpoint(str(number), np.packbits(mask.ravel()))
        found.append(mask[items])
        ctx.partial(_matrix(edges, facts, agreement(np.array(found)), items, heads))
    asked.say(params.resamples, params.resamples, "circuits")
    alike = agreement(np.array(found))
    facts |= {
        "jaccard": alike.jaccard,
        "jaccard_least": alike.least,
        "jaccard_by_chance": alike.by_chance,
        "sizes": [int(size) for size in alike.sizes],
        "in_every_circuit": int((alike.frequency == 1).sum()),
        "in_some_circuit": int((alike.frequency > 0).sum()),
    }
    matrix = _matrix(edges, facts, alike, items, heads)
    return [_graph(edges, facts, matrix.values, params.least, heads), matrix, _table(edges, facts, alike, items, heads)]


def _check(params: Stability) -> None:
    if params.vary != "prompts" and params.method != "acdc":
        raise CallError(f"{params.method} has no order to vary", "vary", "use vary=prompts, or method=acdc")
    if params.method in ("acdc", "greedy_sweep"):
        return
    if params.metric == "accuracy":
        raise CallError("accuracy has no gradient", "metric", "use logit_diff or loss, or method=acdc")
    if params.method == "eap" and params.metric in ("kl", "l2"):
        raise CallError(
            f"{params.metric} is least at the clean run, so it has no gradient there",
            "metric",
            "use logit_diff or loss, or method=eap_ig_inputs",
        )
    if params.method != "eap" and params.ablation != "resample":
        raise CallError(f"method {params.method} goes to the corrupt prompts", "ablation", "use resample")


def _settings(params: Stability, size: int) -> dict[str, Any]:
    match params.method:
        case "acdc":
            order = "random" if params.vary != "prompts" else "reverse"
            return {"tau": params.tau, "mode": "absolute", "test": "signed", "order": order}
        case "greedy_sweep":
            return {"theta": params.theta, "base": "measured at each layer's start", "order": "bottom_up"}
        case _:
            n = params.edges or max(1, size // 20)
            return {"selection": f"{params.select}, {n:,}, by the size of the score, pruned"}


def _first(edges: AskedEdges, heads: bool) -> PromptRuns:
    return edges.asked.runs() if heads else edges.runs()


class _Progress:
    """Whole circuits are counted, and within one how far it is."""

    def __init__(self, edges: AskedEdges, resamples: int) -> None:
        self._edges, self._resamples, self._number = edges, resamples, 0

    def start(self, number: int) -> None:
        self._number = number
        self.within("")

    def within(self, note: str) -> None:
        told = f"circuit {self._number + 1}" + (f": {note}" if note else "")
        self._edges.asked.say(self._number, self._resamples, told)


def _method(params: Stability, edges: AskedEdges, progress: _Progress) -> Method:
    match params.method:
        case "acdc":
            return lambda rows, rng: _acdc(params, edges, progress.within, rows, rng)
        case "greedy_sweep":
            return lambda rows, rng: _sweep(params, edges, progress.within, rows)
        case _:
            return lambda rows, rng: _scored(params, edges, progress.within, rows)


def _scored(params: Stability, edges: AskedEdges, say: Callable[[str], None], rows: Array) -> Array:
    import torch

    from engine.circuits.discovery.attribution import edge_scores
    from engine.circuits.discovery.selection import greedy, pruned, top_n

    assert params.method in ("eap", "eap_ig_inputs", "clean_corrupt")
    graph, total = edges.graph, torch.zeros(edges.graph.edges.shape, dtype=torch.float64)
    for part in edge_scores(edges.runs(rows), graph, params.method, steps=params.steps):
        say(part.name)
        total += part.scores
    choose = greedy if params.select == "greedy" else top_n
    mask: Array = pruned(choose(total, graph, params.edges or max(1, graph.size // 20)), graph).numpy()
    return mask


def _acdc(
    params: Stability, edges: AskedEdges, say: Callable[[str], None], rows: Array, rng: np.random.Generator
) -> Array:
    from engine.circuits.discovery.acdc import acdc
    from engine.circuits.discovery.thresholds import Rule
    from engine.circuits.metrics import METRICS

    graph, runs, sizes = edges.graph, edges.runs(rows), edges.sizes(len(rows))
    variants = max(1, sizes.rows // max(len(chunk.tokens) for chunk in runs.chunks))
    mask: Array = graph.edges.numpy().copy()
    made = acdc(
        runs,
        graph,
        Rule(METRICS[params.metric], params.tau),
        order="reverse" if params.vary == "prompts" else "random",
        rng=rng,
        chain=min(16, variants),
        rows=sizes.rows,
        keep_bytes=sizes.keep_bytes,
    )
    for tried in made:
        for line in tried.decisions:
            mask[line.target, line.source] = not line.removed
        say(f"{graph.targets[tried.decisions[-1].target]}")
    return mask


def _sweep(params: Stability, edges: AskedEdges, say: Callable[[str], None], rows: Array) -> Array:
    from engine.circuits.sweeps.greedy_sweep import greedy_sweep

    mask = np.ones((edges.graph.n_layers, edges.graph.n_heads), bool)
    sizes = edges.asked.sizes(len(rows))
    for chain in greedy_sweep(edges.asked.runs(rows), None, theta=params.theta, rows=sizes.rows):
        for line in chain:
            mask[line.layer, line.head] = not line.removed
        say(str(chain[-1].component))
    return mask


def _told(facts: dict[str, Any], alike: Agreement) -> str:
    what, several = facts["level"], len(alike.sizes)
    if several < 2:
        return f"{several} circuit so far"
    return (
        f"mean Jaccard {alike.jaccard:.3f} over {several} circuits of {alike.sizes.min():,} to {alike.sizes.max():,} "
        f"{what} (by chance {alike.by_chance:.3f}); {int((alike.frequency == 1).sum()):,} {what} are in all of them"
    )


def _matrix(edges: AskedEdges, facts: dict[str, Any], alike: Agreement, items: Array, heads: bool) -> Matrix:
    title, told = f"How often in the circuit ({facts['method']})", _told(facts, alike)
    values = np.full(items.shape, np.nan)
    values[items] = alike.frequency
    if not heads:
        return score_matrix(edges.graph, values, title=title, summary=told, facts=facts, unit="part of the circuits")
    return Matrix(
        title=title,
        summary=told,
        facts=facts,
        values=values.astype(np.float32),
        axes=(layer_axis(edges.asked.model), head_axis(edges.asked.model)),
        unit="part of the circuits",
    )


def _graph(edges: AskedEdges, facts: dict[str, Any], values: Array, least: float, heads: bool) -> Graph:
    import torch

    from engine.circuits.circuit_graph import circuit_graph
    from engine.circuits.discovery.edge_circuit import edge_graph

    graph, name = edges.graph, "part of the circuits it is in"
    slack = 1e-6  # frequencies are stored in single precision
    if not heads:
        often = torch.from_numpy(np.nan_to_num(values)) >= least - slack
        return edge_graph(
            graph,
            often & graph.edges,
            torch.from_numpy(np.nan_to_num(values)),
            title=f"Edges in at least {least:.0%} of the circuits ({facts['method']})",
            summary=f"{int((often & graph.edges).sum()):,} of {graph.size:,} edges; "
            f"mean Jaccard {facts['jaccard']:.3f}",
            facts=facts,
            weight_name=name,
        )
    every = [Head(layer, head) for layer in range(graph.n_layers) for head in range(graph.n_heads)]
    parts: list[Head | Mlp] = []
    for layer in range(graph.n_layers):
        parts += [head for head in every if head.layer == layer]
        parts += [Mlp(layer)] if graph.has_mlps else []
    scores: dict[Component, float] = {head: float(values[head.layer, head.head]) for head in every}
    removed = [head for head in every if scores[head] < least - slack]
    return circuit_graph(
        parts,
        n_layers=graph.n_layers,
        removed=removed,
        scores=scores,
        edges={},
        title=f"Heads in at least {least:.0%} of the circuits ({facts['method']})",
        summary=f"{len(every) - len(removed)} of {len(every)} heads; mean Jaccard {facts['jaccard']:.3f}",
        facts=facts,
        score_name=name,
        weight_name="",
    )


def _table(edges: AskedEdges, facts: dict[str, Any], alike: Agreement, items: Array, heads: bool) -> Table:
    graph, places = edges.graph, np.argwhere(items)
    order = [int(i) for i in np.argsort(-alike.frequency, kind="stable") if alike.frequency[i] > 0][:MOST_ROWS]
    several = len(alike.sizes)

    def named(place: Array) -> tuple[str, ...]:
        if heads:
            return (str(Head(int(place[0]), int(place[1]))),)
        return str(graph.sources[place[1]]), str(graph.targets[place[0]])

    names = (Column("head", "text"),) if heads else (Column("source", "text"), Column("target", "text"))
    return Table(
        title=f"How often in the circuit ({facts['method']})",
        summary=_told(facts, alike),
        facts=facts,
        columns=(
            *names,
            Column("frequency", "float", "", "part of the circuits it is in"),
            Column("circuits", "int", "", f"of {several}"),
        ),
        rows=tuple(
            (*named(places[i]), float(alike.frequency[i]), round(float(alike.frequency[i]) * several)) for i in order
        ),
    )


__all__ = ["Stability", "stability"]
