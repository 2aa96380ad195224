"""How much of a model's behaviour a circuit keeps when everything outside it is ablated.

    f(C) = (m(C) - m(empty)) / (m(M) - m(empty))        1: all of it, 0: none; circuits.md, section (b), Evaluation

The kind of ablation, and whether MLPs belong to what a circuit may lack, change the number a lot (Miller et al. 2024):
state them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.ablation import Ablate
from engine.circuits.discovery.computational_graph import ComputationalGraph
from engine.circuits.discovery.edge_passes import edge_values
from engine.circuits.runs import PromptRuns, at_positions
from engine.hardware import halving


class Circuit(NamedTuple):
    """What is kept. With `mlps` all true, a circuit is a set of heads, and the MLPs are nobody's to remove."""

    heads: Bool[Tensor, "layer head"]
    mlps: Bool[Tensor, " layer"]

    def to(self, device: torch.device) -> Circuit:
        return Circuit(self.heads.to(device), self.mlps.to(device))

    @property
    def empty(self) -> Circuit:
        """Nothing kept, of the kinds of component this circuit lacks any of: MLPs stay if it keeps them all."""
        keeps_all_mlps = bool(self.mlps.all())
        return Circuit(torch.zeros_like(self.heads), torch.full_like(self.mlps, keeps_all_mlps))


def final_residual(
    runs: PromptRuns, index: int, heads: Bool[Tensor, "variant layer head"], mlps: Bool[Tensor, "variant layer"]
) -> Float[Tensor, "variant_batch k d_model"]:
    """What reaches the unembedding at the scored positions of chunk `index` with these components ablated at once."""
    chunk, cache, count = runs.chunks[index], runs.cache(index), len(heads)
    edit = Ablate(runs.replacement(index), heads, mlps)
    if not edit.layers:
        return at_positions(cache.resid_pre[-1], chunk.at).repeat(count, 1, 1)
    start = min(edit.layers)
    residual = cache.resid_pre[start].repeat(count, 1, 1)
    return runs.model.run_from(start, residual, edit=edit, at=chunk.at.repeat(count, 1))


def ablated_values(
    several: tuple[PromptRuns, ...], heads: Bool[Tensor, "variant layer head"], mlps: Bool[Tensor, "variant layer"]
) -> tuple[Float[Tensor, "variant example"], ...]:
    """Per metric, its value for every variant and example. `several` are the same prompts in the same chunks with the
    same ablation, each with a metric of its own: one pass serves them all."""
    first = several[0]
    heads, mlps = heads.to(first.model.device), mlps.to(first.model.device)
    gathered: list[list[Tensor]] = [[] for _ in several]
    for index in range(len(first.chunks)):

        def measured(start: int, stop: int, index: int = index) -> tuple[Tensor, ...]:
            final = final_residual(first, index, heads[start:stop], mlps[start:stop])
            return tuple(runs.values(index, final) for runs in several)

        pieces = list(halving(measured, len(heads), 1, device=str(first.model.device)))
        for which, whole in enumerate(gathered):
            whole.append(torch.cat([piece[which] for piece in pieces]))
    return tuple(torch.cat(whole, 1) for whole in gathered)


class Faithfulness(NamedTuple):
    """The mean metric of the whole model, of the circuit alone, of nothing, and of all but the circuit; per example in
    `examples`, in this order without the first."""

    full: float
    circuit: float
    empty: float
    without: float
    examples: Float[Tensor, "which example"]

    @property
    def fraction(self) -> float:
        """f(C); NaN where ablating everything costs nothing, so there is nothing to be faithful to."""
        span = self.full - self.empty
        return (self.circuit - self.empty) / span if abs(span) > 1e-9 else float("nan")

    @property
    def difference(self) -> float:
        """|m(M) - m(C)|, in the metric's unit."""
        return abs(self.full - self.circuit)

    @property
    def left(self) -> float:
        """f of all but the circuit: what the model can do without it. NaN like `fraction`."""
        span = self.full - self.empty
        return (self.without - self.empty) / span if abs(span) > 1e-9 else float("nan")


def faithfulness(several: tuple[PromptRuns, ...], circuit: Circuit) -> tuple[Faithfulness, ...]:
    """How faithful the circuit is, by each metric (see `ablated_values`)."""
    empty = circuit.empty
    heads = torch.stack([~circuit.heads, ~empty.heads, circuit.heads])
    mlps = torch.stack([~circuit.mlps, ~empty.mlps, circuit.mlps & ~circuit.mlps.all()])
    results = []
    for runs, values in zip(several, ablated_values(several, heads, mlps)):
        kept, nothing, without = values.double().mean(1).tolist()
        results.append(Faithfulness(float(runs.clean.double().mean()), kept, nothing, without, values))
    return tuple(results)


def edge_faithfulness(
    several: tuple[PromptRuns, ...], mask: Bool[Tensor, "target source"], graph: ComputationalGraph
) -> tuple[Faithfulness, ...]:
    """The same for a circuit of edges: with these edges alone, with none, and with all others."""
    masks = torch.stack([mask, torch.zeros_like(mask), graph.edges & ~mask])
    results = []
    for runs, values in zip(several, edge_values(several, masks, graph)):
        kept, nothing, without = values.double().mean(1).tolist()
        results.append(Faithfulness(float(runs.clean.double().mean()), kept, nothing, without, values))
    return tuple(results)


__all__ = ["Circuit", "Faithfulness", "ablated_values", "edge_faithfulness", "faithfulness", "final_residual"]
