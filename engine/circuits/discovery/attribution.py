"""Edges scored by gradients: what the metric would do if the edge were cut, to first order (circuits.md, section b).

    score(s -> r) = sum over prompts, positions, directions of (o_s^abl - o_s^clean) . dM/dx_r

M is the mean metric, so a score is a change of it, and negative where the edge helps (for a metric that is to be high).

- eap (edge attribution patching): the gradient of the clean run
- clean_corrupt: the mean of the gradients of the clean and of the corrupt run
- eap_ig_inputs: the mean over m runs whose embeddings lie on the way, corrupt + (k/m)(clean - corrupt), k = 0..m-1
- eap_ig_activations: for one layer's sources after the other, the mean over m runs in which these write
  o^abl + (k/m)(o - o^abl), k = 0..m-1, and what follows is computed anew
- exact: the edge is cut, and the model run
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from engine.circuits.discovery.computational_graph import ComputationalGraph
from engine.circuits.discovery.edge_passes import EdgePass, EdgePasses
from engine.circuits.discovery.tape import Half, Tape, gradients, metric_of, record
from engine.circuits.runs import PromptRuns
from engine.hardware import halving
from engine.models.protocols import Cache
from sessions.components import Logits, Mlp

Method = Literal["eap", "clean_corrupt", "eap_ig_inputs", "eap_ig_activations", "exact"]
NEEDS_CORRUPT: tuple[Method, ...] = ("clean_corrupt", "eap_ig_inputs")


class Part(NamedTuple):
    """A share of the scores: their sums over some prompts. Parts of one run add up, divided by the prompts."""

    scores: Float[Tensor, "target source"]
    name: str


def edge_scores(
    runs: PromptRuns,
    graph: ComputationalGraph,
    method: Method = "eap",
    *,
    steps: int = 5,
    variants: int = 16,
    skip: int = 0,
) -> Iterator[Part]:
    """The scores, share by share, on the CPU in double precision. Exact scores come target by target, the last first,
    for one chunk after the other; `skip` leaves out so many of them that are known already.

    ValueError for accuracy (it has no gradient), and for a method that needs the corrupt prompts' own run without the
    resample ablation.
    """
    if method == "exact":
        yield from _exact(runs, graph, variants, skip)
        return
    if runs.metric.name == "accuracy":
        raise ValueError("accuracy has no gradient")
    if method in NEEDS_CORRUPT and runs.ablation != "resample":
        raise ValueError(f"{method} needs the corrupt prompts: ablation resample")
    for index in range(len(runs.chunks)):
        differences = ablated_minus_clean(runs, graph, index)
        clean = runs.cache(index).resid_pre[0]
        match method:
            case "eap":
                points = [clean]
            case "clean_corrupt":
                points = [clean, clean + differences[0]]
            case "eap_ig_inputs":
                points = [clean + (1 - k / steps) * differences[0] for k in range(steps)]
            case _:
                yield from _by_activations(runs, graph, index, differences, steps)
                continue
        for number, point in enumerate(points):
            found = _score(runs, graph, index, record(runs.model, point), differences)
            yield Part(found / len(points), f"run {number + 1} of {len(points)}")


def ablated_minus_clean(
    runs: PromptRuns, graph: ComputationalGraph, index: int
) -> Float[Tensor, "source batch pos d_model"]:
    """What each source would write if it were ablated, less what it writes."""
    cache, instead, model = runs.cache(index), runs.replacement(index), runs.model
    found = cache.resid_pre.new_empty(len(graph.sources), *cache.resid_pre.shape[1:])
    found[0] = instead.embed - cache.resid_pre[0]
    for layer in range(graph.n_layers):
        place = graph.sources_before(layer)
        found[place : place + graph.n_heads] = model.head_outputs(layer, instead.z_of(layer) - cache.z[layer])
        if graph.has_mlps:
            found[place + graph.n_heads] = instead.mlp_of(layer) - cache.mlp_out[layer]
    return found


def head_attribution(runs: PromptRuns, graph: ComputationalGraph, index: int) -> Float[Tensor, "layer head"]:
    """Head attribution patching: sum over the chunk's prompts of (z^abl - z) . dM/dz at the clean run."""
    model, cache, instead, chunk = runs.model, runs.cache(index), runs.replacement(index), runs.chunks[index]
    tape = record(model, cache.resid_pre[0])
    value = metric_of(model, tape, runs.metric, chunk.targets, chunk.at, chunk.columns)
    slopes = torch.autograd.grad(value, [tape.z[layer] for layer in range(graph.n_layers)])
    rows = [((instead.z_of(i) - cache.z[i]) * slope).sum((0, 1, 3)) for i, slope in enumerate(slopes)]
    return torch.stack(rows).double().cpu()


