"""ACDC, automatic circuit discovery (Conmy et al. 2023; circuits.md, section b).

For each target from the logits down, for each of its sources: cut the edge; if the metric does not mind (see
`thresholds`), it stays cut and the metric's present value moves along, else it comes back. A target that nothing
listens to any more loses its edges untried. One evaluation per edge, and the result depends on the order.

Edges of one target are tried side by side, each guess assuming verdicts for those before it; a batch counts up to its
first wrong guess. A guess changes no decision, and where rounding could, the edge is tried again in a whole pass: the
decisions are those of the plain algorithm, one whole pass per edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.bootstrap import PairedBootstrap
from engine.circuits.discovery.computational_graph import ComputationalGraph
from engine.circuits.discovery.edge_passes import EdgePass, EdgePasses
from engine.circuits.discovery.thresholds import Rule, Value
from engine.circuits.runs import PromptRuns
from engine.hardware import halving
from sessions.components import Embed, Head, HeadInput, Logits, Mlp

Order = Literal["reverse", "forward", "random"]
LOOK_BACK = 16  # decisions that a guess is made from


class EdgeDecision(msgspec.Struct, frozen=True, array_like=True):
    """One line of the log. Values are as the metric gives them; `drop` is turned so that more is worse."""

    target: int
    source: int
    before: float  # the circuit's value when the edge was tried
    after: float  # without it
    drop: float
    removed: bool
    alone: bool = False  # so close to the threshold that it was tried again in a whole pass
    tried: bool = True  # False: nothing listened to the target any more


class Tried(NamedTuple):
    """Some decisions about one target. With the last of them, `value` is the circuit's value in a whole pass, and after
    removals `held_out` that of the prompts that decide nothing (with its interval, if one was asked for)."""

    decisions: tuple[EdgeDecision, ...]
    value: float | None = None
    held_out: tuple[float, float | None, float | None] | None = None


def traversal(
    graph: ComputationalGraph, order: Order = "reverse", rng: np.random.Generator | None = None
) -> list[tuple[int, list[int]]]:
    """Targets in reverse topological order, each with its sources in the order in which they are tried.

    `reverse`: heads from the last to the first, v before k before q, sources from the last to the first. `forward`:
    heads, inputs and sources from the first on. `random`: heads of a layer, inputs and sources shuffled by `rng`.
    """
    result = []
    for target in [graph.target(Logits()), *_layers_down(graph, order, rng)]:
        sources = graph.edges[target].nonzero()[:, 0].tolist()
        if order == "random":
            assert rng is not None
            sources = rng.permutation(sources).tolist()
        result.append((target, sources if order == "forward" else sources[::-1]))
    return result


def _layers_down(graph: ComputationalGraph, order: Order, rng: np.random.Generator | None) -> Iterator[int]:
    names: tuple[HeadInput, ...] = ("q", "k", "v")
    for layer in reversed(range(graph.n_layers)):
        if graph.has_mlps:
            yield graph.target(Mlp(layer))
        inputs = [graph.target(Head(layer, head, name)) for head in range(graph.n_heads) for name in names]
        if order == "random":
            assert rng is not None
            yield from rng.permutation(inputs).tolist()
        else:
            yield from inputs if order == "forward" else reversed(inputs)


class _Standing:
    """The circuit so far on one prompt set: its mask, and its own pass over every chunk."""

    def __init__(self, runs: PromptRuns, graph: ComputationalGraph, keep_bytes: int) -> None:
        self.runs, self.graph = runs, graph
        self.passes = EdgePasses(runs, graph, keep_bytes=keep_bytes // 2)
        self.mask: Tensor = graph.edges.clone()
        self._kept: dict[int, EdgePass] = {}
        self._budget = keep_bytes // 2

    def own(self, index: int) -> EdgePass:
        """The circuit's pass over a chunk; made anew where not all chunks' fit."""
        found = self._kept.get(index)
        if found is None:
            found = self.passes.run(index, self.mask)
            self._keep(index, found)
        return found

    def _keep(self, index: int, found: EdgePass) -> None:
        size = found.own.nbytes + found.own_at.nbytes + sum(t.nbytes for ts in found[3:7] for t in ts)
        if index in self._kept or size <= self._budget:
            self._budget -= 0 if index in self._kept else size
            self._kept[index] = found

    def examples(self) -> Float[Tensor, " example"]:
        """The metric of the circuit, in whole passes."""
        parts = [self.runs.values(index, self.own(index).final)[0] for index in range(len(self.runs.chunks))]
        return torch.cat(parts).double()

    def value(self) -> float:
        return float(self.examples().mean())

    def value_without(self, target: int, lost: Bool[Tensor, " source"]) -> float:
        """The same with the target's `lost` sources cut too: one whole pass."""
        mask = self.mask.clone()
        mask[target] &= ~lost
        layer, total = self.graph.layer_of(target), 0.0
        for index in range(len(self.runs.chunks)):
            found = self.passes.run(index, mask, like=self.own(index), layer=layer)
            total += float(self.runs.values(index, found.final).double().sum())
        return total / self.runs.size

    def values_without(self, target: int, lost: Bool[Tensor, "variant source"], variants: int) -> list[Value]:
        """The same for several sets of lost sources, side by side, with what rounding allows."""
        sums = torch.zeros(3, len(lost), dtype=torch.float64)
        for index in range(len(self.runs.chunks)):
            own = self.own(index)

            def measured(start: int, stop: int, index: int = index, own: EdgePass = own) -> Tensor:
                final = self.passes.without(index, own, {target: lost[start:stop]})
                value, bounds = self.runs.bounded(index, final)
                return torch.stack([part.double().sum(1) for part in (value, bounds.low, bounds.high)])

            device = str(self.runs.model.device)
            sums += torch.cat(list(halving(measured, len(lost), variants, device=device)), 1)
        return [Value(*column) for column in (sums / self.runs.size).T.tolist()]

    def forget(self, target: int) -> None:
        """No edge into this target is kept any more. Nothing listens to it, so no value changes."""
        self.mask = self.mask.clone()
        self.mask[target] = False

    def cut(self, target: int, lost: Bool[Tensor, " source"]) -> None:
        """These edges are gone for good."""
        self.mask = self.mask.clone()
        self.mask[target] &= ~lost
        layer = self.graph.layer_of(target)
        for index, before in list(self._kept.items()):
            self._kept[index] = self.passes.run(index, self.mask, like=before, layer=layer)


