"""Where the nodes of a layered graph go: which are shown, their order within a row, and their columns.

Layers are given, so a layout is an order inside each row plus columns (Sugiyama, Tagawa and Toda 1981): an edge that
crosses a row gets a dummy node there, barycentre sweeps reorder the rows, ties go by the given order, so the same graph
always gets the same drawing. Columns are then the least-squares fit to the neighbours' columns under that order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sessions.artifacts import Edge, Graph, Node
from tui.widgets.edge_lines import lines_of

SWEEPS = 6


class Shown(msgspec.Struct, frozen=True):
    """The part of a graph that a threshold and a focus leave, and what was hidden."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    hidden: dict[str, int]  # node id -> edges of it that threshold, focus or folding hide
    total_edges: int
    share: float  # of the sum of |weight| of all edges, 0 to 1
    lines: tuple[Edge, ...] = ()  # the edges as drawn: one for each pair of nodes

    @property
    def title(self) -> str:
        if self.total_edges == 0:
            return f"{len(self.nodes)} nodes, no edges"
        return f"{len(self.edges)} of {self.total_edges} edges, {self.share:.0%} of the weight"


def cone(graph: Graph, of: str) -> frozenset[str]:
    """The node, its ancestors and its descendants."""
    down: dict[str, list[str]] = {}
    up: dict[str, list[str]] = {}
    for edge in graph.edges:
        down.setdefault(edge.source, []).append(edge.target)
        up.setdefault(edge.target, []).append(edge.source)
    out = {of}
    for neighbours in (down, up):
        todo, seen = [of], {of}
        while todo:
            for other in neighbours.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        out |= seen
    return frozenset(out)


def shown(
    graph: Graph,
    *,
    threshold: float = 0.0,
    focus: str | None = None,
    everything: bool = False,
    folded: frozenset[int] = frozenset(),
) -> Shown:
    """Edges of at least that |weight| between shown nodes; with `focus` only its ancestors and descendants.

    Nodes that were found not to belong are left out unless `everything`; so are the nodes of folded layers.
    """
    near = cone(graph, focus) if focus is not None else None
    nodes = [
        n for n in graph.nodes if (everything or n.kept) and (near is None or n.id in near) and n.layer not in folded
    ]
    names = {n.id for n in nodes}
    edges: list[Edge] = []
    hidden: dict[str, int] = {}
    for edge in graph.edges:
        if not (everything or edge.kept):
            continue  # cut, not hidden: the graph is what is left
        if abs(edge.weight) >= threshold and edge.source in names and edge.target in names:
            edges.append(edge)
        else:
            for end in (edge.source, edge.target):
                hidden[end] = hidden.get(end, 0) + 1
    total = sum(abs(e.weight) for e in graph.edges)
    share = sum(abs(e.weight) for e in edges) / total if total else 1.0
    return Shown(tuple(nodes), tuple(edges), hidden, len(graph.edges), share, lines_of(edges))