def _score(
    runs: PromptRuns, graph: ComputationalGraph, index: int, tape: Tape, differences: Tensor
) -> Float[Tensor, "target source"]:
    """Differences of all sources times gradients of all targets on the tape, where there is an edge."""
    chunk = runs.chunks[index]
    value = metric_of(runs.model, tape, runs.metric, chunk.targets, chunk.at, chunk.columns)
    scores = torch.zeros(graph.edges.shape, dtype=torch.float64)
    flat = differences.flatten(1)
    for first, slopes in gradients(runs.model, graph, tape, value).items():
        sources = int(graph.edges[first].nonzero().max()) + 1
        found = slopes.flatten(1) @ flat[:sources].T
        scores[first : first + len(slopes), :sources] = found.double().cpu()
    return torch.where(graph.edges, scores, 0.0)


def _by_activations(
    runs: PromptRuns, graph: ComputationalGraph, index: int, differences: Tensor, steps: int
) -> Iterator[Part]:
    cache = runs.cache(index)
    for name, sources, x, layer, start in _stages(runs, graph, cache):
        total = torch.zeros(graph.edges.shape, dtype=torch.float64)
        for k in range(steps):
            point = x + (1 - k / steps) * differences[sources].sum(0)
            total += _score(runs, graph, index, record(runs.model, point, layer=layer, start=start), differences)
        only = torch.zeros_like(total)
        only[:, sources] = total[:, sources] / steps
        yield Part(only, name)


def _stages(
    runs: PromptRuns, graph: ComputationalGraph, cache: Cache
) -> Iterator[tuple[str, slice, Tensor, int, Half]]:
    """Sources that are computed side by side, the clean stream right after them, and where a pass goes on."""
    model, parallel = runs.model, runs.model.config.parallel_attn_mlp
    yield "embeddings", slice(0, 1), cache.resid_pre[0], 0, "attention"
    for layer in range(graph.n_layers):
        place = graph.sources_before(layer)
        heads, mlp = slice(place, place + graph.n_heads), slice(place + graph.n_heads, place + graph.n_heads + 1)
        after = cache.resid_pre[layer + 1]
        if parallel or not graph.has_mlps:  # nothing of this layer reads what its heads write
            together = slice(place, place + graph.n_heads + graph.has_mlps)
            yield f"layer {layer}", together, after, layer + 1, "attention"
        else:
            middle = cache.resid_pre[layer] + model.attention_output(layer, cache.z[layer])
            yield f"heads of layer {layer}", heads, middle, layer, "mlp"
            yield str(Mlp(layer)), mlp, after, layer + 1, "attention"


def _exact(runs: PromptRuns, graph: ComputationalGraph, variants: int, skip: int) -> Iterator[Part]:
    passes = EdgePasses(runs, graph)
    names = [str(target) for target in graph.targets]
    count = len(graph.targets)
    for index in range(skip // count, len(runs.chunks)):
        own = passes.run(index, graph.edges)
        whole = float(runs.values(index, own.final).double().sum())
        known = skip - index * count if index == skip // count else 0
        for target in reversed(range(count - known)):
            sources = graph.edges[target].nonzero()[:, 0]
            lost = torch.zeros(len(sources), len(graph.sources), dtype=torch.bool)
            lost[torch.arange(len(sources)), sources] = True

            cut = functools.partial(_cut_alone, passes, index, own, target, lost)
            found = torch.cat(list(halving(cut, len(lost), variants, device=str(runs.model.device))))
            scores = torch.zeros(graph.edges.shape, dtype=torch.float64)
            scores[target, sources] = found - whole
            yield Part(scores, names[target] if not isinstance(graph.targets[target], Logits) else "logits")


def _cut_alone(
    passes: EdgePasses, index: int, own: EdgePass, target: int, lost: Tensor, start: int, stop: int
) -> Float[Tensor, " variant"]:
    final = passes.without(index, own, {target: lost[start:stop]})
    return passes.runs.values(index, final).double().sum(1)


__all__ = ["NEEDS_CORRUPT", "Method", "Part", "ablated_minus_clean", "edge_scores", "head_attribution"]
