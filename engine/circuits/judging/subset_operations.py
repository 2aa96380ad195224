"""Is the circuit complete, and is all of it needed? Parts of it taken out, as operations. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta

from engine.circuits.asking import Asked, OnPrompts, ask
from engine.circuits.bootstrap import Bounds, PairedBootstrap
from engine.circuits.judging.circuit_operations import Level, circuit_of_nodes, the_circuit
from engine.operations import Context, GraphRef
from sessions.artifacts import AnyArtifact, Array, Column, Graph, Points, Table
from sessions.components import Component, Embed, Head, Mlp, parse_component
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.circuits.judging.subsets import Part, Reduced, Sampled, Subset
    from engine.circuits.runs import PromptRuns

AT_ONCE = 16  # subsets between two saves


class Completeness(OnPrompts, frozen=True, kw_only=True):
    circuit: Annotated[GraphRef, Meta(description="circuit to judge: @ID of its graph")]
    level: Level = "own"
    random: Annotated[int, Meta(description="random subsets of the circuit", ge=0, le=10_000)] = 20
    greedy: Annotated[int, Meta(description="greedy searches for a bad subset", ge=0, le=100)] = 3
    steps: Annotated[int, Meta(description="nodes that a greedy search takes out", ge=1, le=1000)] = 6
    candidates: Annotated[int, Meta(description="nodes it looks at in each step; 0: all", ge=0, le=1000)] = 10


class Minimality(OnPrompts, frozen=True, kw_only=True):
    circuit: Annotated[GraphRef, Meta(description="circuit to judge: @ID of its graph")]
    level: Level = "own"
    random: Annotated[int, Meta(description="random subsets to try each node with", ge=0, le=10_000)] = 10
    steps: Annotated[
        int, Meta(description="nodes a greedy search takes out before it gives a node up", ge=0, le=100)
    ] = 3
    candidates: Annotated[int, Meta(description="nodes it looks at in each step; 0: all", ge=0, le=1000)] = 8
    share: Annotated[float, Meta(description="a change counts from this share of the whole model's metric", gt=0)] = (
        0.01
    )


class _Bench:
    """A circuit on prompts, from which parts are taken out; what was measured is remembered, and saved."""

    def __init__(self, params: Completeness | Minimality, ctx: Context, asked: Asked, graph: Graph) -> None:
        from engine.circuits.discovery.asking import AskedEdges
        from engine.circuits.discovery.computational_graph import computational_graph
        from engine.circuits.discovery.edge_circuit import mask_of
        from engine.circuits.judging.subsets import ReducedEdges, ReducedModel, ReducedNodes

        self.ctx, self.asked, self.graph = ctx, asked, graph
        whole = computational_graph(asked.model.config)
        self.by_edges = (graph.level if params.level == "own" else params.level) == "edges"
        circuit = circuit_of_nodes(graph, asked)
        heads, mlps = (part.cpu() for part in circuit)
        nodes: list[Part] = [Head(layer, head) for layer, head in heads.nonzero().tolist()]
        if self.by_edges:
            mask = mask_of(graph, whole)
            nodes = [part for part in whole.nodes(mask) if not isinstance(part, Embed)]
            self.runs: PromptRuns = AskedEdges(asked, whole).runs()
            reduced: Reduced = ReducedEdges(self.runs, whole, mask)
        else:
            if asked.model.config.d_mlp and not bool(mlps.all()):
                nodes += [Mlp(layer) for layer in mlps.nonzero()[:, 0].tolist()]
            self.runs = asked.runs()
            reduced = ReducedNodes(self.runs, circuit)
        self.nodes = sorted(nodes, key=lambda part: (part.layer, isinstance(part, Mlp), str(part)))
        if not self.nodes:
            raise CallError(f"'{graph.title}' keeps no node", "circuit", "give a circuit that keeps some")
        self._reduced: dict[str, Reduced] = {"C": reduced, "M": ReducedModel(self.runs)}
        self._known: dict[str, Array] = {key: np.asarray(value) for key, value in ctx.checkpoints().items()}

    @property
    def classes(self) -> dict[str, set[Component]]:
        """The classes of nodes that the graph's facts name."""
        found = self.graph.facts.get("classes")
        if not isinstance(found, dict):
            return {}
        return {str(name): {parse_component(str(part)) for part in parts} for name, parts in found.items()}

    def class_of(self, node: Part) -> str:
        return next((name for name, members in self.classes.items() if node in members), "")

    def values(self, which: str, subsets: Sequence[Subset]) -> list[Array]:
        """Per subset, the metric per example of the circuit ("C") or the model ("M") without it."""
        keys = {subset: f"{which} {written(subset)}" for subset in subsets}
        missing = [subset for subset, key in keys.items() if key not in self._known]
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            for subset, values in zip(some, self._reduced[which].without(some)):
                self._known[keys[subset]] = values
                self.ctx.checkpoint(keys[subset], values)
        return [self._known[keys[subset]] for subset in subsets]

    def facts(self) -> dict[str, Any]:
        from engine.circuits.discovery.asking import EDGE_SITES

        return (
            self.asked.facts(self.runs)
            | {
                "circuit": self.graph.title,
                "level": "edges; a node is taken out with all its edges" if self.by_edges else "nodes",
                "nodes": len(self.nodes),
                "interval": "95 %, paired bootstrap over prompts",
            }
            | ({"sites": EDGE_SITES} if self.by_edges else {})
        )


