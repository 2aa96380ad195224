"""A program in as few layers as its dependencies allow, and in few heads: what the plain construction computes a depth
at a time is begun as soon as its inputs are there, and aggregates that read the same selector share one head.

The function computed is the same; the circuit is a different one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

from engine.rasp.compiled import OURS, Compiled, Construction, Domain, Head
from engine.rasp.compiler import compile_program
from engine.rasp.language import Aggregate, Indices, Node, Select, SelectorWidth, SOp, Tokens
from engine.rasp.layering import Layers


def packed(program: SOp, domain: Domain, construction: Construction = OURS) -> Compiled:
    """The program compiled to the fewest layers, with heads shared where that makes the model smaller.

    CallError as `compile_program`'s.
    """
    made = [
        compile_program(program, domain, construction, partial(arrangement, share=share)) for share in (True, False)
    ]
    return min(made, key=lambda c: sum(array.size for array in c.state.values()))


def arrangement(order: Sequence[Node], breadth_first: Sequence[Node], *, share: bool = True) -> Layers:
    """Which layer and head computes what. Attention of a layer comes before its MLP; a selector width takes both
    halves of one layer. The number of layers is the least there is, that of heads the least the search finds."""
    operations = [n for n in order if isinstance(n, SOp) and not isinstance(n, Tokens | Indices)]
    reads = {n: [m for m in _sources(n) if not isinstance(m, Tokens | Indices)] for n in operations}
    earliest = _earliest(operations, reads)
    n_layers = 1 + max((h // 2 for h in earliest.values()), default=-1)
    latest = _latest(operations, reads, n_layers)
    attending = [n for n in operations if isinstance(n, Aggregate | SelectorWidth)]
    groups: dict[SOp, Hashable] = {n: _selector_key(n) if share else id(n) for n in attending}
    most_heads = 1
    while True:
        half = _schedule(operations, reads, latest, groups, n_layers, most_heads)
        if half is not None:
            return _layers(half, groups, n_layers, breadth_first)
        most_heads += 1


# Times are half layers: attention of layer l is 2 l, its MLP 2 l + 1. An operation's time is when it is done (a
# selector width with its MLP).


def _earliest(operations: Sequence[SOp], reads: dict[SOp, list[SOp]]) -> dict[SOp, int]:
    found: dict[SOp, int] = {}
    for node in operations:
        after = max((found[m] for m in reads[node]), default=-1)
        found[node] = _done(node, after)
    return found


def _done(node: SOp, after: int) -> int:
    """The first time the node can be done when its inputs are done at `after`."""
    if isinstance(node, Aggregate):
        return after + 1 + (after + 1) % 2
    if isinstance(node, SelectorWidth):
        return after + 2 + (after + 1) % 2
    return after + 1 + after % 2


def _latest(operations: Sequence[SOp], reads: dict[SOp, list[SOp]], n_layers: int) -> dict[SOp, int]:
    before: dict[SOp, int] = dict.fromkeys(operations, 2 * n_layers)  # when the first reader begins
    found: dict[SOp, int] = {}
    for node in reversed(operations):
        limit = before[node] - 1
        attends = isinstance(node, Aggregate)
        found[node] = limit - limit % 2 if attends else limit - (limit + 1) % 2
        begins = found[node] - 1 if isinstance(node, SelectorWidth) else found[node]
        for m in reads[node]:
            before[m] = min(before[m], begins)
    return found


def _schedule(
    operations: Sequence[SOp],
    reads: dict[SOp, list[SOp]],
    latest: dict[SOp, int],
    groups: dict[SOp, Hashable],
    n_layers: int,
    most_heads: int,
) -> dict[SOp, int] | None:
    """Layer by layer, the most urgent first; None when some layer would need more than `most_heads`."""
    done: dict[SOp, int] = {}
    waiting = dict.fromkeys(operations)  # in order
    for layer in range(n_layers):
        ready: dict[Hashable, list[SOp]] = {}
        for node in waiting:
            if node in groups and all(m in done for m in reads[node]):
                ready.setdefault(groups[node], []).append(node)
        at_once = {n for members in ready.values() for n in members}
        still = {groups[n] for n in waiting if n in groups and n not in at_once}
        # Those that others could still join wait as long as they may.
        urgency = {
            key: (min(latest[n] for n in members) // 2 > layer, key in still, min(latest[n] for n in members))
            for key, members in ready.items()
        }
        for key in sorted(ready, key=urgency.__getitem__)[:most_heads]:
            if urgency[key][0] and urgency[key][1]:
                continue
            for node in ready[key]:
                done[node] = 2 * layer + isinstance(node, SelectorWidth)
                del waiting[node]
        now = 2 * layer + 1
        for node in [n for n in waiting if n not in groups and all(done.get(m, now) < now for m in reads[n])]:
            done[node] = now
            del waiting[node]
        if any(latest[n] <= now for n in waiting):
            return None
    return done


def _layers(half: dict[SOp, int], groups: dict[SOp, Hashable], n_layers: int, breadth_first: Sequence[Node]) -> Layers:
    layers: dict[SOp, int] = {}
    heads: dict[SOp, Head] = {}
    mlps: list[list[SOp]] = [[] for _ in range(n_layers)]
    of_group: list[dict[Hashable, int]] = [{} for _ in range(n_layers)]
    for node in breadth_first:
        if not isinstance(node, SOp) or node not in half:
            continue
        at = layers[node] = half[node] // 2
        if node in groups:
            heads[node] = Head(at, of_group[at].setdefault(groups[node], len(of_group[at])))
        if not isinstance(node, Aggregate):
            mlps[at].append(node)
    return Layers(layers, heads, mlps, max([1, *map(len, of_group)]))


def _sources(node: SOp) -> list[SOp]:
    """The s-ops it reads, through its selector too."""
    found: list[SOp] = []
    for of in node.inputs:
        found.extend(of.inputs if isinstance(of, Select) else [of])
    return found


def _selector_key(node: SOp) -> Hashable:
    """Equal for operations that one head can do: the same matches, and the same score of the beginning token."""
    selector = node.inputs[0]
    assert isinstance(selector, Select)
    sides = [type(s) if isinstance(s, Tokens | Indices) else id(s) for s in selector.inputs]
    return isinstance(node, SelectorWidth), *sides, selector.predicate
