"""A finite automaton drawn as states on a line with arcs, and its transition table.

States stand in breadth-first order from the start. Transitions forward arc above the line, transitions back below it,
loops are written inside their state. Each arc has two columns of its own, ordered so that nested arcs never cross.
"""

from __future__ import annotations

from sessions.artifacts import Edge, Graph, Node
from tui.widgets.graph_canvas import Canvas
from tui.widgets.graph_layout import Shown
from tui.widgets.graph_picture import Cell

GAP = 2
MOST_ARCS = 36  # between different states: more are drawn as a matrix
LONGEST_LABEL = 22  # the table below has all of it


def breadth_first(graph: Graph) -> tuple[Node, ...]:
    """The states in breadth-first order from those of layer 0; unreachable ones last, all ties as given."""
    nodes = {n.id: n for n in graph.nodes}
    following: dict[str, list[str]] = {}
    for edge in graph.edges:
        following.setdefault(edge.source, []).append(edge.target)
    first = min((n.layer for n in graph.nodes), default=0)
    order = [n.id for n in graph.nodes if n.layer == first][:1]
    seen = set(order)
    for name in order:
        for other in following.get(name, ()):
            if other not in seen and other in nodes:
                seen.add(other)
                order.append(other)
    return tuple(nodes[i] for i in [*order, *(n.id for n in graph.nodes if n.id not in seen)])


def labels_between(edges: tuple[Edge, ...]) -> dict[tuple[str, str], str]:
    """All labels from one state to another, joined: two symbols that lead to the same state share an arc."""
    out: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        out.setdefault((edge.source, edge.target), []).append(edge.label)
    return {pair: _short(", ".join(label for label in labels if label)) for pair, labels in out.items()}


def _short(label: str) -> str:
    """`0/0, 1/0 +8`: of many symbols the first few, and how many more."""
    parts = label.split(", ")
    kept: list[str] = []
    for part in parts:
        if kept and len(", ".join([*kept, part])) > LONGEST_LABEL:
            return f"{', '.join(kept)} +{len(parts) - len(kept)}"
        kept.append(part)
    return label