def written(subset: Subset) -> str:
    """A set of nodes in words: `L0H1,mlp2`, in the order in which they compute."""
    return ",".join(str(p) for p in sorted(subset, key=lambda part: (part.layer, isinstance(part, Mlp), str(part))))


class _Measured(NamedTuple):
    sampled: Sampled
    circuit: Array
    model: Array

    @property
    def size(self) -> float:
        return abs(float(self.circuit.mean() - self.model.mean()))


def completeness(params: Completeness, ctx: Context) -> Sequence[AnyArtifact]:
    """How far circuit and model part when the same nodes are taken out of both, at worst."""
    from engine.circuits.judging.subsets import Sampled, greedy_subsets, sampled_subsets

    bench = _Bench(params, ctx, ask(params, ctx), the_circuit(ctx, params.circuit))
    nodes, rng = bench.nodes, np.random.default_rng([ctx.seed, 2])
    fixed = sampled_subsets(nodes, bench.classes, params.random, rng)
    steps = min(params.steps, len(nodes))
    total = len(fixed) + params.greedy * steps
    measured: list[_Measured] = []
    facts = bench.facts()

    def measure(sampled: Sequence[Sampled], done: int, note: str) -> list[_Measured]:
        bench.asked.say(done, total, note)
        subsets = [one.subset for one in sampled]
        parts = zip(sampled, bench.values("C", subsets), bench.values("M", subsets))
        return [_Measured(*part) for part in parts]

    for start in range(0, len(fixed), AT_ONCE):
        some = fixed[start : start + AT_ONCE]
        measured += measure(some, start, f"{some[0].way} to {some[-1].way}")
        ctx.partial(_scatter(facts, measured))
    for search in range(params.greedy):
        own = np.random.default_rng([ctx.seed, 3, search])
        current: Subset = frozenset()
        for step in range(steps):
            way = f"greedy {search + 1}"
            options = [Sampled(s, way) for s in greedy_subsets(nodes, current, params.candidates, own)]
            tried = measure(
                options, len(fixed) + search * steps + step, f"greedy search {search + 1}, {step + 1} nodes"
            )
            best = max(tried, key=lambda one: one.size)
            current = best.sampled.subset
            measured.append(best)
            ctx.partial(_scatter(facts, measured))
    bench.asked.say(total, total, "completeness")
    worst = max(measured, key=lambda one: one.size)
    span = abs(float(bench.runs.clean.double().mean()))
    facts |= {
        "incompleteness": worst.size,
        "worst_subset": written(worst.sampled.subset),
        "subsets": len(measured),
        "greedy": f"{params.greedy} searches of {steps} steps, "
        f"{params.candidates or 'all'} nodes tried in each; the best of each step is listed",
        "definition": "max over subsets K of the circuit C of |m(C without K) - m(M without K)|",
        "bound": "a lower bound: not every subset was tried",
    }
    bootstrap = PairedBootstrap(bench.runs.size, ctx.seed)
    return [_scatter(facts, measured), _complete_table(facts, measured, bootstrap, span)]


def _scatter(facts: dict[str, Any], measured: Sequence[_Measured]) -> Points:
    worst = max(measured, key=lambda one: one.size)
    return Points(
        title="Completeness: circuit against model without the same nodes",
        summary=f"furthest apart: {worst.size:.3g} {facts['unit']}, without "
        f"{written(worst.sampled.subset) or 'nothing'}",
        facts=facts,
        xy=np.array([[one.model.mean(), one.circuit.mean()] for one in measured]),
        labels=tuple(f"{one.sampled.way}: {written(one.sampled.subset) or 'nothing'}" for one in measured),
        colour=np.array([one.size for one in measured]),
        axis_names=(f"model without K ({facts['unit']})", f"circuit without K ({facts['unit']})"),
    )


def _complete_table(
    facts: dict[str, Any], measured: Sequence[_Measured], bootstrap: PairedBootstrap, span: float
) -> Table:
    unit = facts["unit"]
    ordered = sorted(measured, key=lambda one: -one.size)
    lines = []
    for one in ordered:
        low, high = _size_interval(bootstrap, one.circuit, one.model)
        mean = float(one.circuit.mean()), float(one.model.mean())
        text = written(one.sampled.subset) or "nothing"
        share = one.size / span if span > 1e-9 else None
        lines.append((text, one.sampled.way, len(one.sampled.subset), *mean, one.size, low, high, share))
    return Table(
        title="Completeness",
        summary=f"incompleteness {facts['incompleteness']:.3g} {unit}, without {facts['worst_subset'] or 'nothing'}; "
        f"{len(measured)} subsets tried",
        facts=facts,
        columns=(
            Column("K", "text", "", "nodes taken out of both"),
            Column("found by", "text"),
            Column("nodes", "int"),
            Column("circuit without K", "float", unit),
            Column("model without K", "float", unit),
            Column("apart", "float", unit, "|circuit without K - model without K|"),
            Column("low", "float", unit, "95 % interval (paired bootstrap)"),
            Column("high", "float", unit),
            Column("share", "float", "", "apart / |whole model|"),
        ),
        rows=tuple(lines),
    )


