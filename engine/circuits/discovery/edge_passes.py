"""Passes of a model in which some edges are cut (circuits.md, section a, the residual rewrite).

    x_r = x_r^abl + sum over kept s of (o_s - o_s^abl)

`o_s` is what s writes in this very pass, `o_s^abl` the fixed value that stands in for it, and x_r what r reads, before
its norm, which is applied anew. The bias b_O of a layer's attention belongs to no head and is always there. Targets
with the same kept edges read the same and are computed together. In the last layer only the scored positions are
computed where no later token reads the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.circuits.discovery.changes import Changes, each_at, mixed
from engine.circuits.discovery.computational_graph import INPUTS, ComputationalGraph, computational_graph
from engine.circuits.runs import PromptRuns, at_positions
from engine.hardware import is_out_of_memory
from sessions.components import HeadInput, Logits, Mlp

Wanted = tuple[HeadInput, int]


class Bases(NamedTuple):
    """What targets would read if no edge were kept, on one chunk, and what stands in for each source. Positions of
    size 1 stand for all, prompts likewise."""

    entering: tuple[Float[Tensor, "batch_or_1 pos_or_1 d_model"], ...]  # by layer; the last is the logits'
    middle: tuple[Float[Tensor, "batch_or_1 pos_or_1 d_model"], ...]  # between attention and MLP
    heads: tuple[Float[Tensor, "head batch_or_1 pos_or_1 d_model"], ...]
    mlps: tuple[Float[Tensor, "batch_or_1 pos_or_1 d_model"], ...]
    embed: Float[Tensor, "batch pos d_model"]  # what the embeddings write, less what stands in for them


class EdgePass(NamedTuple):
    """One circuit's own pass over one chunk. Sources of the last layer are there at the scored positions only."""

    mask: Bool[Tensor, "target source"]
    own: Float[Tensor, "early_source batch pos d_model"]  # o_s - o_s^abl of the sources before the last layer
    own_at: Float[Tensor, "source batch k d_model"]  # of all sources, at the scored positions
    q: tuple[Float[Tensor, "batch query head d_head"], ...]  # by layer; in the last, queries are the scored positions
    k: tuple[Float[Tensor, "batch pos head d_head"], ...]
    v: tuple[Float[Tensor, "batch pos head d_head"], ...]
    z: tuple[Float[Tensor, "batch query head d_head"], ...]
    final: Float[Tensor, "batch k d_model"]