def acdc(
    runs: PromptRuns,
    graph: ComputationalGraph,
    rule: Rule,
    *,
    held_out: PromptRuns | None = None,
    order: Order = "reverse",
    rng: np.random.Generator | None = None,
    chain: int = 16,
    plain: bool = False,
    rows: int = 1024,
    keep_bytes: int = 2**30,
    bootstrap: PairedBootstrap | None = None,
    decided: Sequence[Sequence[EdgeDecision]] = (),
) -> Iterator[Tried]:
    """The decisions in order, batch by batch; `decided` are those of an earlier, interrupted run, target by target.

    `chain` is the most edges tried at once, `rows` the most prompts x edges in one batch. `plain` does the plain
    algorithm: one whole pass per edge.
    `order="random"` needs the same `rng` state again to be resumed.
    """
    standing = _Standing(runs, graph, keep_bytes)
    aside = None if held_out is None else _Standing(held_out, graph, keep_bytes)
    full = float(runs.clean.double().mean())
    base = None if held_out is None else held_out.clean.double()
    log: list[EdgeDecision] = []
    variants = max(1, rows // max(len(chunk.tokens) for chunk in runs.chunks))
    current = standing.value()
    for number, (target, sources) in enumerate(traversal(graph, order, rng)):
        lost = torch.zeros(len(graph.sources), dtype=torch.bool)
        made: list[EdgeDecision]
        if number < len(decided):
            made = list(decided[number])
            log.extend(made)
        elif not _heard(standing.mask, graph, target):
            made = [EdgeDecision(target, s, current, current, 0.0, True, tried=False) for s in sources]
            for prompts in (standing, aside):
                if prompts is not None:
                    prompts.forget(target)
            yield Tried(tuple(made), current)
            log.extend(made)
            continue
        else:
            made = []
            for some in _decide(standing, rule, target, sources, current, full, 0 if plain else chain, variants, log):
                made.extend(some)
                log.extend(some)
                if len(made) < len(sources):
                    yield Tried(tuple(some))
                else:
                    last = tuple(some)
        lost[[d.source for d in made if d.removed]] = True
        if lost.any():
            for prompts in (standing, aside):
                if prompts is not None:
                    prompts.cut(target, lost)
            current = standing.value()
        if number < len(decided):
            continue
        measured = None
        if aside is not None and base is not None and (lost.any() or number == 0):
            now = aside.examples()
            change = None if bootstrap is None else bootstrap.interval((now - base).numpy())
            mean = float(base.mean())
            low, high = (None, None) if change is None else (mean + change.low, mean + change.high)
            measured = (float(now.mean()), low, high)
        yield Tried(last, current, measured)


def _heard(mask: Bool[Tensor, "target source"], graph: ComputationalGraph, target: int) -> bool:
    """Whether anything still reads what this target's node writes."""
    node = graph.targets[target]
    match node:
        case Head(layer=layer, head=head):
            return bool(mask[:, graph.source(Head(layer, head))].any())
        case Mlp():
            return bool(mask[:, graph.source(node)].any())
        case Embed() | Logits():
            return True


def _decide(
    standing: _Standing,
    rule: Rule,
    target: int,
    sources: Sequence[int],
    value: float,
    full: float,
    chain: int,
    variants: int,
    log: Sequence[EdgeDecision],
) -> Iterator[list[EdgeDecision]]:
    """The decisions about one target's edges. `value` is the circuit's own, in a whole pass; without a `chain` every
    edge gets one too."""
    lost = torch.zeros(len(standing.graph.sources), dtype=torch.bool)
    verdicts = [d.removed for d in log[-LOOK_BACK:] if d.tried]
    current, whole = Value(value, value, value), True  # `whole`: current.value comes from a whole pass
    at = 0
    while at < len(sources):
        guess, length = _guess(verdicts, min(max(1, chain), len(sources) - at))
        some = sources[at : at + length]
        trial = lost.repeat(length, 1)
        for step, source in enumerate(some):
            trial[step if not guess else slice(step, None), source] = True
        if not chain:
            found = [_exactly(standing.value_without(target, trial[0]))]
        else:
            found = standing.values_without(target, trial, variants)
        made: list[EdgeDecision] = []
        for source, new in zip(some, found):
            verdict = rule.decide(new, current, full)
            alone = verdict is None
            if verdict is None:
                if not whole:
                    current, whole = _exactly(standing.value_without(target, lost)), True
                one = lost.clone()
                one[source] = True
                new = _exactly(standing.value_without(target, one))
                verdict = rule.accepts(new.value, current.value, full)
            drop = rule.drop(new.value, current.value)
            made.append(EdgeDecision(target, source, current.value, new.value, drop, verdict, alone))
            verdicts.append(verdict)
            if verdict:
                lost[source] = True
                current, whole = new, alone or not chain
            if verdict != guess:
                break
        at += len(made)
        yield made


def _guess(verdicts: Sequence[bool], most: int) -> tuple[bool, int]:
    """The likelier verdict, and for how many edges it is worth guessing: a run of as many has rarely been broken.

    Told from the log alone, so a resumed run makes the same batches.
    """
    recent = verdicts[-LOOK_BACK:]
    if not recent:
        return True, min(most, 4)
    removals = sum(recent)
    guess = 2 * removals >= len(recent)
    wrong = len(recent) - removals if guess else removals
    return guess, max(1, min(most, len(recent) // (1 + wrong)))


def _exactly(value: float) -> Value:
    return Value(value, value, value)


__all__ = ["EdgeDecision", "Order", "Tried", "acdc", "traversal"]