def _size_interval(bootstrap: PairedBootstrap, first: Array, second: Array) -> Bounds:
    return bootstrap.interval_of(lambda a, b: np.abs(a - b), first, second)


def minimality(params: Minimality, ctx: Context) -> Sequence[AnyArtifact]:
    """For every node of the circuit, a set without which it matters most; and the nodes that never matter."""
    from engine.circuits.judging.subsets import Sampled, greedy_subsets, sampled_subsets, searched_for

    bench = _Bench(params, ctx, ask(params, ctx), the_circuit(ctx, params.circuit))
    full = abs(float(bench.runs.clean.double().mean()))
    if full < 1e-9:
        raise CallError(
            f"the whole model's {params.metric} is 0, and every share of it too", "metric", "use logit_diff or loss"
        )
    nodes, needed = bench.nodes, params.share * full
    pool = sampled_subsets(nodes, bench.classes, params.random, np.random.default_rng([ctx.seed, 4]))
    lines: list[tuple[Any, ...]] = []
    bootstrap = PairedBootstrap(bench.runs.size, ctx.seed)
    facts = bench.facts() | {
        "threshold": needed,
        "share": params.share,
        "search": f"nothing, each layer, each class, all others, {params.random} random sets; then up to "
        f"{params.steps} greedy steps from the best of them",
        "definition": "change: |m(C without K and v) - m(C without K)|; the K with the largest found",
    }

    def tried(node: Part, sampled: Sequence[Sampled]) -> list[tuple[float, Sampled, Array, Array]]:
        with_it = bench.values("C", [one.subset for one in sampled])
        gone = bench.values("C", [one.subset | {node} for one in sampled])
        parts = zip(sampled, with_it, gone)
        return [(abs(float(b.mean() - a.mean())), one, a, b) for one, a, b in parts]

    for number, node in enumerate(nodes):
        bench.asked.say(number, len(nodes), f"{node}; {sum(not line[-1] for line in lines)} not needed so far")
        found = tried(node, list(searched_for(node, nodes, pool)))
        best = max(found, key=lambda one: one[0])
        rng = np.random.default_rng([ctx.seed, 5, number])
        for _ in range(params.steps):
            others = [part for part in nodes if part not in best[1].subset and part != node]
            if best[0] >= needed or not others:
                break
            grown = greedy_subsets(others, best[1].subset, params.candidates, rng)
            better = max(tried(node, [Sampled(s, "greedy") for s in grown]), key=lambda one: one[0])
            if better[0] <= best[0]:
                break
            best = better
        size, sampled, before, after = best
        alone = found[0]
        lines.append(
            (
                str(node),
                bench.class_of(node),
                written(sampled.subset) or "nothing",
                sampled.way,
                float(before.mean()),
                float(after.mean()),
                size,
                *_size_interval(bootstrap, before, after),
                size / full,
                alone[0],
                size >= needed,
            )
        )
        ctx.partial(_minimal_table(facts, lines, len(nodes)))
    bench.asked.say(len(nodes), len(nodes), "minimality")
    return [_minimal_table(facts, lines, len(nodes))]


def _minimal_table(facts: dict[str, Any], lines: Sequence[tuple[Any, ...]], total: int) -> Table:
    unit = facts["unit"]
    failed = [str(line[0]) for line in lines if not line[-1]]
    told = f"; not needed: {', '.join(failed[:12])}{' ...' if len(failed) > 12 else ''}" if failed else ""
    return Table(
        title="Minimality",
        summary=f"{len(lines) - len(failed)} of {total} nodes change the circuit by {facts['share']:.0%} of the "
        f"model's {facts['metric']} or more{told}",
        facts=facts | {"not_needed": failed},
        columns=(
            Column("node", "text"),
            Column("class", "text"),
            Column("K", "text", "", "nodes taken out before"),
            Column("found by", "text"),
            Column("without K", "float", unit, "the circuit without K"),
            Column("without K and the node", "float", unit),
            Column("change", "float", unit, "|without K and the node - without K|"),
            Column("low", "float", unit, "95 % interval (paired bootstrap)"),
            Column("high", "float", unit),
            Column("share", "float", "", "change / |whole model|"),
            Column("alone", "float", unit, "change with nothing taken out before"),
            Column("needed", "bool", "", f"change of at least {facts['threshold']:.3g} {unit}"),
        ),
        rows=tuple(lines),
    )


__all__ = ["Completeness", "Minimality", "completeness", "minimality", "written"]
