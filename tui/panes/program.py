"""The Program view: code with what it was checked against, the automaton it was read from, the hidden states."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content

from sessions.artifacts import AnyArtifact, Graph, Points, Program
from sessions.components import Head, Mlp
from sessions.errors import IwbError
from sessions.steps import Stored
from tui.panes.base import Empty, Pane, Shown
from tui.panes.program_lines import (
    Origin,
    lines_with,
    notes_of,
    origins_of,
    remarks_of,
    selected_by,
    told_of,
    unread_of,
)
from tui.selection import Selection
from tui.widgets.code_view import CodeView
from tui.widgets.graph_view import GraphView
from tui.widgets.scatter import Scatter

WIDE, TALL = 96, 24  # from this size on all parts stand beside each other
TOWERING = 36  # and from this height on, in a narrower view, below each other
PARTS = ("code", "automaton", "states")
# What makes a program of such a model, and its parameter for the model. Recurrent networks: the view's own.
MAKES = {
    "transformer": ("rasp.decompile", "model"),
    "transformer_program": ("transformer_programs.convert", "model"),
    "metamodel": ("rasp.decode", "metamodel"),
}


class ProgramPane(Pane):
    VIEW: ClassVar[str] = "program"
    DEFAULT_CSS = """
    ProgramPane #program-parts { layout: horizontal; height: 1fr; }
    ProgramPane #program-parts.-stacked { layout: vertical; }
    ProgramPane CodeView, ProgramPane #machine { width: 1fr; height: 1fr; }
    ProgramPane .-beside #machine { border-left: solid $foreground 30%; }
    ProgramPane .-stacked #machine { height: 2fr; border-top: solid $foreground 30%; }
    ProgramPane .-beside.-rasp CodeView { width: 2fr; }
    ProgramPane .-all Scatter { border-top: solid $foreground 30%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._part = "code"
        self._diff = False
        self._origins: tuple[Origin, ...] = ()  # of a RASP program: the weights that each line is

    def compose_body(self) -> ComposeResult:
        with Container(id="program-parts"):
            yield CodeView()
            with Vertical(id="machine"):
                yield GraphView()
                yield Scatter()

    # ---- what is shown

    def empty(self) -> Empty:
        appears = "Here stands the program read from a network, Python or RASP, with what it was checked against."
        if self.selection.now.model is None:
            return Empty(appears, "It needs a recurrent network, such as zoo:rnn/Parity_Last3.", "view.model")
        why = {
            "transformer": "The chosen model is a transformer: if it was compiled from RASP, its program can be read "
            "back; a Python program is read from a recurrent network, bundled or your own.",
            "transformer_program": "The chosen model was trained to be a program: it can be written in Python.",
            "metamodel": "The chosen model writes programs for others' weights: rasp.decode asks it.",
        }.get(self.model_family())
        if why:
            return Empty(appears, why, "view.run")
        return Empty(appears, "No program has been made of this network yet.", "view.run")

    @property
    def program(self) -> Program | None:
        artifact = self.shown.artifact if self.shown else None
        return artifact if isinstance(artifact, Program) else None

    def _beside(self, kind: type[AnyArtifact]) -> Any:
        """The automaton or the points that belong to the program: named as its origin, else left by its step."""
        for stored in self._related():
            found = self.store.loaded(stored.id)
            if isinstance(found, kind):
                return found
        return None

    def _related(self) -> tuple[Stored, ...]:
        if self.shown is None or self.shown.step is None or self.program is None:
            return ()
        named = tuple(s for i in self.program.origin if (s := self.store.stored(i)) is not None)
        return (*named, *(s for s in self.store.of_step(self.shown.step.id) if s.kind in ("graph", "points")))

    def draw(self, shown: Shown | None) -> None:
        program = self.program
        self._origins = ()
        if program is None:
            return
        missing = [s.id for s in self._related() if self.store.loaded(s.id) is None]
        previous = self._previous()
        if self._diff and previous is not None and self.store.loaded(previous.id) is None:
            missing.append(previous.id)
        if missing:
            self.run_worker(self._fetch_related(missing), group="related", exclusive=True)
        code = self.query_one(CodeView)
        old = self.store.loaded(previous.id) if self._diff and previous is not None else None
        if isinstance(old, Program):
            code.show_diff(old.source, program.source, program.language)
        elif program.language == "rasp":
            self._origins = origins_of(program)
            code.show(
                program.source,
                "rasp",
                verdicts=program.verdicts,
                notes=notes_of(self._origins),
                marks=lines_with(self._origins, self.selection.now.component),
                remarks=remarks_of(program),
                doubts=unread_of(program),
            )
        else:
            code.show_program(program)
        graph, points = self._beside(Graph), self._beside(Points)
        self.query_one(GraphView).show(graph, empty="this program was not read from an automaton")
        self._follow_in_graph(self.selection.now)
        if points is not None:
            self.query_one(Scatter).show(points)
        self._arrange()

    async def _fetch_related(self, ids: list[int]) -> None:
        try:
            for number in ids:
                await self.investigation.fetch(number)
        except IwbError as error:
            self.app.trouble(str(error))
            return
        self.draw(self.shown)

    def heading(self) -> str:
        program = self.program
        if program is None:
            return ""
        held = sum(v.holds for v in program.verdicts)
        words = [program.title]
        if program.verdicts:
            every = "exhaustive" if all(v.exhaustive for v in program.verdicts) else "sampled"
            words.append(f"{held} of {len(program.verdicts)} checks hold, {every}")
        else:
            words.append("not checked")
        if self._diff:
            words.append("difference from the program before")
        elif not self._everything:
            words.append(self._part)
        return " · ".join(words)

    def selected_path(self) -> str:
        return f"line {self.query_one(CodeView).line}" if self.program is not None else ""

    def inspect(self) -> Content | str:
        program = self.program
        if program is None:
            return ""
        lines = [program.title, *(("holds: " if v.holds else "fails: ") + str(v) for v in program.verdicts), ""]
        lines = [*told_of(self._origins, self.query_one(CodeView).line), "", *lines] if self._origins else lines
        lines += [f"unread: {sentence}" for sentence in unread_of(program)]
        machine = self.query_one(GraphView).model
        if machine.graph.nodes:
            lines += [machine.heading(), machine.facts()]
        return "\n".join(lines)

    def copy_text(self) -> str:
        return self.program.source if self.program is not None else ""

    def run_values(self) -> dict[str, Any]:
        """The chosen recurrent network; while another model is chosen, the first that is bundled."""
        model = self.selection.now.model
        if model is not None and self.model_family() == "rnn":
            return {"model": f"@{model}"}
        known = self.app.models_known.get("models", [])
        return next(({"model": str(m["source"])} for m in known if m.get("family") == "rnn"), {})

    # ---- layout

    @property
    def _beside_each_other(self) -> bool:
        return self.size.width >= WIDE and self.size.height >= TALL

    @property
    def _everything(self) -> bool:
        return self._beside_each_other or self.size.height >= TOWERING

    def on_resize(self) -> None:
        self._arrange()
        self.retitle()

    def _arrange(self) -> None:
        """All parts on a large screen, one at a time on a small one."""
        every = self._everything
        graph, points = self._beside(Graph), self._beside(Points)
        parts = self.query_one("#program-parts")
        parts.set_class(every, "-all")
        parts.set_class(bool(self._origins), "-rasp")
        parts.set_class(self._beside_each_other, "-beside")
        parts.set_class(every and not self._beside_each_other, "-stacked")
        self.query_one(CodeView).display = every or self._part == "code"
        self.query_one(GraphView).display = graph is not None and (every or self._part == "automaton")
        self.query_one(Scatter).display = points is not None and (every or self._part == "states")
        shows = self.query_one(GraphView).display or self.query_one(Scatter).display
        self.query_one("#machine").display = shows

    # ---- what its keys do

    def unable(self, verb: str) -> str | None:
        if verb == "part" and self._beside(Graph) is None and self._beside(Points) is None:
            return "there is only the code"
        if verb == "edit" and (self.program is None or self.program.language != "rasp"):
            return "only a RASP program goes to the editor"
        if verb == "diff" and self._previous() is None:
            return "there is no program before this one"
        if verb == "other" and len(self._programs()) < 2:
            return "this is the only program"
        if verb == "turn" and (self._beside(Points) is None or self._beside(Points).xy.shape[1] < 3):
            return "the states have only two dimensions"
        return super().unable(verb)

    def _programs(self) -> list[Stored]:
        return list(self.store.of_kind("program"))

    def _previous(self) -> Stored | None:
        """The program stored before the one shown."""
        now = self.shown.stored if self.shown else None
        earlier = [s for s in self._programs() if now is not None and s.id < now.id]
        return earlier[-1] if earlier else None

    def do_part(self) -> None:
        """The next part; where all are shown, the focus goes to it."""
        there = [PARTS[0]]
        there += ["automaton"] if self._beside(Graph) is not None else []
        there += ["states"] if self._beside(Points) is not None else []
        at = there.index(self._part) if self._part in there else 0
        self._part = there[(at + 1) % len(there)]
        self._arrange()
        self.retitle()
        widgets = {"code": CodeView, "automaton": GraphView, "states": Scatter}
        self.query_one(widgets[self._part]).focus(scroll_visible=False)

    def do_diff(self) -> None:
        self._diff = not self._diff
        self.draw(self.shown)
        self.retitle()

    def do_other(self) -> None:
        numbers = [s.id for s in self._programs()]
        now = self.shown.stored.id if self.shown and self.shown.stored else None
        following = numbers[(numbers.index(now) + 1) % len(numbers)] if now in numbers else numbers[-1]
        self.selection.show(self.VIEW, following)

    async def do_edit(self) -> None:
        """Write on: the program in the RASP view, for the inputs it was made for."""
        if self.program is not None:
            await self.app.open_in_rasp(self.program.source, self.program.facts)

    def do_run(self) -> None:
        """A transformer is decompiled, a recurrent network extracted, a Transformer Program written down."""
        operation, parameter = MAKES.get(self.model_family(), ("", ""))
        if operation in self.store.catalogue:
            self.app.open_form(operation, {parameter: f"@{self.selection.now.model}"})
        else:
            super().do_run()

    def do_turn(self) -> None:
        self.query_one(Scatter).turn()

    # ---- the selection: a line and the part of the model that it is

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if (before.layer, before.head) == (after.layer, after.head) or not self._origins:
            return
        code = self.query_one(CodeView)
        lines = lines_with(self._origins, after.component)
        code.mark(lines)
        self._follow_in_graph(after)
        if lines and code.line not in lines:
            code.move_to(min(lines), quiet=True)
            self.app.tells_anew(self)

    def _follow_in_graph(self, now: Selection) -> None:
        """The chosen part's node in the true circuit beside the program."""
        graph = self._beside(Graph) if self._origins else None
        nodes = graph.nodes if graph is not None else ()
        view = self.query_one(GraphView)
        node = next((node for node in nodes if node.component == now.component), None)
        if node is not None and view.selected != node.id:
            view.select(node.id)

    def on_graph_view_node_moved(self, event: GraphView.NodeMoved) -> None:
        event.stop()
        self._choose_node(event.node)

    def on_graph_view_node_selected(self, event: GraphView.NodeSelected) -> None:
        event.stop()
        self._choose_node(event.node)

    def _choose_node(self, node: str) -> None:
        """A head or an MLP of the true circuit beside a RASP program is chosen in every view."""
        graph = self._beside(Graph)
        found = next((n for n in graph.nodes if n.id == node), None) if graph is not None and self._origins else None
        match found.component if found is not None else None:
            case Head() as head:
                self.selection.change(walk=True, layer=head.layer, head=head.head)
            case Mlp() as mlp:
                self.selection.change(walk=True, layer=mlp.layer, head=None)
            case _:
                pass

    def on_code_view_line_moved(self, event: CodeView.LineMoved) -> None:
        event.stop()
        chosen = selected_by(self._origins, event.line)
        if chosen is not None:
            self.selection.change(walk=True, **chosen)
        self.app.tells_anew(self)
        self.app.refresh_lines("status")

    def state(self) -> dict[str, Any]:
        return {"part": self._part}

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("part") in PARTS:
            self._part = state["part"]
