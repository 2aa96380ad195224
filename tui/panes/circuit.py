"""The Circuit view: a circuit as a layered graph, with its parts' scores and how faithful it is."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from sessions.artifacts import Edge, Graph, Series
from sessions.components import Component, Head, Mlp
from sessions.steps import Stored
from tui.asking import circuits_beside, compare_circuits
from tui.panes.base import Empty, Pane, Shown
from tui.panes.circuit_curve import HEIGHT, HIGH, WIDE, WIDTH, curve_of
from tui.selection import Selection
from tui.store import Changes
from tui.widgets.graph_sides import legend
from tui.widgets.graph_view import GraphView
from tui.widgets.plot import SeriesPlot

TITLE_FACTS = ("faithfulness", "metric", "ablation", "theta", "n")


class CircuitPane(Pane):
    VIEW: ClassVar[str] = "circuit"
    NEEDS: ClassVar[str] = "transformer"

    DEFAULT_CSS = """
    CircuitPane #circuit-parts { layout: vertical; height: 1fr; }
    CircuitPane #circuit-parts.-beside { layout: horizontal; }
    CircuitPane GraphView { height: 1fr; width: 1fr; }
    CircuitPane SeriesPlot { height: 1fr; width: 1fr; border-top: solid $foreground 30%; }
    CircuitPane .-beside SeriesPlot { border-top: none; border-left: solid $foreground 30%; }
    CircuitPane .-no-curve SeriesPlot { display: none; }
    CircuitPane .-no-graph GraphView { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._curve: Series | None = None
        self._curve_wanted: bool | None = None  # None: where there is room for both

    def compose_body(self) -> ComposeResult:
        with Container(id="circuit-parts", classes="-no-curve"):
            yield GraphView()
            yield SeriesPlot()

    # ---- what is shown

    def empty(self) -> Empty:
        appears = "Here a circuit stands as a graph: embeddings above, logits below, every part with its score."
        if self.selection.now.model is None:
            return Empty(appears, "No model is loaded yet.", "view.model")
        if self.selection.now.prompts is None:
            return Empty(appears, "There are no prompts yet.", "view.data")
        why = "No circuit has been looked for on this model and these prompts yet. "
        palette = self.app.keymap.shown("app.palette")
        why += f"{palette} then acdc or eap finds one of edges; the key below, one of parts."
        return Empty(appears, why, "view.run")

    @property
    def graph(self) -> Graph | None:
        artifact = self.shown.artifact if self.shown else None
        return artifact if isinstance(artifact, Graph) else None

    def draw(self, shown: Shown | None) -> None:
        graph = self.graph
        if graph is None:
            return
        self._draw_curve()
        view = self.query_one(GraphView)
        view.show(graph)
        if self.selection.now.node is not None and view.model.node(self.selection.now.node):
            view.select(self.selection.now.node)
        else:
            self._follow_component(self.selection.now)

    def _draw_curve(self) -> None:
        curve = curve_of(self)
        if curve is not self._curve:
            self._curve = curve
            if curve is not None:
                self.query_one(SeriesPlot).show(curve)
            self._arrange()

    def store_changed(self, changes: Changes) -> None:
        if self.graph is not None and changes & {"partials", "loaded", "steps"}:
            self._draw_curve()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """The curve beside the graph or below it; where only one has room, the graph unless the curve is wanted."""
        parts, plot = self.query_one("#circuit-parts"), self.query_one(SeriesPlot)
        beside, below = self.size.width >= WIDE, self.size.height >= HIGH
        both = beside or below
        shown = self._curve is not None and (both if self._curve_wanted is None else self._curve_wanted)
        parts.set_class(beside, "-beside")
        parts.set_class(not shown, "-no-curve")
        parts.set_class(shown and not both, "-no-graph")
        plot.styles.width = WIDTH if beside else "1fr"
        plot.styles.height = HEIGHT if below and not beside else "1fr"

    def heading(self) -> str:
        graph = self.graph
        if graph is None:
            return ""
        return " · ".join([graph.title, *(f"{n} {_written(graph.facts[n])}" for n in TITLE_FACTS if n in graph.facts)])

    def selected_path(self) -> str:
        now = self.selection.now
        if now.edge is None:
            return now.node or str(now.component)
        edge = self._edge()
        return "→".join(now.edge) + (f" {edge.weight:+.4g}" if edge is not None else "")

    def _edge(self) -> Edge | None:
        """The edge under the cursor, if the graph has it."""
        now = self.selection.now
        return self.query_one(GraphView).model.edge(*now.edge) if now.edge is not None and self._ready else None

    def component(self) -> Component | None:
        graph = self.graph
        node = self.query_one(GraphView).model.node(self.query_one(GraphView).selected) if graph is not None else None
        return node.component if node is not None else None

    def inspect(self) -> Content | str:
        graph = self.graph
        if graph is None:
            return ""
        model = self.query_one(GraphView).model
        edge, neighbours = self._edge(), model.neighbours()
        lines = [model.edge_facts(edge), ""] if edge is not None else []
        lines += [model.facts()]
        kept = [neighbour for neighbour in neighbours if neighbour[0].kept]
        for one, other, comes_in in kept[:24]:
            name = f"from {other}" + (f" → {one.input}" if one.input else "") if comes_in else f"to {one.into(other)}"
            lines.append(f"{name}: {one.weight:+.4g}")
        rest, cut = len(kept) - 24, len(neighbours) - len(kept)
        lines += [f"and {rest} more edges"] if rest > 0 else []
        lines += [f"{cut} cut: + lists them too"] if cut else []
        lines += ["", legend(graph).replace(" · ", "\n")] if model.compares else []
        return "\n".join([*lines, "", graph.summary])

    def copy_text(self) -> str:
        return self.query_one(GraphView).model.facts()

    def run_values(self) -> dict[str, Any]:
        now = self.selection.now
        named = (("model", now.model), ("prompts", now.prompts))
        return {name: f"@{number}" for name, number in named if number is not None}

    # ---- the selection

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if before.node != after.node and after.node is not None:
            self.query_one(GraphView).select(after.node)
        elif (before.layer, before.head) != (after.layer, after.head):
            self._follow_component(after)

    def _follow_component(self, now: Selection) -> None:
        """Select the node of the head or MLP that another view selected."""
        graph = self.graph
        node = next((n for n in graph.nodes if n.component == now.component), None) if graph is not None else None
        if node is not None:
            self.query_one(GraphView).select(node.id)

    def _selected(self, name: str) -> dict[str, Any]:
        """What selecting a node means for the other views: its head or MLP is selected too."""
        node = self.query_one(GraphView).model.node(name)
        component = node.component if node is not None else None
        fields: dict[str, Any] = {"node": name, "edge": None}
        if isinstance(component, Head):
            fields |= {"layer": component.layer, "head": component.head}
        elif isinstance(component, Mlp):
            fields |= {"layer": component.layer, "head": None}
        return fields

    def on_graph_view_node_moved(self, event: GraphView.NodeMoved) -> None:
        event.stop()
        self.selection.change(walk=True, **self._selected(event.node))

    def on_graph_view_edge_moved(self, event: GraphView.EdgeMoved) -> None:
        event.stop()
        self.selection.change(walk=True, edge=(event.source, event.target))

    def on_graph_view_node_selected(self, event: GraphView.NodeSelected) -> None:
        """A head opens in Attention; anything else as the list of its edges."""
        event.stop()
        fields = self._selected(event.node)
        self.selection.change(**fields)
        if fields.get("head") is not None:
            self.app.call_later(self.app.show_view, "attention")
        else:
            self.do_level(3)

    # ---- what its keys do

    def unable(self, verb: str) -> str | None:
        view = self.query_one(GraphView)
        if verb == "other":
            return "this is the only circuit" if len(self._others()) < 2 else None
        if verb in ("matrix", "threshold", "focus_cone") and (self.graph is None or not self.graph.edges):
            return "this circuit has no edges: only its parts were measured"
        if verb == "matrix" and view.model.level in (0, 3):
            return "only where names or boxes are drawn: + and - change the level"
        if verb == "matrix" and view.model.too_dense:
            return "there are too many edges for lines: . hides the weak ones, o shows one node's own"
        if verb == "curve" and self._curve is None:
            return "the step that made this left no curve"
        if verb == "compare":
            stored = self.shown.stored if self.shown is not None else None
            if stored is None or view.model.compares or view.model.automaton:
                return "only from a finished circuit"
            if not circuits_beside(self.app, stored.id):
                return "there is no other circuit to compare with"
            if "circuits.compare" not in self.store.catalogue:
                return "the engine is not there yet"
        return super().unable(verb)

    def _others(self) -> list[Stored]:
        found = [(s, step) for s in self.store.artifacts if (step := self.store.step(s.step)) is not None]
        return [s for s, step in found if self.view.fits(s, step)]

    def do_other(self) -> None:
        numbers = [s.id for s in self._others()]
        now = self.shown.stored.id if self.shown and self.shown.stored else None
        following = numbers[(numbers.index(now) + 1) % len(numbers)] if now in numbers else numbers[-1]
        self.selection.show(self.VIEW, following)

    def do_curve(self) -> None:
        """Show or hide the metric as parts go; where there is room for one only, the graph or the curve."""
        self._curve_wanted = self.query_one("#circuit-parts").has_class("-no-curve")
        self._arrange()
        self.focus_first()

    def do_compare(self) -> None:
        if self.shown is not None and self.shown.stored is not None:
            compare_circuits(self.app, self.shown.stored.id)

    def do_level(self, by: int) -> None:
        self.query_one(GraphView).action_level(by)
        self.app.tells_anew(self)

    def do_threshold(self, by: int) -> None:
        self.query_one(GraphView).action_threshold(by)
        self.app.tells_anew(self)

    def do_focus_cone(self) -> None:
        self.query_one(GraphView).action_focus_cone()
        self.app.tells_anew(self)

    def do_matrix(self) -> None:
        self.query_one(GraphView).action_matrix()

    def do_everything(self) -> None:
        self.query_one(GraphView).action_everything()
        self.app.tells_anew(self)

    def do_fold(self) -> None:
        self.query_one(GraphView).action_fold()
        self.app.tells_anew(self)

    def do_centre(self) -> None:
        self.query_one(GraphView).action_fit()

    def do_pan_x(self, by: int) -> None:
        self.query_one(GraphView).action_pan(by, 0)

    def do_pan_y(self, by: int) -> None:
        self.query_one(GraphView).action_pan(0, by)

    def state(self) -> dict[str, Any]:
        return {"level": self.query_one(GraphView).model.level} if self._ready else {}

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("level") in (0, 1, 2, 3):
            self.query_one(GraphView).model.set_level(state["level"])


def _written(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
