"""A layered circuit graph as lines of text, at four levels of detail. State and drawing, without Textual."""

from __future__ import annotations

import itertools
from typing import Protocol

import msgspec
from rich.style import Style

from sessions.artifacts import Edge, Node, Side
from sessions.components import Head, Mlp
from themes.colour import diverging
from tui.widgets.graph_canvas import Canvas, tracks
from tui.widgets.graph_layout import LayeredLayout, Shown, layered
from tui.widgets.graph_sides import LETTERS, side_ink
from tui.widgets.inks import Inks, Piece, clipped, style_of

LEVELS = ("grid", "names", "boxes", "one node")
DENSE = 150  # edges above which no layout helps and the matrix is shown


class Cell(msgspec.Struct, frozen=True):
    """One drawn character: what it shows and whose it is."""

    text: str
    node: str = ""
    edges: tuple[int, ...] = ()
    sign: int = 0


class Drawn(Protocol):
    """What the view needs of a drawing, of either kind."""

    part: Shown
    level: int
    selected: str
    taken: tuple[str, str] | None  # the edge that is bright; None: those of the selected node
    cells: dict[tuple[int, int], Cell]


class LayeredPicture:
    """A drawn graph: rows of cells, and where each node stands. Styles depend on the selection and are added later."""

    def __init__(
        self, part: Shown, level: int, selected: str, ascii_only: bool = False, plan: LayeredLayout | None = None
    ) -> None:
        self.part, self.level, self.selected, self.ascii_only = part, level, selected, ascii_only
        self.plan = plan
        self.taken: tuple[str, str] | None = None
        self.cells: dict[tuple[int, int], Cell] = {}
        self.at: dict[str, tuple[int, int]] = {}  # node -> column and line of its middle
        self.rows: tuple[tuple[str, ...], ...] = ()
        self.width = self.height = 0
        if level == 0:
            self._grid()
        else:
            self._layers()

    # ---- level 0: one cell per node

    def _grid(self) -> None:
        layers = sorted({n.layer for n in self.part.nodes})
        label = 6
        rows: list[tuple[str, ...]] = []
        for y, layer in enumerate(layers):
            nodes = [n for n in self.part.nodes if n.layer == layer]
            # Heads stand in the column of their number, whether or not their neighbours are shown.
            placed: dict[int, Node] = {}
            for i, n in enumerate(nodes):
                column = n.component.head if isinstance(n.component, Head) else i
                while column in placed:
                    column += 1
                placed[column] = n
            self._write(0, y + 1, clipped(_row_name(nodes[0]), label - 1, self.ascii_only).rjust(label - 1), "")
            for column, n in sorted(placed.items()):
                x = label + 2 * column
                glyph = ("#" if self.ascii_only else "■") if n.kept else ("." if self.ascii_only else "·")
                glyph = glyph if n.side is None else LETTERS[n.side]
                self.cells[(x, y + 1)] = Cell(glyph, n.id)
                self.at[n.id] = (x, y + 1)
                self.width = max(self.width, x + 2)
            rows.append(tuple(n.id for _, n in sorted(placed.items())))
        columns = (self.width - label) // 2
        for column in range(0, columns, 5):
            self._write(label + 2 * column, 0, str(column), "")
        self.rows = tuple(rows)
        self.height = len(layers) + 1

    # ---- levels 1 and 2: names or boxes, with routed edges

    def label(self, node: Node) -> str:
        hidden = self.part.hidden.get(node.id, 0)
        dot = " +" if self.ascii_only else " ·"
        letter = f" {LETTERS[node.side]}" if node.side is not None else ""
        return node.label + letter + (f"{dot}{hidden}" if hidden else "")

    def _layers(self) -> None:
        boxed = self.level >= 2
        words = {n.id: self.label(n) for n in self.part.nodes}
        scores = {n.id: "" if n.score is None else f"{n.score:+.3g}" for n in self.part.nodes}
        widths = {
            n.id: (max(len(words[n.id]), len(scores[n.id])) + 4 if boxed else len(words[n.id])) for n in self.part.nodes
        }
        plan = self.plan = self.plan or layered(self.part.nodes, self.part.lines, widths)
        self.rows = tuple(tuple(p.id for p in row if not p.dummy) for row in plan.rows)
        self.width = plan.width + 2
        route = _Router(
            plan, self.part.lines, self.selected, 4 if boxed and any(scores.values()) else 3 if boxed else 1
        )
        canvas = Canvas(self.ascii_only)
        route.draw(canvas)
        self.width, self.height = max(self.width, route.width), route.height
        weights = _weights(self.part.lines)
        for x, y in canvas.bits:
            text, edges = canvas.cell(x, y, weights)
            self.cells[(x, y)] = Cell(text, "", edges, _sign(self.part.lines, edges))
        for (x, y), edges in route.heads.items():
            self.cells[(x, y)] = Cell(self._arrowhead(edges), "", edges, _sign(self.part.lines, edges))
        for x, y, text in route.counts:
            self._write(x, y, text.replace("┆", ":") if self.ascii_only else text, "")
        for row in plan.rows:
            for place in row:
                if place.dummy:
                    continue
                y = route.tops[place.row]
                self.at[place.id] = (round(place.x), y + (1 if boxed else 0))
                if boxed:
                    self._box(place.left, y, place.width, [words[place.id], scores[place.id]], place.id, route.tall)
                else:
                    self._write(place.left, y, words[place.id], place.id)

    def _arrowhead(self, edges: tuple[int, ...]) -> str:
        """The sign of the lines that come in; of two circuits compared, which of them has them."""
        side = _side(self.part.lines, edges)
        if side is not None:
            return LETTERS[side]
        sign = _sign(self.part.lines, edges)
        return "+" if sign > 0 else "-" if sign < 0 else "*" if self.ascii_only else "±"

    def _box(self, x: int, y: int, width: int, lines: list[str], node: str, tall: int) -> None:
        top, side, bottom = ("+-+", "|", "+-+") if self.ascii_only else ("┌─┐", "│", "└─┘")
        self._write(x, y, top[0] + top[1] * (width - 2) + top[2], node)
        for i in range(tall - 2):
            text = lines[i] if i < len(lines) else ""
            self._write(x, y + 1 + i, side + text.center(width - 2) + side, node)
        self._write(x, y + tall - 1, bottom[0] + bottom[1] * (width - 2) + bottom[2], node)

    def _write(self, x: int, y: int, text: str, node: str) -> None:
        for i, character in enumerate(text):
            self.cells[(x + i, y)] = Cell(character, node)


