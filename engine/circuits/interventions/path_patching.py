"""Path patching (Wang et al. 2022; Goldowsky-Dill et al. 2023): how a sender reaches the metric through receivers only.

For senders s and receivers R (circuits.md, section b, Interventions):

1. Cache the clean and the corrupt run.
2. Run clean with s := corrupt and all other heads frozen to clean, and record the inputs of R. MLPs in between are
   recomputed, or frozen to clean as well: then only the direct paths s -> R count.
3. Run clean with the inputs of R := those recorded, everything else free, and measure.

Frozen heads write what they wrote, so step 2 needs no attention: a change of the residual stream is carried from layer
to layer through the MLPs alone. It differs from edge patching, which changes what one target reads by one source's
change and nothing else: path patching carries the effect through the MLPs between them (with MLPs frozen and one
receiver input the two agree).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.runs import PromptRuns, at_positions
from engine.hardware import halving
from engine.models.protocols import Cache
from sessions.components import Embed, Head, HeadInput, Logits, Mlp

Sender = Embed | Head | Mlp
Receiver = Head | Mlp | Logits
Mlps = Literal["recomputed", "frozen"]
INPUTS: tuple[HeadInput, ...] = ("q", "k", "v")


class PathPatched(NamedTuple):
    """One finished batch: the metric of some examples, with each of some sets of senders patched through."""

    senders: tuple[int, ...]  # which of the sets given
    rows: slice
    values: Float[Tensor, "set example"]


class Receivers(NamedTuple):
    """Receivers by layer: inputs of heads, and MLPs; or the logits, alone."""

    heads: dict[int, list[tuple[HeadInput, int]]]
    mlps: frozenset[int]
    logits: bool

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(sorted({*self.heads, *self.mlps}))


class Recorded(NamedTuple):
    """The inputs of receivers, in step 2, by layer."""

    heads: dict[int, Float[Tensor, "variant_batch pos input d_head"]]
    mlps: dict[int, Float[Tensor, "variant_batch pos d_model"]]
    final: Float[Tensor, "variant batch pos d_model"]  # what the logits read; meaningful where they receive


def receivers_of(receivers: Sequence[Receiver]) -> Receivers:
    """A head without a named input receives with all three. ValueError when the logits receive beside others: once
    what they read is set, nothing else reaches them."""
    heads: dict[int, list[tuple[HeadInput, int]]] = {}
    mlps: set[int] = set()
    logits = False
    for receiver in receivers:
        match receiver:
            case Head(layer=layer, head=head, input=name):
                own = heads.setdefault(layer, [])
                own.extend((n, head) for n in ((name,) if name else INPUTS) if (n, head) not in own)
            case Mlp(layer=layer):
                mlps.add(layer)
            case Logits():
                logits = True
    if logits and (heads or mlps):
        raise ValueError("the logits receive alone")
    return Receivers(heads, frozenset(mlps), logits)


def comes_before(sender: Sender, receivers: Receivers, *, parallel: bool) -> bool:
    """Whether a sender computes before any of the receivers: a later one changes nothing that they read."""
    if receivers.logits or isinstance(sender, Embed):
        return True
    if any(layer > sender.layer for layer in receivers.layers):
        return True
    return isinstance(sender, Head) and sender.layer in receivers.mlps and not parallel


def path_patching(
    runs: PromptRuns,
    receivers: Receivers,
    senders: Sequence[Sequence[Sender]],
    wanted: Sequence[Sequence[int]],
    *,
    mlps: Mlps = "recomputed",
    variants: int = 16,
) -> Iterator[PathPatched]:
    """The metric with each set of senders patched through the receivers, batch by batch, in the order of `senders`.

    `wanted[i]` are the sets, by their number, to do for chunk `i` of the runs. ValueError when prompts have no corrupt
    partners. Sort the sets by layer: a batch starts at its first sender.
    """
    layers = sorted({_first(senders[number]) for todo in wanted for number in todo})
    for layer in layers:
        for index, of_chunk in enumerate(wanted):
            todo = [number for number in of_chunk if _first(senders[number]) == layer]
            if not todo:
                continue
            step = _Paths(runs, index, receivers, mlps)

            def measured(
                start: int, stop: int, index: int = index, todo: list[int] = todo, step: _Paths = step
            ) -> PathPatched:
                some = todo[start:stop]
                final = step.final([senders[number] for number in some])
                return PathPatched(tuple(some), runs.chunks[index].rows, runs.values(index, final))

            yield from halving(measured, len(todo), variants, device=str(runs.model.device))


def _first(senders: Sequence[Sender]) -> int:
    """The layer where the first of them writes; -1 is the embeddings."""
    return min(-1 if isinstance(sender, Embed) else sender.layer for sender in senders)


class _Paths:
    """Steps 2 and 3 on one chunk of prompts."""

    def __init__(self, runs: PromptRuns, index: int, receivers: Receivers, mlps: Mlps) -> None:
        self.model, self.chunk, self.receivers = runs.model, runs.chunks[index], receivers
        self.clean: Cache = runs.cache(index)
        self.corrupt: Cache = runs.corrupt_cache(index)
        self.recomputed = mlps == "recomputed"

    @torch.no_grad()
    def final(self, senders: Sequence[Sequence[Sender]]) -> Float[Tensor, "variant_batch k d_model"]:
        """The final residual stream at the scored positions, per set of senders."""
        found = self._recorded(senders)
        if self.receivers.logits:
            return at_positions(found.final.flatten(0, 1), self.chunk.at.repeat(len(senders), 1))
        return self._with_inputs(found, len(senders))

    def _recorded(self, senders: Sequence[Sequence[Sender]]) -> Recorded:
        """Step 2. Layers before the first sender are clean and are passed over: receivers there read what they read."""
        model, c, clean = self.model, self.model.config, self.clean
        heads: dict[int, Tensor] = {}
        mlps: dict[int, Tensor] = {}
        change = clean.resid_pre.new_zeros(len(senders), *clean.resid_pre.shape[1:])
        for variant, some in enumerate(senders):
            if any(isinstance(sender, Embed) for sender in some):
                change[variant] = self.corrupt.resid_pre[0] - clean.resid_pre[0]
        start = max(0, min(_first(some) for some in senders))
        stop = c.n_layers if self.receivers.logits else max(self.receivers.layers) + 1
        for layer in range(start, stop):
            if layer in self.receivers.heads:
                read = (clean.resid_pre[layer] + change).flatten(0, 1)
                heads[layer] = model.head_inputs(layer, self.receivers.heads[layer], read)
            before = change
            change = change + self._from_heads(layer, senders)
            if not c.d_mlp:
                continue
            middle = clean.resid_pre[layer + 1] - clean.mlp_out[layer]
            entering = clean.resid_pre[layer] + before if c.parallel_attn_mlp else middle + change
            if layer in self.receivers.mlps:
                mlps[layer] = entering.flatten(0, 1)
            change = change + self._from_mlp(layer, senders, entering)
        return Recorded(heads, mlps, clean.resid_pre[-1] + change)

    def _from_heads(
        self, layer: int, senders: Sequence[Sequence[Sender]]
    ) -> Float[Tensor, "variant batch pos d_model"]:
        """What the senders among a layer's heads write on the corrupt run, less what they write on the clean one."""
        clean, model = self.clean, self.model
        moved = self.corrupt.z[layer] - clean.z[layer]
        total = clean.resid_pre.new_zeros(len(senders), *clean.resid_pre.shape[1:])
        for variant, some in enumerate(senders):
            for sender in some:
                if isinstance(sender, Head) and sender.layer == layer:
                    total[variant] += model.head_output(layer, sender.head, moved[:, :, sender.head])
        return total

    def _from_mlp(
        self,
        layer: int,
        senders: Sequence[Sequence[Sender]],
        entering: Float[Tensor, "variant batch pos d_model"],
    ) -> Float[Tensor, "variant batch pos d_model"]:
        """By how much a layer's MLP writes something else than in the clean run."""
        clean = self.clean.mlp_out[layer]
        if self.recomputed:
            out = self.model.mlp(layer, entering.flatten(0, 1)).view(entering.shape) - clean
        else:
            out = torch.zeros_like(entering)
        sends: Bool[Tensor, " variant"] = torch.tensor([Mlp(layer) in some for some in senders], device=out.device)
        if sends.any():
            out = torch.where(sends[:, None, None, None], self.corrupt.mlp_out[layer] - clean, out)
        return out

    def _with_inputs(self, found: Recorded, count: int) -> Float[Tensor, "variant_batch k d_model"]:
        """Step 3: the clean run, from the first receiver on."""
        model, c = self.model, self.model.config
        layers = sorted({*found.heads, *found.mlps})
        at = self.chunk.at.repeat(count, 1)
        if not layers:  # no sender comes before a receiver
            return at_positions(self.clean.resid_pre[-1], self.chunk.at).repeat(count, 1, 1)
        x = self.clean.resid_pre[layers[0]].repeat(count, 1, 1)
        for layer in range(layers[0], layers[-1] + 1):
            if layer in found.heads:
                inputs = [part.clone() for part in model.projections(layer, x)]
                for number, (name, head) in enumerate(self.receivers.heads[layer]):
                    inputs[INPUTS.index(name)][:, :, head] = found.heads[layer][:, :, number]
                z = model.mix(inputs[0], inputs[1], inputs[2]).z
            else:
                z = model.attend(layer, x).z
            middle = x + model.attention_output(layer, z)
            if c.d_mlp:
                natural = x if c.parallel_attn_mlp else middle
                middle = middle + model.mlp(layer, found.mlps.get(layer, natural))
            x = middle
        return model.run_from(layers[-1] + 1, x, at=at)


__all__ = [
    "INPUTS",
    "Mlps",
    "PathPatched",
    "Receiver",
    "Receivers",
    "Sender",
    "comes_before",
    "path_patching",
    "receivers_of",
]