class EdgePasses:
    """The edited passes of a model over a prompt set's chunks, with the ablation that the runs were made for."""

    def __init__(self, runs: PromptRuns, graph: ComputationalGraph, *, keep_bytes: int = 2**30) -> None:
        self.runs, self.graph, self.model = runs, graph, runs.model
        self.last = graph.n_layers - 1
        self._bases: dict[int, Bases] = {}
        self._budget = keep_bytes

    # -- whole passes -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def run(
        self, index: int, mask: Bool[Tensor, "target source"], *, like: EdgePass | None = None, layer: int = 0
    ) -> EdgePass:
        """The pass of a circuit over chunk `index`. `like`, a pass that differs from layer `layer` on only, lends what
        lies below."""
        model, graph, chunk = self.model, self.graph, self.runs.chunks[index]
        bases, mask = self.bases(index), mask.to(model.device)
        early = graph.sources_before(self.last)
        weights = mask.to(model.device, model.dtype)
        if like is None:
            layer = 0
            own = bases.embed.new_empty(early, *bases.embed.shape)
            own[0] = bases.embed
            own_at = bases.embed.new_empty(len(graph.sources), *chunk.at.shape, model.config.d_model)
            own_at[0] = at_positions(bases.embed, chunk.at)
        else:
            own, own_at = like.own.clone(), like.own_at.clone()
        lists: dict[str, list[Tensor]] = {
            name: [] if like is None else list(getattr(like, name)[:layer]) for name in ("q", "k", "v", "z")
        }
        for now in range(layer, graph.n_layers):
            before = graph.sources_before(now)
            inputs = self._inputs(now, weights, own, own_at, bases, chunk.at)
            at = chunk.at if now == self.last else None
            z = model.mix(inputs["q"], inputs["k"], inputs["v"], at=at).z
            written = model.head_outputs(now, z)
            stand_in = bases.heads[now]
            if at is None:
                own[before : before + graph.n_heads] = written - stand_in
                own_at[before : before + graph.n_heads] = each_at(written - stand_in, chunk.at)
            else:
                own_at[before : before + graph.n_heads] = written - each_at(stand_in, chunk.at)
            if graph.has_mlps:
                row = weights[graph.target(Mlp(now))]
                base = bases.entering[now] if model.config.parallel_attn_mlp else bases.middle[now]
                place = before + graph.n_heads
                if at is None:
                    out = model.mlp(now, base + mixed(row[None, :place], own[:place])[0])
                    own[place] = out - bases.mlps[now]
                    own_at[place] = at_positions(own[place], chunk.at)
                else:
                    out = model.mlp(now, at_positions(base, at) + mixed(row[None, :place], own_at[:place])[0])
                    own_at[place] = out - at_positions(bases.mlps[now], at)
            for name in INPUTS:
                lists[name].append(inputs[name])
            lists["z"].append(z)
        final = at_positions(bases.entering[-1], chunk.at) + mixed(weights[-1:], own_at)[0]
        q, k, v, z_s = (tuple(lists[name]) for name in ("q", "k", "v", "z"))
        return EdgePass(mask, own, own_at, q, k, v, z_s, final)

    def bases(self, index: int) -> Bases:
        """What no circuit changes, on chunk `index`. Kept while `keep_bytes` lasts."""
        if index in self._bases:
            return self._bases[index]
        model, replacement = self.model, self.runs.replacement(index)
        embed = self.runs.cache(index).resid_pre[0]
        entering, middle, heads, mlps = [replacement.embed], [], [], []
        for layer in range(self.graph.n_layers):
            z = replacement.z_of(layer)
            middle.append(entering[-1] + model.attention_output(layer, z))
            heads.append(model.head_outputs(layer, z))
            mlps.append(replacement.mlp_of(layer))
            entering.append(middle[-1] + mlps[-1] if self.graph.has_mlps else middle[-1])
        found = Bases(tuple(entering), tuple(middle), tuple(heads), tuple(mlps), embed - replacement.embed)
        size = sum(part.nbytes for part in (*entering, *middle, *heads, *mlps, embed))
        if size <= self._budget:
            self._budget -= size
            self._bases[index] = found
        return found

    def _inputs(
        self, layer: int, weights: Tensor, own: Tensor, own_at: Tensor, bases: Bases, at: Int[Tensor, "batch k"]
    ) -> dict[str, Float[Tensor, "batch pos head d_head"]]:
        """The q, k and v of every head of a layer, each from what it reads."""
        c, before = self.model.config, self.graph.sources_before(layer)
        found: dict[str, Tensor] = {}
        for names, scored in self._parts(layer):
            source, base = (own_at, at_positions(bases.entering[layer], at)) if scored else (own, bases.entering[layer])
            wanted = [(name, head) for name in names for head in range(c.n_heads)]
            rows = torch.cat([weights[self.graph.heads_of(layer, name), :before] for name in names])
            patterns, belongs = torch.unique(rows, dim=0, return_inverse=True)
            made = source.new_empty(*source.shape[1:3], len(wanted), c.d_head)
            for number, row in enumerate(patterns):
                members = (belongs == number).nonzero()[:, 0].tolist()
                x = base + mixed(row[None], source[:before])[0]
                made[:, :, members] = self.model.head_inputs(layer, [wanted[i] for i in members], x)
            for name, part in zip(names, torch.split(made, c.n_heads, dim=2)):
                found[name] = part
        return found

    def _parts(self, layer: int) -> tuple[tuple[tuple[HeadInput, ...], bool], ...]:
        """Which inputs of a layer's heads are computed together, and whether at the scored positions only."""
        return ((("q",), True), (("k", "v"), False)) if layer == self.last else ((INPUTS, False),)

    # -- what follows from cutting more edges into one target -------------------------------------------------------

    @torch.no_grad()
    def without(
        self, index: int, own: EdgePass, removed: Mapping[int, Bool[Tensor, "variant source"]]
    ) -> Float[Tensor, "variant_batch k d_model"]:
        """What reaches the unembedding when the circuit of pass `own` also lacks `removed`: by target (of one layer, or
        the logits), the sources that it loses in each variant. Only what these edges reach is computed again."""
        chunk, graph, bases = self.runs.chunks[index], self.graph, self.bases(index)
        variants = len(next(iter(removed.values())))
        weights = own.mask.to(self.model.device, self.model.dtype)
        lost = {t: (mask.to(own.mask.device) & own.mask[t]).to(weights) for t, mask in removed.items()}
        logits = graph.target(Logits())
        if logits in lost:
            less: Tensor = own.final - mixed(lost[logits], own.own_at)
            return less.flatten(0, 1)
        changes = Changes(variants, chunk.at)
        first = graph.layer_of(next(iter(lost)))
        for layer in range(first, graph.n_layers):
            here = lost if layer == first else {}
            self._heads_again(own, bases, weights, layer, here, changes)
            if graph.has_mlps:
                self._mlp_again(own, bases, weights, layer, here, changes)
        final: Tensor = own.final + changes.into(weights[-1:], scored=True)[0]
        return final.flatten(0, 1)

    def _heads_again(
        self,
        own: EdgePass,
        bases: Bases,
        weights: Float[Tensor, "target source"],
        layer: int,
        lost: Mapping[int, Float[Tensor, "variant source"]],
        changes: Changes,
    ) -> None:
        """What a layer's heads write now, into `changes`, where they read something else than before."""
        model, before, last = self.model, self.graph.sources_before(layer), layer == self.last
        again: dict[Wanted, Tensor] = {}
        for names, scored in self._parts(layer):
            groups = self._touched(layer, names, weights, lost, changes)
            if not groups:
                continue
            source = own.own_at if scored else own.own
            base = at_positions(bases.entering[layer], changes.at) if scored else bases.entering[layer]
            rows = weights[[group.target for group in groups]]
            x = base + mixed(rows[:, :before], source[:before])
            moves = changes.into(rows, scored=scored) if changes.sources else x.new_zeros(len(groups), 1, 1, 1, 1)
            for group, before_it, move in zip(groups, x, moves):
                if group.target in lost:
                    move = -mixed(lost[group.target][:, :before], source[:before])
                made = model.head_inputs(layer, group.wanted, (before_it + move).flatten(0, 1))
                again |= {which: made[:, :, i] for i, which in enumerate(group.wanted)}
        if not again:
            return
        heads = sorted({head for _, head in again})
        kept = dict(zip(INPUTS, (own.q[layer], own.k[layer], own.v[layer])))
        q, k, v = (
            torch.stack(
                [
                    again[name, head]
                    if (name, head) in again
                    else kept[name][:, :, head].repeat(changes.variants, 1, 1)
                    for head in heads
                ],
                dim=2,
            )
            for name in INPUTS
        )
        z = model.mix(q, k, v, at=changes.at.repeat(changes.variants, 1) if last else None).z
        z = z - own.z[layer][:, :, heads].repeat(changes.variants, 1, 1, 1)
        changes.add([before + head for head in heads], model.head_outputs(layer, z, heads), scored=last)

    def _touched(
        self,
        layer: int,
        names: Sequence[HeadInput],
        weights: Float[Tensor, "target source"],
        lost: Mapping[int, Float[Tensor, "variant source"]],
        changes: Changes,
    ) -> list[_Group]:
        """The inputs of a layer's heads that now read something else, those that read the same together."""
        groups: dict[object, _Group] = {}
        for name in names:
            span = self.graph.heads_of(layer, name)
            touched = changes.reach(weights[span])
            rows = weights[span].bool().cpu().numpy()
            for head in range(self.graph.n_heads):
                target = span.start + head
                if target in lost:
                    groups[target] = _Group(target, [(name, head)])
                elif touched[head]:
                    groups.setdefault(rows[head].tobytes(), _Group(target, [])).wanted.append((name, head))
        return list(groups.values())

    def _mlp_again(
        self,
        own: EdgePass,
        bases: Bases,
        weights: Float[Tensor, "target source"],
        layer: int,
        lost: Mapping[int, Float[Tensor, "variant source"]],
        changes: Changes,
    ) -> None:
        """The same for its MLP."""
        target, place = self.graph.target(Mlp(layer)), self.graph.source(Mlp(layer))
        row = weights[target : target + 1]
        if target not in lost and not changes.reach(row)[0]:
            return
        last = layer == self.last
        source = own.own_at if last else own.own
        base = bases.entering[layer] if self.model.config.parallel_attn_mlp else bases.middle[layer]
        base = at_positions(base, changes.at) if last else base
        x = base + mixed(row[:, :place], source[:place])[0]
        if target in lost:
            move = -mixed(lost[target][:, :place], source[:place])
        else:
            (move,) = changes.into(row, scored=last)
        stand_in = at_positions(bases.mlps[layer], changes.at) if last else bases.mlps[layer]
        out = self.model.mlp(layer, (x + move).flatten(0, 1)).view(move.shape)
        changes.add([place], (out - stand_in - source[place]).flatten(0, 1)[None], scored=last)


