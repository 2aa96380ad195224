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


class Swept(NamedTuple):
    """One finished batch: the metric of some examples with each of some components of a layer ablated alone."""

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
    """The metric with each wanted component ablated alone, batch by batch, in layer order.

    `wanted[i]` are the components to do for chunk `i` of the runs; at most `variants` heads go in one batch. With
    `through`, a copy of the model in another number format, what follows an ablated head is computed there; the clean
    pass, the ablation itself and the unembedding stay in the model's own format, and so do the MLPs.
    """
    for layer in range(runs.model.config.n_layers):
        for index, todo in enumerate(wanted):
            heads = [c for c in todo if isinstance(c, Head) and c.layer == layer]
            if heads:
                yield from _heads(runs, index, layer, heads, variants, through)
            if Mlp(layer) in todo and runs.model.config.d_mlp:
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
