"""Which parts of a transformer write to the residual stream, which read it, and which of them can be connected.

`circuits.md`, section (a). Sources write: the embeddings, every head, every MLP. Targets read: the q, k and v input of
every head apart, every MLP, the logits. An edge s -> r exists where s is computed strictly before r. Keys and values
that several heads share (grouped-query attention) count once for each of those heads.

A circuit at the level of edges is a mask [target source], true where an edge is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.models.protocols import TransformerConfig
from sessions.components import Component, Embed, Head, HeadInput, Logits, Mlp

Source = Head | Mlp | Embed
INPUTS: tuple[HeadInput, ...] = ("q", "k", "v")


class Link(NamedTuple):
    """One edge: what `source` writes, as `target` (a head with its input named, an MLP or the logits) reads it."""

    source: Source
    target: Component

    def __str__(self) -> str:
        return f"{self.source}->{self.target}"


@dataclass(frozen=True, eq=False)
class ComputationalGraph:
    """All sources and targets of a model, in the order in which they compute, and the edges there can be."""

    sources: tuple[Source, ...]
    targets: tuple[Component, ...]
    edges: Bool[Tensor, "target source"]
    n_layers: int
    n_heads: int
    has_mlps: bool

    @property
    def size(self) -> int:
        """How many edges there are."""
        return int(self.edges.sum())

    def source(self, component: Source) -> int:
        """Where a source stands."""
        match component:
            case Embed():
                return 0
            case Head(layer=layer, head=head):
                return 1 + layer * (self.n_heads + self.has_mlps) + head
            case Mlp(layer=layer):
                return 1 + layer * (self.n_heads + self.has_mlps) + self.n_heads

    def target(self, component: Component) -> int:
        """Where a target stands. ValueError for the embeddings, and for a head whose input is not named."""
        each = 3 * self.n_heads + self.has_mlps
        match component:
            case Head(layer=layer, head=head, input=name) if name is not None:
                return layer * each + INPUTS.index(name) * self.n_heads + head
            case Mlp(layer=layer):
                return layer * each + 3 * self.n_heads
            case Logits():
                return self.n_layers * each
            case _:
                raise ValueError(f"{component} reads nothing, or it is not said through which input")

    def heads_of(self, layer: int, name: HeadInput) -> slice:
        """The targets that are this input of a layer's heads."""
        start = self.target(Head(layer, 0, name))
        return slice(start, start + self.n_heads)

    def sources_before(self, layer: int) -> int:
        """How many sources are computed before a layer: they come first."""
        return 1 + layer * (self.n_heads + self.has_mlps)

    def layer_of(self, target: int) -> int:
        """The layer a target belongs to; the logits count as one more."""
        return target // (3 * self.n_heads + self.has_mlps)

    def links(self, mask: Bool[Tensor, "target source"] | None = None) -> tuple[Link, ...]:
        """The edges of a mask (all there are, if none is given), by target, then by source."""
        chosen = self.edges if mask is None else mask & self.edges.to(mask.device)
        return tuple(Link(self.sources[s], self.targets[t]) for t, s in chosen.nonzero().tolist())

    def mask(self, links: Iterable[Link]) -> Bool[Tensor, "target source"]:
        """These edges; a head without a named input stands for all three. ValueError for one that does not exist."""
        found = torch.zeros_like(self.edges)
        for link in links:
            for target in whole(link.target):
                place = self.target(target), self.source(link.source)
                if not self.edges[place]:
                    raise ValueError(f"there is no edge {link}")
                found[place] = True
        return found

    def between(self, sources: Iterable[Component]) -> Bool[Tensor, "target source"]:
        """All edges among these nodes, the embeddings and the logits: what a circuit of nodes keeps."""
        kept = {Embed(), Logits(), *sources}
        writes = torch.tensor([source in kept for source in self.sources])
        reads = torch.tensor([_node(target) in kept for target in self.targets])
        return self.edges & writes[None] & reads[:, None]

    def nodes(self, mask: Bool[Tensor, "target source"]) -> tuple[Source, ...]:
        """The sources that a circuit of edges still uses: some kept edge leaves them."""
        used = mask.any(0).tolist()
        return tuple(source for source, some in zip(self.sources, used) if some)


def computational_graph(config: TransformerConfig) -> ComputationalGraph:
    """The graph of a model of that shape: 1 + L(H+1) sources, L(3H+1) + 1 targets (without MLPs accordingly less).

    GPT-2 small: 157 sources, 445 targets, 32,491 edges.
    """
    layers, heads, mlps = range(config.n_layers), range(config.n_heads), config.d_mlp > 0
    sources: list[Source] = [Embed()]
    targets: list[Component] = []
    for layer in layers:
        sources += [Head(layer, head) for head in heads]
        targets += [Head(layer, head, name) for name in INPUTS for head in heads]
        if mlps:
            sources.append(Mlp(layer))
            targets.append(Mlp(layer))
    targets.append(Logits())
    parallel = config.parallel_attn_mlp
    exist = [[is_before(source, target, parallel=parallel) for source in sources] for target in targets]
    return ComputationalGraph(
        tuple(sources), tuple(targets), torch.tensor(exist), config.n_layers, config.n_heads, mlps
    )


def is_before(source: Source, target: Component, *, parallel: bool) -> bool:
    """Whether `target` reads what `source` writes. Heads of a layer feed its MLP, but not in parallel blocks."""
    if isinstance(target, Logits):
        return True
    if isinstance(target, Embed):
        return False
    if isinstance(source, Embed):
        return True
    if isinstance(source, Head) and isinstance(target, Mlp) and not parallel:
        return source.layer <= target.layer
    return source.layer < target.layer


def whole(target: Component) -> Sequence[Component]:
    """A head that stands for its three inputs, as these three; any other target as itself."""
    if isinstance(target, Head) and target.input is None:
        return [Head(target.layer, target.head, name) for name in INPUTS]
    return [target]


def _node(target: Component) -> Component:
    return Head(target.layer, target.head) if isinstance(target, Head) else target


__all__ = ["INPUTS", "ComputationalGraph", "Link", "Source", "computational_graph", "is_before", "whole"]