class _Group(NamedTuple):
    """Inputs of heads that read the same as `target` does."""

    target: int
    wanted: list[Wanted]


def edge_values(
    several: tuple[PromptRuns, ...],
    masks: Bool[Tensor, "variant target source"],
    graph: ComputationalGraph | None = None,
) -> tuple[Float[Tensor, "variant example"], ...]:
    """Per metric, its value for every circuit and example, with only the edges of each mask kept. `several` are the
    same prompts in the same chunks with the same ablation, each with a metric of its own: one pass serves them all.

    Where memory runs out, chunks are halved.
    """
    graph = graph or computational_graph(several[0].model.config)
    while True:
        try:
            return _edge_values(several, masks, graph)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # outside the except clause: its traceback kept the tensors of the failed attempt alive
        first = several[0].narrower()
        several = (first, *(runs.narrower(like=first) for runs in several[1:]))


def _edge_values(
    several: tuple[PromptRuns, ...], masks: Bool[Tensor, "variant target source"], graph: ComputationalGraph
) -> tuple[Float[Tensor, "variant example"], ...]:
    passes = EdgePasses(several[0], graph)
    gathered: list[list[Tensor]] = [[] for _ in several]
    for index in range(len(several[0].chunks)):
        finals = [passes.run(index, mask).final for mask in masks]
        for runs, found in zip(several, gathered):
            found.append(torch.cat([runs.values(index, final) for final in finals]))
    return tuple(torch.cat(found, 1) for found in gathered)


__all__ = ["Bases", "EdgePass", "EdgePasses", "edge_values"]
