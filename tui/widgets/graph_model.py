"""What a person looks at in a graph: level of detail, threshold, focus, selected node; without Textual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sessions.artifacts import Edge, Graph, Node
from tui.widgets.automaton_picture import MOST_ARCS, AutomatonPicture
from tui.widgets.edge_lines import EdgeMatrix, edge_matrix
from tui.widgets.graph_layout import LayeredLayout, Shown, shown, thresholds
from tui.widgets.graph_picture import DENSE, LEVELS, LayeredPicture, styled
from tui.widgets.graph_sides import LETTERS, compares, counts, side_ink
from tui.widgets.heatmap_picture import HeatmapPicture, Matrix2d
from tui.widgets.inks import Inks, Piece, clipped

Direction = Literal["up", "down", "left", "right"]
Neighbour = tuple[Edge, str, bool]  # the edge, the node at its other end, whether it comes in
MOST_LINES = 1_000  # that are laid out at all: 800 take a tenth of a second, 3,000 half of one and cannot be read


class GraphModel:
    """State of a graph view, and its lines. Drawings are kept until something that shapes them changes."""

    def __init__(self) -> None:
        self.graph = Graph(title="", nodes=(), edges=())
        self.level = 1
        self.step = 0  # index into the thresholds
        self.focus: str | None = None
        self.everything = False
        self.folded: frozenset[int] = frozenset()
        self.matrix: bool | None = None  # None: when there are too many edges to draw
        self.selected = ""
        self.taken: tuple[str, str] | None = None  # of an automaton: the transition to be seen before all others
        self.listed = 0  # on the level of one node: the neighbour under the cursor
        self.inks = Inks()
        self.heatmap = HeatmapPicture()
        self._thresholds: tuple[float, ...] = (0.0,)
        self._nodes: dict[str, Node] = {}
        self._into: dict[str, list[Edge]] = {}
        self._out: dict[str, list[Edge]] = {}
        self._edges: EdgeMatrix | None = None
        self._part: Shown | None = None
        self._plans: dict[tuple[Any, ...], LayeredLayout | None] = {}
        self._picture: tuple[tuple[Any, ...], LayeredPicture | AutomatonPicture] | None = None

    def show(self, graph: Graph) -> None:
        """Draw a graph; the selected node stays if the new graph has it."""
        if graph is self.graph:
            return
        before, self.graph = self.threshold, graph
        self._nodes, self._into, self._out = {n.id: n for n in graph.nodes}, {}, {}
        for edge in graph.edges:
            self._into.setdefault(edge.target, []).append(edge)
            self._out.setdefault(edge.source, []).append(edge)
        self._thresholds, self.taken = thresholds(graph), None
        if self.step:  # the deciles move as a discovery goes on: stay near the value, not at its number
            self.step = min(range(len(self._thresholds)), key=lambda i: abs(self._thresholds[i] - before))
        if self.focus is not None and not self.node(self.focus):
            self.focus = None
        self.changed()
        if not self.node(self.selected):
            nodes = self.part.nodes or graph.nodes
            self.selected = nodes[0].id if nodes else ""

    def changed(self) -> None:
        """Something that shapes the drawing changed."""
        self._part, self._picture, self._edges, self._plans = None, None, None, {}

    @property
    def automaton(self) -> bool:
        return self.graph.layout == "automaton"

    @property
    def threshold(self) -> float:
        return self._thresholds[self.step]

    @property
    def part(self) -> Shown:
        if self._part is None:
            self._part = shown(
                self.graph,
                threshold=self.threshold,
                focus=self.focus,
                everything=self.everything or self.level == 0,
                folded=self.folded,
            )
        return self._part

    @property
    def shows_matrix(self) -> bool:
        """Whether the edges are drawn as a matrix: asked for, or too many for lines."""
        if not self.part.edges or (self.level in (0, 3) and not self.automaton):
            return False
        if self.automaton:
            return len({(e.source, e.target) for e in self.graph.edges if e.source != e.target}) > MOST_ARCS
        lines = len(self.part.lines)
        return lines > DENSE if self.matrix is None else self.matrix or lines > MOST_LINES

    @property
    def too_dense(self) -> bool:
        """Whether there are too many edges for lines: they can be seen as a matrix only."""
        return len(self.part.lines) > MOST_LINES

    @property
    def compares(self) -> bool:
        return compares(self.graph)

    def node(self, name: str) -> Node | None:
        return self._nodes.get(name)

    @property
    def edges(self) -> EdgeMatrix:
        """The drawn edges as a matrix."""
        if self._edges is None:
            self._edges = edge_matrix(self.part.nodes, self.part.edges)
        return self._edges

    @property
    def picture(self) -> LayeredPicture | AutomatonPicture:
        ascii_only = self.inks.depth == "ascii"
        if self.automaton:
            key: tuple[Any, ...] = ("automaton", ascii_only)
        else:
            key = (self.level, self.step, self.focus, self.everything, self.folded, self.selected, ascii_only)
        if self._picture is None or self._picture[0] != key:
            made: LayeredPicture | AutomatonPicture
            if self.automaton:
                made = AutomatonPicture(self.graph, self.selected, ascii_only)
            else:
                place = (key[:5], ascii_only)
                made = LayeredPicture(self.part, self.level, self.selected, ascii_only, self._plans.get(place))
                self._plans[place] = made.plan
            self._picture = (key, made)
        picture = self._picture[1]
        picture.selected = self.selected
        if isinstance(picture, AutomatonPicture):
            picture.taken = self.taken
        return picture

    # ---- changes a key makes

    def set_level(self, level: int) -> None:
        self.level = max(0, min(level, len(LEVELS) - 1))
        self.listed = 0
        self.changed()

    def step_threshold(self, by: int) -> None:
        self.step = max(0, min(self.step + by, len(self._thresholds) - 1))
        self.changed()

    def toggle_focus(self) -> None:
        self.focus = None if self.focus is not None else self.selected or None
        self.changed()

    def toggle_everything(self) -> None:
        """Show what was looked at and found not to belong, or hide it."""
        self.everything = not self.everything
        self.changed()

    def toggle_fold(self) -> None:
        """Fold the selected node's layer away, or bring all folded layers back."""
        node = self.node(self.selected)
        if self.folded:
            self.folded = frozenset()
        elif node is not None:
            self.folded = frozenset({node.layer})
        self.changed()

    def walk(self, direction: Direction) -> bool:
        """Move the selection: up and down along the strongest drawn edge, left and right among siblings."""
        rows = self.picture.rows
        row = next((i for i, r in enumerate(rows) if self.selected in r), None)
        if row is None:
            first = next((r[0] for r in rows if r), "")
            changed, self.selected = first != self.selected, first
            return changed
        before = self.selected
        if self.automaton or direction in ("left", "right"):
            step = -1 if direction in ("left", "up") else 1
            at = rows[row].index(self.selected) + step
            if 0 <= at < len(rows[row]):
                self.selected = rows[row][at]
            return self.selected != before
        down = direction == "down"
        ends = [
            (abs(e.weight), e.target if down else e.source)
            for e in self.part.edges
            if (e.source if down else e.target) == self.selected
        ]
        places = self.picture.at
        if ends and self.level != 0:
            strongest = max(weight for weight, _ in ends)
            self.selected = next(name for weight, name in ends if weight == strongest)
        else:
            other = row + (1 if down else -1)
            if 0 <= other < len(rows) and rows[other]:
                x = places[self.selected][0]
                self.selected = min(rows[other], key=lambda n: (abs(places[n][0] - x), places[n][0]))
        return self.selected != before

    def neighbours(self) -> list[Neighbour]:
        """The selected node's edges, incoming first, each by falling |weight|. Hidden edges are listed too."""
        into = [(e, e.source, True) for e in self._into.get(self.selected, ())]
        out = [(e, e.target, False) for e in self._out.get(self.selected, ())]
        return sorted(into, key=_strongest) + sorted(out, key=_strongest)

    def edge(self, source: str, target: str) -> Edge | None:
        """The edge into a target as it is read (`L3H1.v`); of several into its node, the strongest."""
        ends = [e for e in self._out.get(source, ()) if target in (e.target, e.into(e.target))]
        return max(ends, key=lambda e: abs(e.weight)) if ends else None

    def edge_facts(self, edge: Edge) -> str:
        """An edge in words: its score, and whether it is in the circuit."""
        words = [f"{self._name(edge.source)}→{edge.into(self._name(edge.target))}", f"{edge.weight:+.5g}"]
        words += [self.graph.weight_name] if self.graph.weight_name else []
        words += [] if edge.kept else ["not in the circuit"]
        words += [] if edge.side is None else [f"in {LETTERS[edge.side]}"]
        return " ".join(words[:2]) + "".join(f" · {word}" for word in words[2:])

    def _name(self, node: str) -> str:
        return self._nodes[node].label if node in self._nodes else node

    def span(self, x: int) -> tuple[int, int]:
        """The columns that should be seen of the selected node, whose middle is `x`: of a state its whole box."""
        picture = self.picture
        if isinstance(picture, AutomatonPicture) and self.selected in picture.spans:
            return picture.spans[self.selected]
        return x - 6, x + 8

    # ---- words and lines

    def heading(self) -> str:
        """What part of the edges is drawn, and what changed it. (The title is the pane's to say.)"""
        words: list[str] = []
        if self.automaton:
            ways = sum(len(edge.label.split(", ")) for edge in self.graph.edges)
            words.append(f"{len(self.graph.nodes)} states, {ways} transitions")
            words += ["from the row's state to the column's"] if self.shows_matrix else []
        else:
            if self.compares:
                words.append(counts(self.graph))
            words.append(self.part.title)
            if self.threshold:
                words.append(f"|weight| at least {self.threshold:.3g}")
            if self.focus:
                words.append(f"only around {self.focus}")
            if self.folded:
                words.append("one layer folded")
            too_many = " (too many edges for lines)" if self.too_dense and self.level in (1, 2) else ""
            words.append(f"matrix{too_many}" if self.shows_matrix else LEVELS[self.level])
            if self.level in (1, 2) and not self.shows_matrix and (far := self._far()):
                words.append(
                    f"{far} long edges {'as : with a count' if self.inks.depth == 'ascii' else 'as ┆ with a count'}"
                )
        return (" | " if self.inks.depth == "ascii" else " · ").join(words)

    def _far(self) -> int:
        plan = self.picture.plan if isinstance(self.picture, LayeredPicture) else None
        return len(plan.far) if plan is not None else 0

    def facts(self) -> str:
        """The selected node in words."""
        node = self.node(self.selected)
        if node is None:
            return ""
        words = [node.label]
        if node.score is not None:
            words.append(f"{self.graph.score_name or 'score'} {node.score:+.5g}")
        if not node.kept:
            words.append("not in the circuit")
        if node.side is not None:
            words.append(f"in {LETTERS[node.side]}")
        words.append(f"{_kept(self._into.get(node.id, ()))} in, {_kept(self._out.get(node.id, ()))} out")
        hidden = self.part.hidden.get(node.id, 0) if not self.automaton else 0
        if hidden:
            words.append(f"{hidden} hidden")
        return (" | " if self.inks.depth == "ascii" else " · ").join(words)

    def prepare_matrix(self, width: int, height: int) -> None:
        edges = self.edges
        self.heatmap.inks = self.inks
        self.heatmap.size = (width, height)
        unit = self.graph.weight_name
        self.heatmap.show(
            Matrix2d(
                edges.values,
                edges.source_axis,
                edges.target_axis,
                scale="diverging",
                unit=unit,
                known="are edges",
                unknown="no edge",
            )
        )

    def edge_at(self, row: int, column: int) -> tuple[str, str]:
        """Source and target (as it is read) of an entry of the matrix."""
        target, fed = self.edges.targets[column]
        return self.edges.sources[row], f"{target}.{fed}" if fed else target

    def line(self, y: int, left: int, width: int) -> list[Piece]:
        """Line `y` of the drawing from column `left` on (the matrix has lines of its own)."""
        if self.level == 3 and not self.automaton:
            return self._one_node(y, width)
        return styled(self.picture, y, left, width, self.inks)

    def _one_node(self, y: int, width: int) -> list[Piece]:
        ascii_only = self.inks.depth == "ascii"
        rows = self.neighbours()
        largest = max((abs(e.weight) for e, _, _ in rows), default=0.0) or 1.0
        if y == 0:
            node = self.node(self.selected)
            head = f"{'':2}{'':4} {'node':12} {'weight':>10}  {self.graph.weight_name}"
            return [(clipped(head if node else "no node selected", width, ascii_only), self.inks.title)]
        if not 0 < y <= len(rows):
            return [("  no edges", self.inks.dim)] if y == 1 and not rows else []
        edge, other, comes_in = rows[y - 1]
        here = y - 1 == self.listed
        lead = (">" if ascii_only else "▸") if here else " "
        way = "from" if comes_in else "to  "
        arrow = "->" if ascii_only else "→"
        name = self._name(other)
        # of an edge that comes in, the input is this node's; of one that goes out, the other's
        name = edge.into(name) if not comes_in else f"{name} {arrow} {edge.input}" if edge.input else name
        bar = ("#" if ascii_only else "█") * max(1, round(12 * abs(edge.weight) / largest))
        tail = "" if edge.kept else "  not in the circuit"
        tail += "" if edge.side is None else f"  {LETTERS[edge.side]}"
        text = f"{lead} {way} {name:12} {edge.weight:>+10.4g}  {bar}{tail}"
        ink = self.inks.text if edge.side is None else side_ink(edge.side, self.inks)
        return [(clipped(text, width, ascii_only), self.inks.title if here else ink if edge.kept else self.inks.dim)]

    @property
    def extent(self) -> tuple[int, int]:
        if self.level == 3 and not self.automaton:
            return 0, len(self.neighbours()) + 1
        return self.picture.width, self.picture.height


def _kept(edges: Sequence[Edge]) -> str:
    """How many edges are in the circuit; `2 of 3` where others were cut."""
    kept = sum(edge.kept for edge in edges)
    return f"{kept}" if kept == len(edges) else f"{kept} of {len(edges)}"


def _strongest(neighbour: Neighbour) -> float:
    return -abs(neighbour[0].weight)
