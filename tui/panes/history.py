"""The History view: the timeline of steps; the chosen step's parameters, results, notes and command line below it."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from sessions.artifacts import Column
from sessions.steps import FINISHED, Step
from tui.panes.base import Empty, Pane, Shown
from tui.selection import Selection
from tui.status import STATUS_GLYPHS, memory, progress_text, span
from tui.store import Changes
from tui.widgets.data_table import RowTable

COLUMNS = (
    Column("step", "int"), Column("status", "text"), Column("operation", "text"), Column("results", "text"),
    Column("parameters", "text"), Column("time", "text"), Column("notes", "int"),
)  # fmt: skip
WIDE = 90  # from this width on the timeline has all its columns
FEW = (0, 1, 2, 3, 5)  # below it: parameters and notes stand with the chosen step, under the timeline


class HistoryPane(Pane):
    VIEW: ClassVar[str] = "history"
    DEFAULT_CSS = """
    HistoryPane RowTable { height: 1fr; min-height: 5; }
    HistoryPane #step { height: auto; max-height: 50%; border-top: solid $foreground 30%; padding: 0 1; }
    """

    def compose_body(self) -> ComposeResult:
        yield RowTable(id="steps")
        with VerticalScroll(id="step", can_focus=False):
            yield Static(id="step-text", markup=False)

    def empty(self) -> Empty:
        return Empty("Here stands every step of the investigation.", "Nothing has been run yet.", "view.model")

    @property
    def step(self) -> Step | None:
        chosen = self.store.step(self.selection.now.step)
        steps = self.steps
        return chosen if chosen in steps else (steps[-1] if steps else None)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, also while replaying: what has not happened yet is marked, so that one can jump to it."""
        return self.store.all_steps

    def heading(self) -> str:
        steps = self.steps
        seconds = sum(step.seconds for step in steps)
        return f"{len(steps)} steps · {span(seconds)} of computing" if steps else ""

    def selected_path(self) -> str:
        return f"step {self.step.id}" if self.step else ""

    def unable(self, verb: str) -> str | None:
        step = self.step
        if step is None:
            return "there are no steps yet"
        if verb in ("coarse", "fine", "prompt"):
            return None
        if verb in ("resume", "rerun", "stop", "edit") and self.investigation.client is None:
            return "the engine is not there"
        if verb == "resume" and not step.resumable:
            return f"step {step.id} is {step.status}; only interrupted, cancelled and failed steps go on"
        if verb == "stop" and step.status in FINISHED:
            return f"step {step.id} is {step.status}"
        if verb == "error" and step.error is None:
            return f"step {step.id} did not fail"
        return None

    # ---- drawing

    def refresh_pane(self) -> None:
        steps = self.steps
        self.set_class(not steps, "-empty")
        self.shown = None
        if not steps:
            self.query_one(".pane-empty", Static).update(self._empty_text())
        else:
            table = self.query_one(RowTable)
            rows = [self._row(step) for step in steps]
            kept = range(len(COLUMNS)) if self.size.width >= WIDE else FEW
            table.show([COLUMNS[i] for i in kept], [tuple(row[i] for i in kept) for row in rows])
            if self.step is not None:
                table.move_to(steps.index(self.step), quiet=True)
            self._write_step()
        self.retitle()

    def on_resize(self) -> None:
        if self._ready:
            self.refresh_pane()

    def _show(self, shown: Shown | None) -> None:
        """The timeline is drawn from the store, not from an artifact."""

    def store_changed(self, changes: Changes) -> None:
        if changes & {"notes"}:
            self.refresh_pane()

    def _row(self, step: Step) -> tuple[Any, ...]:
        hidden = self.store.horizon is not None and step.id > self.store.horizon
        status = "  to come" if hidden else STATUS_GLYPHS[step.status]
        progress = self.store.progress.get(step.id)
        if progress is not None:
            status = f"◐ {progress.done}/{progress.total}"
        elif step.resumable and step.total:
            status += f" {step.done}/{step.total}"
        results = " ".join(f"@{a.id} {a.title}" for a in self.store.of_step(step.id))
        notes = len(self._notes(step))
        parameters = step.command.removeprefix(step.operation).strip()
        return (step.id, status, step.operation, results, parameters, span(step.seconds), notes or None)

    def _notes(self, step: Step) -> list[str]:
        on_step = [note.text for note in self.store.notes_on(step=step.id)]
        results = self.store.of_step(step.id)
        return on_step + [f"@{a.id}: {n.text}" for a in results for n in self.store.notes_on(artifact=a.id)]

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if before.step != after.step and self.steps:
            if self.step is not None:
                self.query_one(RowTable).move_to(self.steps.index(self.step), quiet=True)
            self._write_step()

    def _write_step(self) -> None:
        step = self.step
        if step is not None:
            self.query_one("#step-text", Static).update(self._step_text(step))

    def _step_text(self, step: Step) -> Content:
        dim, bold = Style(dim=True), Style(bold=True)
        parts: list[str | tuple[str, Style]] = [(f"iwb run {self.investigation.path.name} {step.command}\n", bold)]
        progress = self.store.progress.get(step.id)
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(step.created))
        partly = f"{step.done}/{step.total}" if step.total and step.status != "done" else ""
        count = progress_text(progress) if progress else partly
        head = [STATUS_GLYPHS[step.status], count, when, span(step.seconds), f"seed {step.seed}"]
        parts.append((" · ".join(p for p in head if p) + "\n", dim))
        if step.resumable:
            way = "tries it again" if step.status == "failed" and not step.done else "goes on from where it stopped"
            parts.append((f"{self.app.keymap.shown('history.resume')} {way}\n", bold))
        if step.error is not None:
            parts.append((f"✗ {step.error}\n", bold))
        for stored in self.store.of_step(step.id):
            parts.append(f"@{stored.id} {stored.kind}: {stored.title}. {stored.summary}\n")
        parts += [f"✎ {note}\n" for note in self._notes(step)]
        return Content.assemble(*parts)

    def inspect(self) -> str:
        step = self.step
        if step is None:
            return ""
        lines = [f"step {step.id}", step.operation, "", *(f"{k} = {v}" for k, v in step.parameters.items())]
        lines += ["", *(f"{name} from @{artifact}" for name, artifact in step.inputs.items())] if step.inputs else []
        of = step.environment
        facts = [of.iwb and f"iwb {of.iwb}", of.python and f"python {of.python}", of.torch and f"torch {of.torch}"]
        facts += [of.platform, f"{of.device} {of.dtype}".strip(), f"{of.threads} threads" if of.threads else ""]
        facts += [f"peak {memory(of.peak_memory_bytes)}" if of.peak_memory_bytes else ""]
        return "\n".join([*lines, "", *(fact for fact in facts if fact)])

    def noted(self) -> dict[str, int]:
        return {"step": self.step.id} if self.step is not None else {}

    def made_by(self) -> Step | None:
        return self.step

    def copy_text(self) -> str:
        return f"iwb run {self.investigation.path.name} {self.step.command}" if self.step else ""

    # ---- doing

    def on_row_table_highlighted(self, event: RowTable.Highlighted) -> None:
        event.stop()
        steps = self.steps
        if event.row < len(steps):
            self.selection.change(walk=True, step=steps[event.row].id)

    def on_row_table_selected(self, event: RowTable.Selected) -> None:
        event.stop()
        self.do_open()

    def do_open(self) -> None:
        step = self.step
        if step is None:
            return
        if self.app.replay is not None:
            self.app.replay.jump(step.id)
            return
        self.investigation.show_step(step.id)
        if self.app.has_live_curves(step.id):
            self.app.open_live(step.id)
            return
        self.app.say(f"every view shows step {step.id} now; backspace goes back")

    async def do_resume(self) -> None:
        if self.step is not None:
            accepted = await self.investigation.resume(self.step.id)
            self.app.say(f"step {accepted.step} goes on from where it stopped")

    async def do_rerun(self) -> None:
        if self.step is not None:
            accepted = await self.investigation.rerun(self.step.id)
            self.app.say("running again as " + ", ".join(f"step {one.step}" for one in accepted))

    async def do_stop(self) -> None:
        if self.step is not None:
            await self.investigation.cancel(self.step.id)

    def do_edit(self) -> None:
        if self.step is not None:
            self.app.open_form(self.step.operation, dict(self.step.parameters), seed=self.step.seed)

    def do_error(self) -> None:
        from tui.screens.message import MessageScreen

        step = self.step
        if step is not None and step.error is not None:
            details = f"{step.error}\n\n{step.error.traceback}".strip()
            self.app.push_screen(MessageScreen(f"Step {step.id} {step.operation}", details))

    def do_coarse(self, step: int) -> None:
        """`[` and `]`: the step before and after."""
        ids = [s.id for s in self.steps]
        if self.step is not None:
            at = ids.index(self.step.id) + step
            self.selection.change(walk=True, step=ids[max(0, min(len(ids) - 1, at))])