def thresholds(graph: Graph) -> tuple[float, ...]:
    """The values the threshold steps through: 0 and the deciles of |weight| that hide something, then the largest."""
    sizes = sorted({abs(e.weight) for e in graph.edges if e.kept} or {abs(e.weight) for e in graph.edges})
    if not sizes:
        return (0.0,)
    picked = {sizes[min(len(sizes) - 1, len(sizes) * i // 10)] for i in range(1, 10)} | {sizes[-1]}
    return (0.0, *sorted(picked - {sizes[0]}))  # at the smallest all edges still stand


class Place(msgspec.Struct):
    """A node's row and the column of its middle. Dummies stand where a longer edge crosses a row."""

    id: str
    row: int
    x: float
    width: int
    dummy: bool = False

    @property
    def left(self) -> int:
        return round(self.x - (self.width - 1) / 2)


class LayeredLayout(msgspec.Struct, frozen=True):
    rows: tuple[tuple[Place, ...], ...]
    layers: tuple[int, ...]  # the graph's layer that each row shows
    chains: tuple[tuple[int, tuple[str, ...]], ...]  # edge index, ids from source over dummies to target
    far: tuple[int, ...]  # edges left to the side rail
    width: int

    @property
    def places(self) -> dict[str, Place]:
        return {p.id: p for row in self.rows for p in row}


def layered(
    nodes: Sequence[Node], edges: Sequence[Edge], widths: Mapping[str, int], *, far_span: int = 3, gap: int = 2
) -> LayeredLayout:
    """Lay out; edges over `far_span` rows or more are left to the rail when there are more than a dozen edges."""
    layers = tuple(sorted({n.layer for n in nodes}))
    row_of_layer = {layer: i for i, layer in enumerate(layers)}
    row_of = {n.id: row_of_layer[n.layer] for n in nodes}
    rows: list[list[str]] = [[] for _ in layers]
    for node in nodes:
        rows[row_of[node.id]].append(node.id)
    chains: list[tuple[int, tuple[str, ...]]] = []
    far: list[int] = []
    dummies: set[str] = set()
    for index, edge in enumerate(edges):
        first, last = row_of[edge.source], row_of[edge.target]
        sideways = first >= last  # shown in the node's own table only
        if sideways or (last - first >= far_span and len(edges) > 12):
            far.append(index)
        else:
            between = [f"\0{index}.{row}" for row in range(first + 1, last)]
            for row, name in zip(range(first + 1, last), between, strict=True):
                rows[row].append(name)
                dummies.add(name)
            chains.append((index, (edge.source, *between, edge.target)))
    pairs = [pair for _, chain in chains for pair in itertools.pairwise(chain)]
    _order(rows, pairs)
    sizes = {n: widths.get(n, 1) if n not in dummies else 1 for row in rows for n in row}
    columns = _columns(rows, pairs, sizes, gap)
    shift = min((columns[n] - (sizes[n] - 1) / 2 for row in rows for n in row), default=0.0)
    placed = tuple(
        tuple(Place(n, r, round(columns[n] - shift), sizes[n], n in dummies) for n in row) for r, row in enumerate(rows)
    )
    width = max((p.left + p.width for row in placed for p in row), default=0)
    return LayeredLayout(placed, layers, tuple(chains), tuple(far), width)


def _neighbours(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    up: dict[str, list[str]] = {}
    down: dict[str, list[str]] = {}
    for above, below in pairs:
        down.setdefault(above, []).append(below)
        up.setdefault(below, []).append(above)
    return up, down


def _order(rows: list[list[str]], pairs: Sequence[tuple[str, str]]) -> None:
    """Barycentre sweeps down and up, keeping the best order met."""
    up, down = _neighbours(pairs)
    best, fewest = [list(r) for r in rows], crossings(rows, pairs)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        neighbours, order = (up, range(1, len(rows))) if sweep % 2 == 0 else (down, range(len(rows) - 2, -1, -1))
        for r in order:
            beside = rows[r - 1] if sweep % 2 == 0 else rows[r + 1]
            place = {n: i for i, n in enumerate(beside)}
            own = {n: i for i, n in enumerate(rows[r])}
            ratio = len(beside) / max(1, len(rows[r]))
            weight = {
                n: (sum(place[m] for m in neighbours[n]) / len(neighbours[n]) if n in neighbours else own[n] * ratio)
                for n in rows[r]
            }
            rows[r].sort(key=lambda n, weight=weight, own=own: (weight[n], own[n]))  # type: ignore[misc]
        now = crossings(rows, pairs)
        if now < fewest:
            best, fewest = [list(r) for r in rows], now
    rows[:] = best


def crossings(rows: Sequence[Sequence[str]], pairs: Sequence[tuple[str, str]]) -> int:
    """How many pairs of edges between neighbouring rows cross (counted as inversions, by merging)."""
    row_of = {n: r for r, row in enumerate(rows) for n in row}
    place = {n: i for row in rows for i, n in enumerate(row)}
    between: dict[int, list[tuple[int, int]]] = {}
    for above, below in pairs:
        between.setdefault(row_of[above], []).append((place[above], place[below]))
    return sum(_inversions([b for _, b in sorted(ends)])[0] for ends in between.values())


def _inversions(values: list[int]) -> tuple[int, list[int]]:
    if len(values) < 2:
        return 0, values
    middle = len(values) // 2
    left_count, left = _inversions(values[:middle])
    right_count, right = _inversions(values[middle:])
    count, out, i = left_count + right_count, [], 0
    for value in right:
        while i < len(left) and left[i] <= value:
            out.append(left[i])
            i += 1
        count += len(left) - i
        out.append(value)
    return count, out + left[i:]


def _columns(
    rows: Sequence[Sequence[str]], pairs: Sequence[tuple[str, str]], sizes: Mapping[str, int], gap: int
) -> dict[str, float]:
    """Columns near the neighbours' mean, never closer than the widths and the gap allow."""
    up, down = _neighbours(pairs)
    widest = max((sum(sizes[n] + gap for n in row) for row in rows), default=0)
    x: dict[str, float] = {}
    for row in rows:
        at = (widest - sum(sizes[n] + gap for n in row)) / 2
        for n in row:
            x[n] = at + (sizes[n] - 1) / 2
            at += sizes[n] + gap
    for sweep in range(SWEEPS):
        neighbours = up if sweep % 2 == 0 else down
        for row in rows if sweep % 2 == 0 else list(rows)[::-1]:
            if not row:
                continue
            offsets = [0.0]
            for one, other in itertools.pairwise(row):
                offsets.append(offsets[-1] + (sizes[one] + sizes[other]) / 2 + gap)
            wanted = [
                (sum(x[m] for m in neighbours[n]) / len(neighbours[n]) if n in neighbours else x[n]) - o
                for n, o in zip(row, offsets, strict=True)
            ]
            for n, value, o in zip(row, _monotone(wanted), offsets, strict=True):
                x[n] = value + o
    return x


def _monotone(values: Sequence[float]) -> list[float]:
    """The closest non-decreasing sequence in least squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            other, weight = blocks.pop()
            mean, count = (other * weight + mean * count) / (weight + count), weight + count
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]
