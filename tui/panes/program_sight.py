"""What the Program view shows of the store, and what it says of it: a program with its stages, or a benchmark."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.content import Content

from sessions.artifacts import Program, Table
from sessions.errors import IwbError
from sessions.steps import Step, Stored
from tui.panes import program_bench as bench
from tui.panes.base import Empty, Pane, Shown
from tui.panes.program_lines import lines_with, origins_of, told_of, unread_of
from tui.panes.program_parts import OVERVIEW, ProgramParts
from tui.panes.program_stages import AFTERWARDS, STAGES, Stage, is_proof, stages_of
from tui.panes.program_steps import Walk, node_of, walk_of
from tui.panes.program_verdicts import counted
from tui.panes.program_walk import STEP, WalkPart
from tui.selection import Selection
from tui.widgets.data_table import RowTable
from tui.widgets.stage_strip import StageStrip

BENCHMARK = "synthesis.benchmark"
PARTS = {"code": OVERVIEW, "automaton": "machine"}  # what the parts were called in older files


class ProgramSight(Pane):
    VIEW: ClassVar[str] = "program"
    DEFAULT_CSS = """
    ProgramSight #program-rows { display: none; height: 1fr; }
    ProgramSight.-bench #program-rows { display: block; }
    ProgramSight.-bench StageStrip, ProgramSight.-bench ProgramParts, ProgramSight.-bench WalkPart { display: none; }
    ProgramSight.-no-strip StageStrip { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._compared: int | None = None  # the program that this one is compared with
        self._walk: Walk | None = None
        self._awaited = False  # an input was asked for: its ribbon gets the focus when it comes

    def compose_body(self) -> ComposeResult:
        yield StageStrip()
        yield ProgramParts()
        yield WalkPart()
        yield RowTable(id="program-rows")

    @property
    def parts(self) -> ProgramParts:
        return self.query_one(ProgramParts)

    @property
    def walk_part(self) -> WalkPart:
        return self.query_one(WalkPart)

    @property
    def rows(self) -> RowTable:
        return self.query_one("#program-rows", RowTable)

    # ---- what is shown

    def empty(self) -> Empty:
        appears = "Here stands the program read from a network, Python or RASP, with what it was checked against."
        running = next((step for step in self.store.running() if step.operation == BENCHMARK), None)
        if running is not None:
            state = f"Step {running.id} ({BENCHMARK}) is {running.status}: its table comes with the first task done."
            return Empty(appears, state, "job.cancel")
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

    def choose(self) -> Stored | None:
        """A step's program stands for the proof that it left beside it; of several programs the first."""
        chosen = super().choose()
        if chosen is None:
            return None
        step = self.store.step(chosen.step)
        fitting = [s for s in self.store.of_step(chosen.step) if step is not None and self.view.fits(s, step)]
        if self.selection.now.shown.get(self.VIEW) != chosen.id:
            return next((s for s in fitting if not self._proof(s)), chosen)
        found = self.store.loaded(chosen.id)
        if found is None or not is_proof(found) or step is None:
            return chosen
        proved = self.store.stored(step.inputs.get("program"))
        return next((s for s in fitting if not self._proof(s)), proved or chosen)

    def _proof(self, stored: Stored) -> bool:
        found = self.store.loaded(stored.id)
        return found is not None and is_proof(found)

    @property
    def program(self) -> Program | None:
        artifact = self.shown.artifact if self.shown else None
        return artifact if isinstance(artifact, Program) else None

    @property
    def table(self) -> Table | None:
        """The benchmark's, when that is shown."""
        artifact = self.shown.artifact if self.shown else None
        return artifact if isinstance(artifact, Table) else None

    def _related(self) -> tuple[Stored, ...]:
        """What belongs to the program: its origin, what its step left, and the step of what it was made from."""
        step = self.shown.step if self.shown is not None else None
        if self.program is None or step is None:
            return ()
        found = [s for i in self.program.origin if (s := self.store.stored(i)) is not None]
        steps: list[Step] = [] if step.operation == BENCHMARK else [step]
        before = self.store.stored(step.inputs.get("program"))
        if before is not None and (made := self.store.step(before.step)) is not None and made.operation != BENCHMARK:
            steps.append(made)
        kinds = (
            ("graph", "points")
            if self.program.language == "rasp"
            else ("matrix", "table", "graph", "points", "program")
        )
        for one in steps:
            found += [s for s in self.store.of_step(one.id) if s.kind in kinds]
        return tuple(dict.fromkeys(found))

    def _afterwards(self) -> dict[int, str]:
        """Of what other steps have shown of the same network since, the newest: artifact and stage."""
        step = self.shown.step if self.shown is not None else None
        model = self.store.stored(step.inputs.get("model")) if step is not None else None
        found: dict[int, str] = {}
        if model is None or self.program is None or self.program.language == "rasp":
            return found
        for one in reversed(self.store.steps):
            stage = AFTERWARDS.get(one.operation)
            of = self.store.stored(one.inputs.get("model"))
            if stage is None or one.status != "done" or stage in found.values():
                continue
            if of is not None and of.sha256 == model.sha256:
                kinds = ("matrix", "points", "table") if stage != "states" else ("points",)
                found |= {s.id: stage for s in self.store.of_step(one.id) if s.kind in kinds}
        return found

    def _stages(self) -> tuple[Stage, ...]:
        if self.program is None:
            return ()
        afterwards = self._afterwards()
        ids = [*(s.id for s in self._related()), *afterwards]
        held = [(i, a) for i in dict.fromkeys(ids) if (a := self.store.loaded(i)) is not None]
        return stages_of(self.program, held, afterwards)

    @property
    def _of_network(self) -> bool:
        """Whether the program was read from a recurrent network, by way of stages."""
        step = self.shown.step if self.shown is not None else None
        return step is not None and step.operation.startswith("synthesis.")

    def _walked(self) -> Stored | None:
        """The newest input stepped through the program shown."""
        now = self.shown.stored if self.shown is not None else None
        if now is None or self.program is None:
            return None
        for step in reversed(self.store.steps):
            if step.operation == STEP and step.status == "done" and step.inputs.get("program") == now.id:
                return next((s for s in self.store.of_step(step.id) if s.kind == "table"), None)
        return None

    def draw(self, shown: Shown | None) -> None:
        turned = self.has_class("-bench") != (self.table is not None)
        self.set_class(self.table is not None, "-bench")
        if turned and (self.has_focus_within or self.app.main_screen.focused is None):
            self.call_after_refresh(self.focus_first)
        if self.table is not None:
            self.rows.show(*bench.arranged(self.table), empty="no task is done yet", frozen=bench.FROZEN)
            return
        program = self.program
        if program is None:
            return
        walked, other, before = self._walked(), self._other(), self._walk
        later = [s for i in self._afterwards() if (s := self.store.stored(i)) is not None]
        wanted = [*self._related(), *later, *(s for s in (walked, other) if s is not None)]
        missing = [s.id for s in wanted if self.store.loaded(s.id) is None]
        if missing:
            self.app.behind(partial(self._fetch_related, missing), group="related", exclusive=True)
        table = self.store.loaded(walked.id) if walked is not None else None
        if not isinstance(table, Table):
            self._walk = None
        elif self._walk is None or self._walk.table is not table:
            self._walk = walk_of(table) if table.rows else None
        stages, parts = self._stages(), self.parts
        compared = self.store.loaded(other.id) if other is not None else None
        if isinstance(compared, Program) and other is not None:
            parts.show_diff(compared, program, (f"@{other.id}", _id(self._here())), stages)
        else:
            origins = origins_of(program) if program.language == "rasp" else ()
            parts.show(program, stages, origins, lines_with(origins, self.selection.now.component))
        self.set_class(not self._of_network, "-no-strip")
        self._show_strip()
        self._follow_in_graph(self.selection.now)
        self._arrange()
        self._follow_position()
        if self._awaited and self._walk is not None and self._walk is not before:
            self._awaited = False
            self.call_later(self._go, 0)
            if self.has_focus_within:
                self.walk_part.ribbon.focus(scroll_visible=False)

    async def _fetch_related(self, ids: list[int]) -> None:
        try:
            for number in ids:
                await self.investigation.fetch(number)
        except IwbError as error:
            self.app.trouble(str(error))
            return
        self.draw(self.shown)
        self.retitle()
        self.app.tells_anew(self)

    def store_changed(self, changes: Any) -> None:
        walked = self._walked()
        if self.program is not None and walked is not None:
            table = self.store.loaded(walked.id)
            if table is None or self._walk is None or self._walk.table is not table:
                self.draw(self.shown)
        if "progress" in changes:
            self.retitle()

    def _here(self) -> Stored | None:
        return self.shown.stored if self.shown is not None else None

    def _other(self) -> Stored | None:
        """The program that the shown one is compared with."""
        now = self._here()
        other = self.store.stored(self._compared)
        return other if other is not None and (now is None or other.id != now.id) else None

    def _show_strip(self) -> None:
        stages = [(stage.name, stage.there) for stage in self.parts.stages]
        self.query_one(StageStrip).show(stages, self.parts.opened)

    # ---- what is said about it

    def heading(self) -> str:
        if self.table is not None:
            return f"{self.table.title} · {bench.counted(self.table)}"
        program = self.program
        if program is None:
            return ""
        words = [program.title, counted(program)]
        if self._other() is not None:
            words.append("compared")
        elif not self._of_network and self._ready and not self.parts.everything:
            words.append({OVERVIEW: "code", "machine": "automaton"}.get(self.parts.opened, self.parts.opened))
        return " · ".join(words)

    def selected_path(self) -> str:
        if self.table is not None:
            return str(self._row().get("task", "")) if self.rows.row is not None else ""
        if self._walk is not None:
            return f"position {self._position + 1}"
        return f"line {self.parts.code.line}" if self.program is not None else ""

    def _row(self) -> dict[str, Any]:
        """The benchmark's row under the cursor, by column."""
        row = self.rows.row
        return {} if row is None else dict(zip((c.name for c in self.rows.model.columns), self.rows.model.rows[row]))

    def inspect(self) -> Content | str:
        if self.table is not None:
            told = [f"{name}: {'-' if value is None else value}" for name, value in self._row().items()]
            return "\n".join([*told, "", self.table.summary])
        program = self.program
        if program is None:
            return ""
        lines = [*told_of(self.parts.origins, self.parts.code.line), ""] if self.parts.origins else []
        lines += [*self._walk.told(self._position), ""] if self._walk is not None else []
        lines += [program.title, *(("holds: " if v.holds else "fails: ") + str(v) for v in program.verdicts)]
        lines += [str(proof) for proof in program.proofs]
        facts = ("route", "description length", "contains a table", "automaton")
        lines += ["", *(f"{name}: {program.facts[name]}" for name in facts if name in program.facts)]
        lines += [
            f"{stage.name}: {stage.reason}" for stage in self.parts.stages if not stage.there and self._of_network
        ]
        lines += [f"unread: {sentence}" for sentence in unread_of(program)]
        machine = self.parts.graph_view.model
        if machine.graph.nodes:
            lines += [machine.heading(), machine.facts()]
        return "\n".join(lines)

    def copy_text(self) -> str:
        if self.table is not None:
            return self.table.summary
        return self.program.source if self.program is not None else ""

    def run_values(self) -> dict[str, Any]:
        """The chosen recurrent network; while another model is chosen, the first that is bundled."""
        model = self.selection.now.model
        if model is not None and self.model_family() == "rnn":
            return {"model": f"@{model}"}
        known = self.app.models_known.get("models", [])
        return next(({"model": str(m["source"])} for m in known if m.get("family") == "rnn"), {})

    # ---- layout

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)

    def _arrange(self) -> None:
        if not self._ready:
            return
        self.walk_part.show(self._walk, self._position, self.size.height)
        self.parts.fit(comparing=self._other() is not None)
        self.retitle()

    def _programs(self) -> list[Stored]:
        """What the view can be turned to: programs, and benchmarks."""
        found = []
        for stored in self.store.artifacts:
            step = self.store.step(stored.step)
            if step is not None and self.view.fits(stored, step) and not self._proof(stored):
                found.append(stored)
        return found

    def _others(self) -> list[Stored]:
        """Programs to compare the shown one with, the newest first."""
        now = self._here()
        return [s for s in reversed(self._programs()) if s.kind == "program" and (now is None or s.id != now.id)]

    @property
    def _position(self) -> int:
        last = self._walk.length - 1 if self._walk is not None else 0
        return max(0, min(self.selection.now.position, last))

    def _go(self, position: int) -> None:
        """The person's own move: position and state go to every view."""
        graph = self.parts.graph
        node = node_of(graph, self._walk.state(position)) if self._walk is not None and graph is not None else ""
        self.selection.change(walk=True, position=position, node=node or self.selection.now.node)

    def _follow_position(self) -> None:
        if self.program is None or not self._ready:
            return
        self.walk_part.ribbon.go(self._position)
        self.parts.follow_walk(self._walk, self._position)

    def _follow_in_graph(self, now: Selection) -> None:
        """The chosen part's node in the true circuit beside the program."""
        graph = self.parts.graph if self.parts.origins else None
        nodes = graph.nodes if graph is not None else ()
        node = next((node for node in nodes if node.component == now.component), None)
        if node is not None:
            self.parts.graph_view.select(node.id)

    # ---- focus, and what is kept of the view

    def focus_first(self) -> None:
        (self.rows if self.table is not None else self.parts.main() or self.parts.code).focus(scroll_visible=False)

    def state(self) -> dict[str, Any]:
        return {"part": self.parts.opened} if self._ready else {}

    def set_state(self, state: dict[str, Any]) -> None:
        part = PARTS.get(str(state.get("part")), str(state.get("part")))
        if part in STAGES:
            self.parts.opened = part


def _id(stored: Stored | None) -> str:
    return f"@{stored.id}" if stored is not None else "now"
