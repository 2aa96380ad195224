"""A prompt set on its way through the layers, without the heads removed so far, in either direction.

Going up, what enters the next layer is computed from what was removed below it. Going down, nothing below has changed:
every layer is entered by the clean pass, and what was removed above is ablated again on the way to the logits.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.ablation import Ablate, Replacement
from engine.circuits.resume import Entering, Listen, after_attention, entering, go_on, head_deltas, mlp_is_fixed
from engine.circuits.runs import PromptRuns
from engine.hardware import halving
from engine.models.protocols import TransformerModel

Order = Literal["bottom_up", "top_down"]


class Known(NamedTuple):
    """A metric per example, and the least and most that rounding allows it to be."""

    value: Float[Tensor, "*variant example"]
    low: Float[Tensor, "*variant example"]
    high: Float[Tensor, "*variant example"]

    def of(self, variant: int) -> Known:
        """One variant of several."""
        return Known(self.value[variant], self.low[variant], self.high[variant])

    @classmethod
    def exactly(cls, value: Float[Tensor, "*variant example"]) -> Known:
        return cls(value, value, value)


class Walk:
    """`base` is the metric per example on entering the present layer, nothing of it removed yet.

    `rows` is the most prompts x variants in one batch. `through`, a copy of the model in another number format, is
    where `roughly` computes what follows the heads.
    """

    def __init__(
        self, runs: PromptRuns, rows: int, order: Order = "bottom_up", through: TransformerModel | None = None
    ) -> None:
        c = runs.model.config
        self.runs, self.order, self.through = runs, order, through
        self.layer = 0 if order == "bottom_up" else c.n_layers - 1
        self.variants = max(1, rows // max(len(chunk.tokens) for chunk in runs.chunks))
        self.base = runs.clean
        self._gone = torch.zeros(1, c.n_layers, c.n_heads, dtype=torch.bool, device=runs.model.device)
        self._climbed: list[Entering] = []
        if order == "bottom_up":
            self._climbed = [self._entered(index) for index in range(len(runs.chunks))]

    def values(self, removed: Bool[Tensor, "variant head"]) -> Float[Tensor, "variant example"]:
        """The metric when each variant's heads of this layer are removed as well."""
        return torch.cat([self._finish(index, removed, bounds=False)[0] for index in range(len(self.runs.chunks))], 1)

    def roughly(self, removed: Bool[Tensor, "variant head"]) -> Float[Tensor, "variant example"]:
        """The same in the other number format."""
        parts = [
            self._finish(index, removed, bounds=False, through=self.through)[0]
            for index in range(len(self.runs.chunks))
        ]
        return torch.cat(parts, 1)

    def bounds(self, removed: Bool[Tensor, "variant head"]) -> Known:
        """The same as `values`, and the least and most that the shape of a batch can make of them."""
        parts = [self._finish(index, removed, bounds=True) for index in range(len(self.runs.chunks))]
        return Known(*(torch.cat([part[i] for part in parts], 1) for i in range(3)))

    def move(self, removed: Bool[Tensor, " head"]) -> None:
        """On to the next layer of the order with these heads of this one removed."""
        if self.order == "top_down":
            self._gone[0, self.layer] = removed
            self.layer -= 1
            self.base = self.values(torch.zeros_like(removed)[None])[0]
            return
        self.base = torch.cat([self._climb(index, removed) for index in range(len(self._climbed))])
        self.layer += 1

    def _entered(self, index: int) -> Entering:
        """The present layer in the clean pass."""
        cache, at = self.runs.cache(index), self.runs.chunks[index].at
        layer = self.layer
        return entering(self.runs.model, layer, cache.resid_pre[layer], cache.z[layer], cache.mlp_out[layer], at)

    def _above(self, index: int, variants: int, through: TransformerModel | None) -> Ablate | None:
        """What was removed above, for that many variants. Nothing is on the way up."""
        if not self._gone.any():
            return None
        replacement = self.runs.replacement(index)
        if through is not None:
            replacement = Replacement(*(part.to(through.dtype) for part in replacement))
        heads = self._gone.expand(variants, -1, -1)
        return Ablate(replacement, heads, torch.zeros_like(heads[:, :, 0]))

    def _finish(
        self, index: int, removed: Tensor, *, bounds: bool, through: TransformerModel | None = None
    ) -> tuple[Tensor, ...]:
        runs = self.runs
        state = self._climbed[index] if self._climbed else self._entered(index)
        gone = _numbers(removed.any(0))
        replacement, at = runs.replacement(index), runs.chunks[index].at
        deltas = head_deltas(runs.model, state, replacement, at, gone) if gone else None

        def measured(start: int, stop: int) -> tuple[Tensor, ...]:
            if deltas is None:
                whole = state.residual + runs.model.attention_output(state.layer, state.z)
                middle = whole.expand(stop - start, *whole.shape)
            else:
                middle = after_attention(runs.model, state, deltas, removed[start:stop, gone])
            final = go_on(runs.model, state, middle, self._above(index, stop - start, through), through)
            if not bounds:
                return (runs.values(index, final),)
            value, (low, high) = runs.bounded(index, final)
            return (value, low, high)

        pieces = list(halving(measured, len(removed), self.variants, device=str(runs.model.device)))
        return tuple(torch.cat([piece[i] for piece in pieces]) for i in range(len(pieces[0])))

    def _climb(self, index: int, removed: Bool[Tensor, " head"]) -> Float[Tensor, " example"]:
        """Into the next layer up; the metric there."""
        model, state, chunk = self.runs.model, self._climbed[index], self.runs.chunks[index]
        gone = _numbers(removed)
        if gone:
            deltas = head_deltas(model, state, self.runs.replacement(index), chunk.at, gone)
            middle = after_attention(model, state, deltas, removed[None, gone])
        else:
            middle = (state.residual + model.attention_output(state.layer, state.z))[None]
        above = self.layer + 1
        listen = Listen(self.layer, above)
        base = self.runs.values(index, go_on(model, state, middle, listen))[0]
        residual = middle[0] + (listen.heard_mlp[self.layer] if state.mlp_out is None else state.mlp_out)
        parallel = mlp_is_fixed(model) and model.config.d_mlp
        mlp_above = listen.heard_mlp[above] if parallel else torch.zeros_like(residual)
        self._climbed[index] = entering(model, above, residual, listen.heard_z[above], mlp_above, chunk.at)
        return base


def _numbers(mask: Bool[Tensor, " head"]) -> list[int]:
    return [int(head) for head in mask.nonzero()]


__all__ = ["Known", "Order", "Walk"]
