"""Activation patching: one activation of another run pasted in, and what the metric then is.

Denoising runs the corrupt prompt and pastes a clean activation, noising the other way round (circuits.md, section b).
A pass starts where the patch first changes something: patches of a layer run side by side as variants of one batch,
from that layer on. What a head's query, key, value or pattern changes is its z alone, so every site inside a head
becomes a change of z and goes on after the attention (see `resume`).

Sites are those of TransformerLens' hooks of the same names: keys and queries before positions are rotated in, the
pattern after the softmax. Where heads share keys and values (grouped queries), each head's copy is patched alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.circuits.interventions.effects import Direction
from engine.circuits.resume import entering, go_on
from engine.circuits.runs import PromptRuns, at_positions
from engine.hardware import halving
from engine.models.protocols import Cache, TransformerModel

StreamSite = Literal["resid_pre", "attn_out", "mlp_out"]
HeadSite = Literal["z", "q", "k", "v", "pattern"]
Site = Literal["resid_pre", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern"]
STREAM: tuple[str, ...] = get_args(StreamSite)


class Patch(NamedTuple):
    """What is pasted: at a layer, of one head where the site is inside heads (else 0), at place `place` of the places
    asked for (0 where a patch covers all positions). Of a pattern, the place is the query's."""

    layer: int
    head: int
    place: int


class Patched(NamedTuple):
    """One finished batch: the metric of some examples under each of some patches of a layer."""

    patches: tuple[Patch, ...]
    rows: slice
    values: Float[Tensor, "patch example"]


class Both(NamedTuple):
    """The run that is patched and the run that the patch comes from, on one chunk."""

    base: Cache
    donor: Cache


def both_runs(runs: PromptRuns, index: int, direction: Direction) -> Both:
    """ValueError when the prompts have no corrupt partners."""
    clean, corrupt = runs.cache(index), runs.corrupt_cache(index)
    return Both(corrupt, clean) if direction == "denoising" else Both(clean, corrupt)


def corrupt_values(runs: PromptRuns) -> Float[Tensor, " example"]:
    """The metric of the corrupt run, judged by the clean prompt's answers and foils."""
    parts = []
    for index, chunk in enumerate(runs.chunks):
        final = at_positions(runs.corrupt_cache(index).resid_pre[-1], chunk.at)
        parts.append(runs.values(index, final)[0])
    return torch.cat(parts)


def activation_patching(
    runs: PromptRuns,
    site: Site,
    direction: Direction,
    wanted: Sequence[Sequence[Patch]],
    *,
    places: Int[Tensor, "place example"] | None = None,
    variants: int = 16,
) -> Iterator[Patched]:
    """The metric under each wanted patch alone, batch by batch, in layer order.

    `wanted[i]` are the patches to do for chunk `i` of the runs. `places` are the token positions that a patch may be
    confined to, for every prompt of the set; None pastes all positions at once. ValueError when prompts have no corrupt
    partners, or the site is an MLP's and the model has none.
    """
    if site == "mlp_out" and not runs.model.config.d_mlp:
        raise ValueError("this model has no MLPs")
    for layer in range(runs.model.config.n_layers):
        for index, of_chunk in enumerate(wanted):
            todo = sorted(patch for patch in of_chunk if patch.layer == layer)
            if not todo:
                continue
            both, chunk = both_runs(runs, index, direction), runs.chunks[index]
            here = None if places is None else places[:, chunk.rows].to(chunk.tokens.device)
            patching: _Stream | _Heads
            if site in STREAM:
                patching = _Stream(runs.model, layer, site, both, chunk.at, here)
            else:
                patching = _Heads(runs.model, layer, site, both, chunk.at, here)
                if site in ("k", "v"):  # what is mixed anew serves all heads of a place
                    todo.sort(key=lambda patch: (patch.place, patch.head))

            def measured(
                start: int,
                stop: int,
                index: int = index,
                todo: list[Patch] = todo,
                patching: _Stream | _Heads = patching,
            ) -> Patched:
                some = tuple(todo[start:stop])
                return Patched(some, runs.chunks[index].rows, runs.values(index, patching.final(some)))

            yield from halving(measured, len(todo), variants, device=str(runs.model.device))


def _covered(
    places: Int[Tensor, "place batch"] | None,
    patches: Sequence[int],
    positions: Int[Tensor, "batch_or_1 pos"],
    batch: int,
) -> Bool[Tensor, "variant batch pos"]:
    """Which of `positions` each patch, given by its place, pastes."""
    if places is None:
        return positions.new_ones(len(patches), batch, positions.shape[1], dtype=torch.bool)
    return places[list(patches)][:, :, None] == positions


