"""Ablate every head and every MLP, one at a time, and see what each is worth.

One clean pass per chunk of prompts; then each layer's heads go through the rest of the model side by side, as variants
in one batch, starting after the attention that they change (see `resume`). Exact: it differs from one full ablated pass
per component by rounding only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from engine.circuits.resume import after_attention, entering, go_on, head_deltas
from engine.circuits.runs import PromptRuns, at_positions
from engine.hardware import halving
from engine.models.protocols import TransformerModel
from sessions.components import Head, Mlp

SCATTERED = 3  # at most one head in so many: not worth batches of one layer's heads only


class Swept(NamedTuple):
    """One finished batch: the metric of some examples with each of some components ablated alone."""

    components: tuple[Head | Mlp, ...]
    rows: slice  # of the prompt set
    values: Float[Tensor, "component example"]


def components_of(n_layers: int, n_heads: int, *, mlps: bool) -> tuple[Head | Mlp, ...]:
    """All components in sweep order: layer by layer, its heads, then its MLP."""
    order: list[Head | Mlp] = []
    for layer in range(n_layers):
        order.extend(Head(layer, head) for head in range(n_heads))
        if mlps:
            order.append(Mlp(layer))
    return tuple(order)


def head_sweep(
    runs: PromptRuns,
    wanted: Sequence[Sequence[Head | Mlp]],
    *,
    variants: int = 16,
    through: TransformerModel | None = None,
) -> Iterator[Swept]:
    """The metric with each wanted component ablated alone, batch by batch, in layer order; where only few heads are
    wanted, those first, of all layers together.

    `wanted[i]` are the components to do for chunk `i` of the runs; at most `variants` heads go in one batch. With
    `through`, a copy of the model in another number format, what follows an ablated head is computed there; the clean
    pass, the ablation itself and the unembedding stay in the model's own format, and so do the MLPs.
    """
    c = runs.model.config
    scattered = [_scattered(runs, todo) if through is None else [] for todo in wanted]
    for index, few in enumerate(scattered):
        yield from _from_many_layers(runs, index, few, variants)
    for layer in range(c.n_layers):
        for index, todo in enumerate(wanted):
            heads = [part for part in todo if isinstance(part, Head) and part.layer == layer]
            if heads and heads[0] not in scattered[index]:
                yield from _heads(runs, index, layer, heads, variants, through)
            if Mlp(layer) in todo and c.d_mlp:
                yield _mlp(runs, index, layer)


def _heads(
    runs: PromptRuns, index: int, layer: int, heads: list[Head], variants: int, through: TransformerModel | None
) -> Iterator[Swept]:
    model, chunk, cache = runs.model, runs.chunks[index], runs.cache(index)
    state = entering(model, layer, cache.resid_pre[layer], cache.z[layer], cache.mlp_out[layer], chunk.at)
    replacement = runs.replacement(index)

    def ablated(start: int, stop: int) -> Swept:
        deltas = head_deltas(model, state, replacement, chunk.at, [head.head for head in heads[start:stop]])
        alone = torch.eye(len(deltas), dtype=torch.bool, device=deltas.device)
        middle = after_attention(model, state, deltas, alone)
        values = runs.values(index, go_on(model, state, middle, through=through))
        return Swept(tuple(heads[start:stop]), chunk.rows, values)

    yield from halving(ablated, len(heads), variants, device=str(model.device))


def _scattered(runs: PromptRuns, todo: Sequence[Head | Mlp]) -> list[Head]:
    """The heads below the last layer, if they are so few that the batches of single layers would be small ones."""
    c = runs.model.config
    heads = [part for part in todo if isinstance(part, Head) and part.layer < c.n_layers - 1]
    few = len(heads) * SCATTERED <= c.n_heads * (c.n_layers - 1)
    return sorted(heads) if few else []


@torch.no_grad()
def _from_many_layers(runs: PromptRuns, index: int, heads: list[Head], variants: int) -> Iterator[Swept]:
    """Heads of several layers in one batch: each joins it at its own layer."""
    model, chunk, cache = runs.model, runs.chunks[index], runs.cache(index)
    last, parallel = model.config.n_layers - 1, model.config.parallel_attn_mlp
    replacement = runs.replacement(index)

    def ablated(start: int, stop: int) -> Swept:
        chosen = heads[start:stop]
        x = cache.resid_pre.new_empty(0, *cache.resid_pre.shape[2:])
        for layer in range(chosen[0].layer, last):
            entered = x
            if len(x):
                x = x + model.attention_output(layer, model.attend(layer, x).z)
            joining = [head.head for head in chosen if head.layer == layer]
            if joining:
                state = entering(model, layer, cache.resid_pre[layer], cache.z[layer], cache.mlp_out[layer], chunk.at)
                deltas = head_deltas(model, state, replacement, chunk.at, joining)
                alone = torch.eye(len(joining), dtype=torch.bool, device=deltas.device)
                x = torch.cat([x, after_attention(model, state, deltas, alone).flatten(0, 1)])
                clean = cache.resid_pre[layer].repeat(len(joining), 1, 1)
                entered = torch.cat([entered, clean]) if parallel else entered
            if model.config.d_mlp:
                x = x + model.mlp(layer, entered if parallel else x)
        final = model.run_from(last, x, at=chunk.at.repeat(len(chosen), 1))
        return Swept(tuple(chosen), chunk.rows, runs.values(index, final))

    yield from halving(ablated, len(heads), variants, device=str(model.device))


def _mlp(runs: PromptRuns, index: int, layer: int) -> Swept:
    model, chunk, cache = runs.model, runs.chunks[index], runs.cache(index)
    residual, own = cache.resid_pre[layer + 1], cache.mlp_out[layer]
    instead = runs.replacement(index).mlp_of(layer)
    if layer == model.config.n_layers - 1:
        residual, own, instead = (at_positions(part, chunk.at) for part in (residual, own, instead))
        final = residual + (instead - own)
    else:
        final = model.run_from(layer + 1, residual + (instead - own), at=chunk.at)
    return Swept((Mlp(layer),), chunk.rows, runs.values(index, final))


__all__ = ["Swept", "components_of", "head_sweep"]
