"""The Program view's keys: stages opened, programs compared, an input stepped through; and how its parts answer."""

from __future__ import annotations

from textual.widgets import Input

from sessions.artifacts import Text
from sessions.components import Head, Mlp
from sessions.errors import CallError
from sessions.steps import Stored
from tui.panes import program_bench as bench
from tui.panes.program_lines import selected_by
from tui.panes.program_parts import OVERVIEW
from tui.panes.program_sight import ProgramSight
from tui.panes.program_stages import STAGES
from tui.panes.program_steps import node_of, sequences
from tui.panes.program_walk import STEP, values_for
from tui.selection import Selection
from tui.widgets.code_view import CodeView
from tui.widgets.data_table import RowTable
from tui.widgets.graph_view import GraphView
from tui.widgets.scatter import Scatter
from tui.widgets.stage_strip import StageStrip
from tui.widgets.step_ribbon import StepRibbon

# What makes a program of such a model, and its parameter for the model. Recurrent networks: the view's own.
MAKES = {
    "transformer": ("rasp.decompile", "model"),
    "transformer_program": ("transformer_programs.convert", "model"),
    "metamodel": ("rasp.decode", "metamodel"),
}


class ProgramPane(ProgramSight):
    """Does what is asked of the view."""

    # ---- what its keys do

    def unable(self, verb: str) -> str | None:
        parts = self.parts if self._ready else None
        if self.table is not None and verb != "other":
            return "a benchmark is shown: enter opens a program"
        if verb == "part" and (parts is None or len([s for s in parts.stages if s.there]) < 2):
            return "there is only the code"
        if verb == "edit" and (self.program is None or self.program.language != "rasp"):
            return "only a RASP program goes to the editor"
        if verb == "diff" and not self._others():
            return "there is no other program to compare with"
        if verb == "other" and len(self._programs()) < 2:
            return "this is the only program"
        if verb == "turn" and (parts is None or parts.points is None or parts.points.xy.shape[1] < 3):
            return "the states have only two dimensions"
        if verb == "lattice" and (parts is None or parts.points is None or parts.scatter.picture.lattice is None):
            return "no lattice was found in the states"
        if verb in ("pan_x", "pan_y") and (parts is None or not parts.graph_view.display):
            return "no automaton is drawn here"
        if verb == "step":
            return self._cannot_step()
        if verb == "position" and self._walk is None:
            return f"no input has been stepped through: {self.app.keymap.shown('program.step')} asks for one"
        return super().unable(verb)

    def _cannot_step(self) -> str | None:
        if self.program is None or self.program.language != "python" or not self._of_network:
            return "only a program read from a recurrent network is stepped through"
        if STEP not in self.store.catalogue:
            return "the engine is not there yet" if self.investigation.client is None else "this engine cannot step"
        return None

    def do_part(self) -> None:
        """The next stage that is there."""
        there = [stage.name for stage in self.parts.stages if stage.there]
        order = [*there[there.index(OVERVIEW) :], *there[: there.index(OVERVIEW)]]
        at = order.index(self.parts.opened) if self.parts.opened in order else -1
        self._open(order[(at + 1) % len(order)])

    def do_coarse(self, step: int) -> None:
        """`[` and `]`: the stage before or after, absent ones too."""
        if not self._of_network or self.program is None:
            super().do_coarse(step)
            return
        at = STAGES.index(self.parts.opened)
        self._open(STAGES[max(0, min(len(STAGES) - 1, at + step))])

    def _open(self, stage: str, *, focus: bool = True) -> None:
        if self.program is None:
            return
        if self._compared is not None:
            self._end_diff()
        self.parts.open(stage, self.program)
        self._show_strip()
        self._arrange()
        self._follow_position()
        main = self.parts.main() or self.query_one(StageStrip)
        if focus:
            main.focus(scroll_visible=False)
        self.app.tells_anew(self)

    def _end_diff(self) -> None:
        self._compared = None
        self.draw(self.shown)

    def do_diff(self) -> None:
        """Choose another program, and see both; again: the code alone."""
        from tui.screens.choose import ChooseScreen

        if self._other() is not None:
            self._end_diff()
            return

        def chosen(other: int | None) -> None:
            if other is not None:
                self._compared = other
                self.draw(self.shown)
                self.parts.code.focus(scroll_visible=False)

        self.app.push_screen(ChooseScreen("Compare with the program", self._others()), chosen)

    def do_other(self) -> None:
        numbers = [s.id for s in self._programs()]
        now = self._here()
        at = numbers.index(now.id) + 1 if now is not None and now.id in numbers else -1
        self.selection.show(self.VIEW, numbers[at % len(numbers)])

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
        self.parts.scatter.turn()

    def do_lattice(self) -> None:
        drawn = self.parts.scatter.toggle_lattice()
        self.app.say(f"the lattice is {'drawn' if drawn else 'left out'}")

    def do_pan_x(self, by: int) -> None:
        self.parts.graph_view.action_pan(by, 0)

    def do_pan_y(self, by: int) -> None:
        self.parts.graph_view.action_pan(0, by)

    # ---- an input stepped through

    def do_step(self) -> None:
        """Ask for an input; it runs through the network and the program as a step."""
        self.walk_part.ask()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        now, step = self._here(), self.shown.step if self.shown is not None else None
        try:
            written = sequences(event.value)
        except CallError as error:
            self.app.say(str(error))
            return
        if now is None or (reason := self._cannot_step()) is not None:
            self.app.say("a program is needed first" if now is None else reason or "")
            return
        model = step.inputs.get("model") if step is not None else None
        info = self.store.catalogue[STEP]
        self.app.start(STEP, values_for(info, written, program=now.id, model=model, graph=self.parts.graph_id))
        self.selection.change(position=0)
        self._awaited = True
        self.leave_field()

    def leave_field(self) -> None:
        self.walk_part.asked()
        ribbon = self.walk_part.ribbon
        (ribbon if self._walk is not None else self.parts.main() or self.query_one(StageStrip)).focus(
            scroll_visible=False
        )

    def do_position(self, by: int) -> None:
        if self._walk is not None:
            self._go(max(0, min(self._walk.length - 1, self._position + by)))

    def on_step_ribbon_moved(self, event: StepRibbon.Moved) -> None:
        event.stop()
        self._go(event.position)

    # ---- the selection: a line and the part of the model that it is, a state, a position

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if self.program is None:
            return
        if before.position != after.position:
            self._follow_position()
            self.app.tells_anew(self)
        elif before.node != after.node:
            self.parts.follow_node(after.node)
        if (before.layer, before.head) == (after.layer, after.head) or not self.parts.origins:
            return
        code = self.parts.code
        lines = self.parts.mark(after.component)
        self._follow_in_graph(after)
        if lines and code.line not in lines:
            code.move_to(min(lines), quiet=True)
            self.app.tells_anew(self)

    def on_graph_view_node_moved(self, event: GraphView.NodeMoved) -> None:
        event.stop()
        self._choose_node(event.node)

    def on_graph_view_node_selected(self, event: GraphView.NodeSelected) -> None:
        event.stop()
        self._choose_node(event.node)

    def _choose_node(self, node: str) -> None:
        """A head or an MLP of the true circuit beside a RASP program, or a machine's state, is chosen in every view."""
        graph = self.parts.graph
        found = next((n for n in graph.nodes if n.id == node), None) if graph is not None else None
        match found.component if found is not None and self.parts.origins else None:
            case Head() as head:
                self.selection.change(walk=True, layer=head.layer, head=head.head)
            case Mlp() as mlp:
                self.selection.change(walk=True, layer=mlp.layer, head=None)
            case _ if self._of_network:
                self.selection.change(walk=True, node=node)
        self.app.tells_anew(self)

    def on_graph_view_edge_moved(self, event: GraphView.EdgeMoved) -> None:
        event.stop()
        self._choose_node(event.source)

    def on_scatter_point_moved(self, event: Scatter.PointMoved) -> None:
        """A hidden state chooses the machine's state that it is."""
        event.stop()
        graph, points = self.parts.graph, self.parts.points
        if graph is not None and points is not None and event.point < len(points.labels):
            node = node_of(graph, points.labels[event.point])
            if node:
                self.selection.change(walk=True, node=node)

    def on_stage_strip_opened(self, event: StageStrip.Opened) -> None:
        event.stop()
        self._open(event.stage, focus=False)

    def on_code_view_line_moved(self, event: CodeView.LineMoved) -> None:
        event.stop()
        chosen = selected_by(self.parts.origins, event.line)
        if chosen is not None:
            self.selection.change(walk=True, **chosen)
        self.app.tells_anew(self)
        self.app.refresh_lines("status")

    # ---- the benchmark's rows

    def on_row_table_highlighted(self, event: RowTable.Highlighted) -> None:
        event.stop()
        self.app.tells_anew(self)
        self.app.refresh_lines("status")

    async def on_row_table_selected(self, event: RowTable.Selected) -> None:
        """The row's program: its artifact, and backspace goes back to the table; else what the step's text holds."""
        event.stop()
        if self.table is None or event.table is not self.rows:
            return
        step = self.shown.step if self.shown is not None else None
        left = self.store.of_step(step.id) if step is not None else ()
        program = bench.program_of_row(self.table, event.row, left)
        if program is not None:
            self.selection.show(self.VIEW, program)
        elif self.shown is not None and self.shown.live:
            self.app.say("its program is kept when the benchmark has ended")
        else:
            await self._open_listing(left, str(self._row().get("task", "")))

    async def _open_listing(self, left: tuple[Stored, ...], task: str) -> None:
        """The program of a task, from the text of all programs, over the view."""
        from tui.screens.listing import ListingScreen

        for stored in left:
            if stored.kind == "text" and task:
                text = await self.investigation.fetch(stored.id)
                found = bench.listing_of(text, task) if isinstance(text, Text) else None
                if found is not None:
                    self.app.push_screen(ListingScreen(task, found.source, found.said))
                    return
        self.app.say("this row has no program")