class _Stream:
    """Patches of the residual stream, or of what a layer's attention or MLP writes into it."""

    def __init__(
        self,
        model: TransformerModel,
        layer: int,
        site: Site,
        both: Both,
        at: Int[Tensor, "batch k"],
        places: Int[Tensor, "place batch"] | None,
    ) -> None:
        self.model, self.layer, self.site = model, layer, site
        self.both, self.at, self.places = both, at, places

    def final(self, patches: Sequence[Patch]) -> Float[Tensor, "variant_batch k d_model"]:
        """The final residual stream at the scored positions."""
        base, donor = self.both
        layer, model = self.layer, self.model
        batch, length = base.resid_pre.shape[1:3]
        every = torch.arange(length, device=self.at.device)[None]
        at = self.at.repeat(len(patches), 1)
        where = [patch.place for patch in patches]
        if self.site == "attn_out":
            last = layer == model.config.n_layers - 1
            paste = _covered(self.places, where, self.at if last else every, batch)[..., None]
            state = entering(model, layer, base.resid_pre[layer], base.z[layer], base.mlp_out[layer], self.at)
            own, other = (model.attention_output(layer, cache.z[layer]) for cache in self.both)
            if last:
                own, other = at_positions(own, self.at), at_positions(other, self.at)
            return go_on(model, state, state.residual + torch.where(paste, other, own))
        paste = _covered(self.places, where, every, batch)[..., None]
        if self.site == "resid_pre":
            residual = torch.where(paste, donor.resid_pre[layer], base.resid_pre[layer])
            return model.run_from(layer, residual.flatten(0, 1), at=at)
        change = donor.mlp_out[layer] - base.mlp_out[layer]
        residual = base.resid_pre[layer + 1] + paste * change
        return model.run_from(layer + 1, residual.flatten(0, 1), at=at)


class _Heads:
    """Patches inside a layer's heads, all of which come down to another z."""

    @torch.no_grad()
    def __init__(
        self,
        model: TransformerModel,
        layer: int,
        site: Site,
        both: Both,
        at: Int[Tensor, "batch k"],
        places: Int[Tensor, "place batch"] | None,
    ) -> None:
        self.model, self.layer, self.site = model, layer, site
        self.at, self.places = at, places
        base, donor = both
        self.last = layer == model.config.n_layers - 1
        self.z = base.z[layer]
        self.state = entering(model, layer, base.resid_pre[layer], base.z[layer], base.mlp_out[layer], at)
        self.middle = self.state.residual + model.attention_output(layer, self.state.z)
        if site == "z":
            self.own = self.other = None
            self.whole: Tensor | None = donor.z[layer]
            return
        self.own = model.projections(layer, base.resid_pre[layer])
        self.other = model.projections(layer, donor.resid_pre[layer])
        self.whole = None
        if site == "pattern":
            pattern = model.mix(*self.other, pattern=True).pattern
            assert pattern is not None
            self.whole = (pattern @ self.own[2].transpose(1, 2)).transpose(1, 2)
        elif site == "q" or places is None:
            self.whole = self._mixed(None)[0]

    @torch.no_grad()
    def final(self, patches: Sequence[Patch]) -> Float[Tensor, "variant_batch k d_model"]:
        """The final residual stream at the scored positions."""
        batch, length = self.z.shape[:2]
        where = [patch.place for patch in patches]
        if self.whole is not None:  # a query's row of z depends on that query only
            positions = self.at if self.last else torch.arange(length, device=self.at.device)[None]
            covered = _covered(self.places, where, positions, batch)[..., None]
            change = self._seen(self.whole - self.z)
            parts = [change[:, :, patch.head] for patch in patches]
            return self._go_on(patches, torch.stack(parts) * covered)
        distinct = sorted(set(where))  # keys and values are read by every later query
        changes = {place: self._seen(z - self.z) for place, z in zip(distinct, self._mixed(distinct))}
        return self._go_on(patches, torch.stack([changes[patch.place][:, :, patch.head] for patch in patches]))

    def _go_on(
        self, patches: Sequence[Patch], change: Float[Tensor, "variant batch pos d_head"]
    ) -> Float[Tensor, "variant_batch k d_model"]:
        deltas = [self.model.head_output(self.layer, patch.head, own) for patch, own in zip(patches, change)]
        return go_on(self.model, self.state, self.middle + torch.stack(deltas))

    def _seen(self, change: Float[Tensor, "batch pos head d_head"]) -> Float[Tensor, "batch seen head d_head"]:
        """In the last layer only the scored positions are read."""
        return at_positions(change, self.at) if self.last else change

    def _mixed(self, places: Sequence[int] | None) -> Float[Tensor, "place batch pos head d_head"]:
        """What all heads mix with the patched input, for each place (None: all positions pasted, one place)."""
        assert self.own is not None
        assert self.other is not None
        which = ("q", "k", "v").index(self.site)
        batch, length = self.z.shape[:2]
        every = torch.arange(length, device=self.at.device)[None]
        pasted = _covered(None if places is None else self.places, places or (0,), every, batch)
        inputs = [part.expand(len(pasted), *part.shape) for part in self.own]
        inputs[which] = torch.where(pasted[..., None, None], self.other[which], self.own[which])
        q, k, v = (part.flatten(0, 1) for part in inputs)
        return self.model.mix(q, k, v).z.view(len(pasted), *self.z.shape)


__all__ = [
    "STREAM",
    "Both",
    "HeadSite",
    "Patch",
    "Patched",
    "Site",
    "StreamSite",
    "activation_patching",
    "both_runs",
    "corrupt_values",
]