class _Router:
    """Lines of a layered drawing: tracks between the rows, dummies straight through, long edges along a side rail.

    Only the selected node's long edges are drawn in the rail; of the others a count stands there.
    """

    def __init__(self, plan: LayeredLayout, edges: tuple[Edge, ...], selected: str, tall: int) -> None:
        self.plan, self.edges, self.selected, self.tall = plan, edges, selected, tall
        self.places = plan.places
        self.heads: dict[tuple[int, int], tuple[int, ...]] = {}
        self.counts: list[tuple[int, int, str]] = []
        self.rail = plan.width + 2
        far = [i for i in plan.far if self._rows(i)[0] < self._rows(i)[1]]
        self.far_selected = [i for i in far if selected in (edges[i].source, edges[i].target)]
        self.channels = [self._channel(r) for r in range(len(plan.rows) - 1)]
        self.tops: list[int] = [0]
        for nets, used in self.channels:
            spare = 1 if far else 0
            lines = (used + 1 + spare) if nets or spare else 1
            self.tops.append(self.tops[-1] + tall + lines)
        self.height = self.tops[-1] + tall
        spans: dict[tuple[int, int], int] = {}
        for i in far:
            spans[self._rows(i)] = spans.get(self._rows(i), 0) + 1
        self._rail_counts(spans)
        self.width = self.rail + 2 + (3 * min(len(spans), 8) if spans else 0)

    def _rows(self, edge: int) -> tuple[int, int]:
        return self.places[self.edges[edge].source].row, self.places[self.edges[edge].target].row

    def _rail_counts(self, spans: dict[tuple[int, int], int]) -> None:
        for lane, ((first, last), count) in enumerate(sorted(spans.items())[:8]):
            x = self.rail + 2 + 3 * lane
            bottom = self.tops[last] - 1
            for y in range(self.tops[first] + self.tall, bottom + 1):
                self.counts.append((x, y, "┆"))
            self.counts.append((x, self.tops[first] + self.tall, f"{count}"))
        if len(spans) > 8:
            rest = sum(count for _, count in sorted(spans.items())[8:])
            self.counts.append((self.rail + 26, self.tops[0] + self.tall, f"+{rest}"))

    def _channel(self, row: int) -> tuple[list[tuple[str, dict[int, list[int]], int]], int]:
        """The nets between a row and the next: (source, column below -> edges, track), and their tracks' number."""
        nets: dict[str, dict[int, list[int]]] = {}
        ports = self._ports(row + 1)
        for index, chain in self.plan.chains:
            for above, below in itertools.pairwise(chain):
                if self.places[above].row == row:
                    column = ports[(above, below)]
                    nets.setdefault(above, {}).setdefault(column, []).append(index)
        names = sorted(nets, key=lambda n: self.places[n].x)
        spans = []
        for name in names:
            start = round(self.places[name].x)
            columns = set(nets[name]) | {start}
            spans.append((min(columns), max(columns), frozenset({start}), frozenset(nets[name]) - {start}))
        levels = tracks(spans)
        return [(n, nets[n], t) for n, t in zip(names, levels, strict=True)], max(levels, default=-1) + 1

    def _ports(self, row: int) -> dict[tuple[str, str], int]:
        """A column for each line that comes into a row: side by side where the node is wide enough."""
        incoming: dict[str, list[str]] = {}
        for _, chain in self.plan.chains:
            for above, below in itertools.pairwise(chain):
                if self.places[below].row == row and above not in incoming.setdefault(below, []):
                    incoming[below].append(above)
        out: dict[tuple[str, str], int] = {}
        for below, sources in incoming.items():
            place = self.places[below]
            sources.sort(key=lambda n: self.places[n].x)
            room = 1 if place.dummy else max(1, (place.width + 1) // 2)
            middle = round(place.x)
            count = min(len(sources), room)
            columns = [middle - (count - 1) + 2 * i for i in range(count)]
            columns = [max(place.left, min(place.left + place.width - 1, c)) for c in columns]
            for i, source in enumerate(sources):
                out[(source, below)] = columns[i * count // len(sources)]
        return out

    def draw(self, canvas: Canvas) -> None:
        for row, (nets, _) in enumerate(self.channels):
            top, bottom = self.tops[row] + self.tall, self.tops[row + 1] - 1
            ports = {v: k for k, v in self._ports(row + 1).items()}
            for source, columns, track in nets:
                start, y = round(self.places[source].x), top + track
                for column, edges in columns.items():
                    target = ports.get(column, ("", ""))[1]
                    for index in edges:
                        line = (index, source, target)
                        if column == start:
                            canvas.vertical(start, top, bottom, line, open_top=True, open_bottom=True)
                        else:
                            canvas.vertical(start, top, y, line, open_top=True)
                            canvas.horizontal(y, start, column, line)
                            canvas.vertical(column, y, bottom, line, open_bottom=True)
                        if not self.places[self._end(index, source)].dummy:
                            key = (column, bottom)
                            self.heads[key] = (*self.heads.get(key, ()), index)
            for place in self.plan.rows[row + 1]:
                if place.dummy:
                    index = int(place.id[1:].split(".")[0])
                    line = (index, place.id, place.id)
                    canvas.vertical(
                        round(place.x), bottom + 1, bottom + self.tall, line, open_top=True, open_bottom=True
                    )
        for index in self.far_selected:
            self._far(canvas, index)

    def _end(self, index: int, source: str) -> str:
        chain = next(c for i, c in self.plan.chains if i == index)
        return chain[chain.index(source) + 1]

    def _far(self, canvas: Canvas, index: int) -> None:
        edge = self.edges[index]
        first, last = self._rows(index)
        source, target = self.places[edge.source], self.places[edge.target]
        out_y, in_y = self.tops[first + 1] - 2, self.tops[last] - 2
        line = (index, edge.source, edge.target)
        start, end = round(source.x), round(target.x)
        canvas.vertical(start, self.tops[first] + self.tall, out_y, line, open_top=True)
        canvas.horizontal(out_y, start, self.rail, line)
        canvas.vertical(self.rail, out_y, in_y, line)
        canvas.horizontal(in_y, end, self.rail, line)
        canvas.vertical(end, in_y, in_y + 1, line, open_bottom=True)
        self.heads[(end, in_y + 1)] = (*self.heads.get((end, in_y + 1), ()), index)


def _row_name(node: Node) -> str:
    if isinstance(node.component, Head):
        return f"L{node.component.layer} h"
    if isinstance(node.component, Mlp):
        return f"L{node.component.layer} m"
    return node.label


def _weights(edges: tuple[Edge, ...]) -> list[int]:
    """0 (dashed), 1 or 2 (heavy) by thirds of the largest |weight|. What is not in the circuit is dashed."""
    largest = max((abs(e.weight) for e in edges), default=0.0) or 1.0
    return [min(2, int(3 * abs(e.weight) / largest)) if e.kept else 0 for e in edges]


def _sign(edges: tuple[Edge, ...], which: tuple[int, ...]) -> int:
    signs = {1 if edges[i].weight >= 0 else -1 for i in which if i < len(edges)}
    return signs.pop() if len(signs) == 1 else 0


def _side(edges: tuple[Edge, ...], which: tuple[int, ...]) -> Side | None:
    """The side of all of these lines; lines of different sides that run together belong to both."""
    sides = {edges[i].side for i in which if i < len(edges)} - {None}
    return None if not sides else sides.pop() if len(sides) == 1 else "both"


def styled(picture: Drawn, y: int, left: int, width: int, inks: Inks) -> list[Piece]:
    """Line `y` of the picture from column `left` on, coloured for the selection: its edges bright, the rest dim."""
    coloured = inks.depth in ("truecolor", "256")
    ramp = diverging(inks.depth, inks.dark)
    plus = style_of(ramp[-2], None) if coloured else inks.text
    minus = style_of(ramp[1], None) if coloured else inks.text
    dim_plus = style_of(ramp[len(ramp) * 3 // 4], None) if coloured else inks.dim
    dim_minus = style_of(ramp[len(ramp) // 4], None) if coloured else inks.dim
    edges = picture.part.lines
    drawn = edges if picture.level else ()  # a grid has no lines
    taken = picture.taken
    mine = {
        i
        for i, e in enumerate(drawn)
        if (picture.selected in (e.source, e.target) if taken is None else taken == (e.source, e.target))
    }
    nodes = {n.id: n for n in picture.part.nodes}
    largest = max((abs(n.score) for n in picture.part.nodes if n.score is not None), default=0.0) or 1.0
    out: list[Piece] = []
    for x in range(left, left + width):
        cell = picture.cells.get((x, y))
        if cell is None:
            out.append((" ", inks.text))
            continue
        if cell.node:
            node = nodes[cell.node]
            if cell.node == picture.selected:
                style = inks.accent
            elif node.side is not None:
                style = side_ink(node.side, inks) + _BOLD
            elif coloured and picture.level == 0 and node.score is not None:
                middle = len(ramp) // 2
                style = style_of(ramp[middle + round(node.score / largest * middle)], None)
            else:
                style = inks.title if node.kept else inks.dim
            out.append((cell.text, style))
        elif cell.edges:
            bright = bool(mine.intersection(cell.edges))
            side = _side(edges, cell.edges)
            if side is not None:
                style = side_ink(side, inks, bright=bright)
            elif not any(edges[i].kept for i in cell.edges if i < len(edges)):
                style = inks.dim
            elif cell.sign > 0:
                style = plus if bright else dim_plus
            elif cell.sign < 0:
                style = minus if bright else dim_minus
            else:
                style = inks.text if bright else inks.dim
            out.append((cell.text, style + _BOLD if bright else style))
        else:
            out.append((cell.text, inks.dim))
    return out


_BOLD = Style(bold=True)
