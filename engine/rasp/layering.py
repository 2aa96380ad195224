"""Which half layer computes what (section 3, "Layer allocation")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.rasp.compiled import Head
from engine.rasp.language import Aggregate, Indices, Node, SelectorWidth, SOp, Tokens


class Layers(NamedTuple):
    layer: dict[SOp, int]  # of every operation
    heads: dict[SOp, Head]  # of aggregates and selector widths, in breadth-first order from the output
    mlps: list[list[SOp]]  # per layer, what its MLP computes (selector widths too), breadth first
    n_heads: int  # the most of any layer, at least 1


# (nodes, inputs before what reads them; the same breadth first from the output)
Arrangement = Callable[[Sequence[Node], Sequence[Node]], Layers]


def allocate(order: Sequence[Node], breadth_first: Sequence[Node]) -> Layers:
    """An operation's depth is the longest path to it, counted in operations; one depth is one layer of attention and
    MLP, except that a depth of aggregates only and a following one of MLPs only share a layer.

    `order`: inputs before what reads them. `breadth_first`: from the output.
    """
    depth: dict[Node, int] = {}
    deepest = 0
    attends: dict[int, bool] = {}  # does this depth hold only aggregates?
    mixes: dict[int, bool] = {}  # does it hold only MLPs?
    for node in order:
        below = max([depth[child] for child in node.inputs], default=0)
        if isinstance(node, SOp) and not isinstance(node, Tokens | Indices):
            below += 1
            attention = isinstance(node, Aggregate)
            mlp = not attention and not isinstance(node, SelectorWidth)
            attends[below] = attends.get(below, True) and attention
            mixes[below] = mixes.get(below, True) and mlp
            deepest = max(deepest, below)
        depth[node] = below
    layer_of_depth = [0] * (deepest + 1)
    at, layer = 1, 0
    while at <= deepest:
        layer_of_depth[at] = layer
        if at < deepest and attends[at] and mixes[at + 1]:
            at += 1
            layer_of_depth[at] = layer
        at += 1
        layer += 1
    layers: dict[SOp, int] = {}
    heads: dict[SOp, Head] = {}
    mlps: list[list[SOp]] = [[] for _ in range(layer)]
    used = [0] * layer
    for node in breadth_first:
        if not isinstance(node, SOp) or isinstance(node, Tokens | Indices):
            continue
        at = layers[node] = layer_of_depth[depth[node]]
        if isinstance(node, Aggregate | SelectorWidth):
            heads[node] = Head(at, used[at])
            used[at] += 1
        if not isinstance(node, Aggregate):
            mlps[at].append(node)
    return Layers(layers, heads, mlps, max([1, *used]))
