"""A graph on the screen: a circuit in layers, or an automaton."""

from __future__ import annotations

from textual.message import Message

from sessions.artifacts import Graph
from tui.widgets.graph_model import GraphModel
from tui.widgets.inks import Piece, clipped
from tui.widgets.line_widget import LineWidget


class GraphView(LineWidget):
    """Draws a graph. Up and down follow the strongest edge, left and right go to siblings."""

    class NodeMoved(Message):
        """Another node is selected."""

        def __init__(self, view: GraphView, node: str) -> None:
            super().__init__()
            self.view, self.node = view, node

        @property
        def control(self) -> GraphView:
            return self.view

    class NodeSelected(NodeMoved):
        """`enter` on a node."""

    class EdgeMoved(Message):
        """An edge is under the cursor: in the matrix, or in the list of one node's edges. `target` as it is read."""

        def __init__(self, view: GraphView, source: str, target: str) -> None:
            super().__init__()
            self.view, self.source, self.target = view, source, target

        @property
        def control(self) -> GraphView:
            return self.view

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.model = GraphModel()
        self.left = self.top = 0
        self._centred_in = (0, 0)
        self.empty = "no graph"

    def show(self, graph: Graph | None, *, empty: str = "no graph") -> None:
        """Draw a graph artifact, keeping the selected node, level and threshold where they still mean something."""
        self.empty = empty
        new = graph is not self.model.graph
        self.model.show(graph if graph is not None else Graph(title="", nodes=(), edges=()))
        if new:
            self._centre()
        self._restyle_and_refresh()

    def select(self, node: str) -> None:
        """Select a node without a message (the selection came from another view)."""
        if node != self.model.selected and self.model.node(node) is not None:
            self.model.selected = node
            self._point_at(node)
            self._keep_in_view()
            self.repaint_changes()

    def take(self, source: str, target: str) -> None:
        """Of an automaton: this transition has been taken; it is seen before all others, and its target is selected."""
        self.model.taken = (source, target) if source and target else None
        if target and self.model.node(target) is not None:
            self.model.selected = target
            self._point_at(source, target)
            self._keep_in_view()
        self.repaint_changes()

    def _point_at(self, source: str, target: str = "") -> None:
        """An automaton drawn as a matrix: the cursor goes to the state's row, and to where it goes."""
        model = self.model
        if not (model.automaton and model.shows_matrix):
            return
        sources, targets = model.edges.sources, [name for name, _ in model.edges.targets]
        row, column = model.heatmap.cursor
        row = sources.index(source) if source in sources else row
        model.heatmap.move(row, targets.index(target) if target in targets else column)

    @property
    def selected(self) -> str:
        return self.model.selected

    # ---- painting

    @property
    def _room(self) -> tuple[int, int]:
        return max(1, self.size.width), max(1, self.size.height - 2)

    def restyle(self) -> None:
        inks = self.inks()
        if inks != self.model.inks:
            self.model.inks = inks
        if self.model.graph.nodes and self.model.shows_matrix:
            self.model.prepare_matrix(*self._room)
        if self._room != self._centred_in:  # the first size is known only after the first `show`
            self._centre()
        self._keep_in_view()

    def _centre(self) -> None:
        self._centred_in = self._room
        if self.model.graph.nodes and self.model.shows_matrix:  # no layout of what is not drawn: it takes seconds
            self.left = self.top = 0
            return
        place = self.model.picture.at.get(self.model.selected) if self.model.graph.nodes else None
        width, height = self._room
        wide, high = self.model.extent if place is not None else (0, 0)
        x, y = place or (0, 0)
        # A node that fits into the room from the left edge on is shown from there: a cut box is hard to read.
        self.left = 0 if x + width // 4 <= width else max(0, min(x - width // 2, wide - width))
        self.top = max(0, min(y - height // 2, high - height))

    def _keep_in_view(self) -> None:
        if not self.model.graph.nodes or self.model.shows_matrix:
            return
        width, height = self._room
        if self.model.level == 3 and not self.model.automaton:
            at = self.model.listed + 1
            self.left = 0
            self.top = max(0, min(self.top, at), at - height + 1)
            return
        place = self.model.picture.at.get(self.model.selected)
        wide, high = self.model.extent
        self.left = max(0, min(self.left, max(0, wide - width)))
        self.top = max(0, min(self.top, max(0, high - height)))
        if place is not None:
            x, y = place
            first, behind = self.model.span(x)
            self.left = max(min(self.left, max(0, first)), behind - width)
            self.top = max(min(self.top, max(0, y - 1)), y + 3 - height)
            self.left, self.top = max(0, self.left), max(0, self.top)

    def pieces(self, y: int) -> list[Piece]:
        width, height = self.size
        inks = self.model.inks
        plain = inks.depth == "ascii"
        if not self.model.graph.nodes:
            return [(clipped(self.empty, width, plain), inks.dim)] if y == 0 else []
        if y == 0:
            return [(clipped(self.model.heading(), width, plain), inks.title)]
        if self.model.shows_matrix:
            return self.model.heatmap.line(y - 1) if y < height - 1 else self._footer(width)
        if y == height - 1:
            return self._footer(width)
        return self.model.line(self.top + y - 1, self.left, width)

    def _footer(self, width: int) -> list[Piece]:
        model = self.model
        if model.shows_matrix:
            edge = model.edge(*model.edge_at(*model.heatmap.cursor))
            words = model.edge_facts(edge) if edge is not None else model.facts()
        else:
            wide, high = model.extent
            room_x, room_y = self._room
            words = model.facts() + ("" if wide <= room_x and high <= room_y else "  (more: H J K L)")
        return [(clipped(words, width, model.inks.depth == "ascii"), model.inks.text)]

    # ---- keys

    def moved(self, where: str) -> None:
        model = self.model
        if not model.graph.nodes:
            return
        if model.shows_matrix:
            self._move_matrix(where)
            return
        if model.level == 3 and not model.automaton:
            count = len(model.neighbours())
            steps = {"up": -1, "down": 1, "first": -count, "last": count, "page_up": -10, "page_down": 10}
            if where in steps and count:
                model.listed = max(0, min(count - 1, model.listed + steps[where]))
                edge, _, _ = model.neighbours()[model.listed]
                self._keep_in_view()
                self.repaint_changes()
                self.post_message(self.EdgeMoved(self, edge.source, edge.into(edge.target)))
            return
        before = model.selected
        if where in ("up", "down", "left", "right"):
            model.walk(where)  # type: ignore[arg-type]
        elif where in ("first", "last"):
            names = [n for row in model.picture.rows for n in row]
            model.selected = (names[0] if where == "first" else names[-1]) if names else ""
        else:
            self.action_pan(0, {"half_up": -8, "page_up": -16, "half_down": 8, "page_down": 16}.get(where, 0))
        if model.selected != before:
            self._keep_in_view()
            self.repaint_changes()
            self.post_message(self.NodeMoved(self, model.selected))

    def _move_matrix(self, where: str) -> None:
        heatmap = self.model.heatmap
        steps = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
        if where in steps:
            changed = heatmap.move(*heatmap.step(*steps[where]))
            self.repaint(None if changed is None else [(x, y + 1, w, h) for x, y, w, h in changed])
            self.repaint([(0, self.size.height - 1, self.size.width, 1)])
            self.post_message(self.EdgeMoved(self, *self.model.edge_at(*heatmap.cursor)))

    def chosen(self) -> None:
        model = self.model
        if model.level == 3 and not model.automaton:
            rows = model.neighbours()
            if rows:
                model.selected, model.listed = rows[model.listed][1], 0
                self._restyle_and_refresh()
                self.post_message(self.NodeMoved(self, model.selected))
            return
        if model.selected:
            self.post_message(self.NodeSelected(self, model.selected))

    def _reshaped(self) -> None:
        self._centre()
        self._restyle_and_refresh()

    def action_level(self, by: int) -> None:
        self.model.set_level(self.model.level + by)
        self._reshaped()

    def action_threshold(self, by: int) -> None:
        self.model.step_threshold(by)
        self._reshaped()

    def action_focus_cone(self) -> None:
        self.model.toggle_focus()
        self._reshaped()

    def action_fold(self) -> None:
        self.model.toggle_fold()
        self._reshaped()

    def action_matrix(self) -> None:
        self.model.matrix = not self.model.shows_matrix
        self._reshaped()

    def action_everything(self) -> None:
        self.model.toggle_everything()
        self._reshaped()

    def action_fit(self) -> None:
        self._reshaped()

    def action_pan(self, x: int, y: int) -> None:
        if self.model.shows_matrix:
            return
        wide, high = self.model.extent
        width, height = self._room
        self.left = max(0, min(self.left + x, wide - width))
        self.top = max(0, min(self.top + y, high - height))
        self.refresh()