class AutomatonPicture:
    """The drawing as cells, in the same form as a layered picture, with the transition table below it."""

    def __init__(self, graph: Graph, selected: str, ascii_only: bool = False, table: bool = True) -> None:
        self.ascii_only, self.selected = ascii_only, selected
        self.nodes = breadth_first(graph)
        self.part = Shown(self.nodes, graph.edges, {}, len(graph.edges), 1.0, graph.edges)
        self.level = 2
        self.cells: dict[tuple[int, int], Cell] = {}
        self.taken: tuple[str, str] | None = None
        self.at: dict[str, tuple[int, int]] = {}
        self.spans: dict[str, tuple[int, int]] = {}  # of each state's box: its first column and the one behind it
        self.rows: tuple[tuple[str, ...], ...] = (tuple(n.id for n in self.nodes),)
        self.width = self.height = 0
        self._names = labels_between(graph.edges)
        if self.nodes:
            self._draw()
            if table:
                self._table(graph)

    def _draw(self) -> None:
        place = {n.id: i for i, n in enumerate(self.nodes)}
        arcs = [(place[s], place[t], label) for (s, t), label in self._names.items() if s != t]
        loops = {s: label for (s, t), label in self._names.items() if s == t}
        forward, back = [a for a in arcs if a[0] < a[1]], [a for a in arcs if a[0] > a[1]]
        ports_above, ports_below = _ports(len(self.nodes), forward), _ports(len(self.nodes), back)
        loop_sign = "o " if self.ascii_only else "↺ "
        inside = {
            n.id: [n.label] + ([loop_sign + loops[n.id]] if loops.get(n.id) is not None else [""]) for n in self.nodes
        }
        widths, lefts = [], []
        at = 2
        for i, node in enumerate(self.nodes):
            arcs_here = max(len(ports_above[i]), len(ports_below[i]))
            widths.append(max(max(len(x) for x in inside[node.id]) + 4, 2 * arcs_here + 3))
            lefts.append(at)
            # A short arc needs room between its two ends for its label.
            beside = [len(label) for s, t, label in arcs if abs(s - t) == 1 and min(s, t) == i]
            at += widths[-1] + max(GAP, *(b + 2 for b in beside)) if beside else widths[-1] + GAP
        self.width = at + 2
        above, below = _levels(forward), _levels(back)
        top = 2 * (max(above.values(), default=-1) + 1)
        canvas = Canvas(self.ascii_only)
        labels: list[tuple[int, int, str]] = []
        numbers = {pair: i for i, pair in enumerate(self._names)}

        def column_of(columns: list[tuple[int, int, str]], state: int, arc: tuple[int, int, str]) -> int:
            spread = widths[state] - 2
            return lefts[state] + 1 + (spread * (2 * columns.index(arc) + 1)) // (2 * len(columns))

        for side, levels, ports, upper in ((forward, above, ports_above, True), (back, below, ports_below, False)):
            for arc in side:
                source, target, label = arc
                start, end = column_of(ports[source], source, arc), column_of(ports[target], target, arc)
                y = top - 2 * levels[arc] - 2 if upper else top + 4 + 2 * levels[arc] + 1
                edge = numbers[(self.nodes[source].id, self.nodes[target].id)]
                line = (edge, f"arc{edge}", f"arc{edge}")
                canvas.horizontal(y, start, end, line)
                for x in (start, end):
                    if upper:
                        canvas.vertical(x, y, top - 1, line, open_bottom=True)
                    else:
                        canvas.vertical(x, top + 4, y, line, open_top=True)
                head = ("v" if upper else "^") if self.ascii_only else ("▼" if upper else "▲")
                labels.append((end, top - 1 if upper else top + 4, head))
                text = f" {label} "
                labels.append((round((start + end) / 2 - (len(text) - 1) / 2), y, text))
        pairs = list(self._names)
        index_of = {(e.source, e.target): i for i, e in reversed(list(enumerate(self.part.edges)))}
        for x, y in canvas.bits:
            character, edges = canvas.cell(x, y, [1] * len(pairs))
            self.cells[(x, y)] = Cell(character, "", tuple(index_of[pairs[e]] for e in edges), 0)
        for x, y, text in labels:
            for i, character in enumerate(text):
                owner = self.cells.get((x + i, y))
                self.cells[(x + i, y)] = Cell(character, "", owner.edges if owner else (), 0)
        for i, node in enumerate(self.nodes):
            self._state(node, lefts[i], top, widths[i], inside[node.id])
            self.spans[node.id] = (lefts[i], lefts[i] + widths[i])
            self.at[node.id] = (lefts[i] + widths[i] // 2, top + 1)
        first = ">" if self.ascii_only else "→"
        self.cells[(0, top + 1)] = Cell(first)
        self.height = top + 4 + (2 * (max(below.values()) + 1) if below else 0)

    def _state(self, node: Node, x: int, y: int, width: int, lines: list[str]) -> None:
        if self.ascii_only:
            frame = "####=|" if node.accepting else "++++-|"
        else:
            frame = "╔╗╚╝═║" if node.accepting else "┌┐└┘─│"
        rows = [
            frame[0] + frame[4] * (width - 2) + frame[1],
            *(frame[5] + text.center(width - 2) + frame[5] for text in lines),
            frame[2] + frame[4] * (width - 2) + frame[3],
        ]
        for down, text in enumerate(rows):
            for right, character in enumerate(text):
                self.cells[(x + right, y + down)] = Cell(character, node.id)

    def _table(self, graph: Graph) -> None:
        """State x input: where it goes and what it writes (labels read as `input/output`, several joined by `, `)."""
        moves: dict[str, dict[str, str]] = {}
        symbols: list[str] = []
        names = {n.id: n.label for n in self.nodes}
        for edge in graph.edges:
            for label in edge.label.split(", "):
                reads, _, writes = label.partition("/")
                if reads not in symbols:
                    symbols.append(reads)
                arrow = names.get(edge.target, edge.target) + (f" / {writes}" if writes else "")
                moves.setdefault(edge.source, {})[reads] = arrow
        symbols.sort()
        header = ["state", *(f"reads {s}" if s else "next" for s in symbols)]
        rows = [[n.label, *(moves.get(n.id, {}).get(s, "-") for s in symbols)]
                for n in self.nodes]  # fmt: skip
        widths = [max(len(r[c]) for r in [header, *rows]) for c in range(len(header))]
        y = self.height + 1
        for line, (row, node) in enumerate([(header, ""), *((r, n.id) for r, n in zip(rows, self.nodes, strict=True))]):
            text = "   ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
            for x, character in enumerate(text):
                self.cells[(2 + x, y + line)] = Cell(character, node)
            self.width = max(self.width, len(text) + 2)
        self.height = y + len(rows) + 1


def _ports(states: int, arcs: list[tuple[int, int, str]]) -> list[list[tuple[int, int, str]]]:
    """The arcs of each state, left to right: those from the left by rising span, then those to the right by falling."""
    out: list[list[tuple[int, int, str]]] = []
    for state in range(states):
        mine = [a for a in arcs if state in a[:2]]
        left = sorted((a for a in mine if max(a[:2]) == state), key=lambda a: (abs(a[0] - a[1]), a))
        right = sorted((a for a in mine if min(a[:2]) == state), key=lambda a: (-abs(a[0] - a[1]), a))
        out.append([*left, *right])
    return out


def _levels(arcs: list[tuple[int, int, str]]) -> dict[tuple[int, int, str], int]:
    """A height for each arc: above every arc whose states it spans or overlaps; short arcs lie lowest."""
    out: dict[tuple[int, int, str], int] = {}
    for arc in sorted(arcs, key=lambda a: (abs(a[0] - a[1]), min(a[:2]), a)):
        low, high = min(arc[:2]), max(arc[:2])
        under = [level for other, level in out.items() if min(other[:2]) < high and max(other[:2]) > low]
        out[arc] = max(under, default=-1) + 1
    return out
