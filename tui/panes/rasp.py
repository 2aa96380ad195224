"""The RASP view: a program as it is written, what it would become, and one input through it and through its model."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, TextArea

from sessions.components import Head
from sessions.errors import IwbError
from sessions.steps import Stored
from tui.panes.base import Pane, Shown
from tui.panes.rasp_draft import COMPILE, TRACE, Draft, restored
from tui.panes.rasp_results import PARTS, RaspResults, part_of_model
from tui.panes.rasp_trace import trace_of
from tui.panes.rasp_writing import RaspWriting, cannot
from tui.selection import Selection
from tui.store import Changes
from tui.widgets.data_table import RowTable
from tui.widgets.heatmap import Heatmap
from tui.widgets.rasp_editor import RaspEditor
from tui.widgets.thumbnails import Thumbnails

WIDE = 92  # columns from which the results stand beside the editor and not below it
TALL = 30  # lines from which the matrices have thumbnails of all of them below
SAVE_S = 1.0  # after the last letter


class RaspPane(Pane):
    """Sets the program as it is written beside what came of it, and ties both to the session and to its selection."""

    VIEW: ClassVar[str] = "rasp"
    DEFAULT_CSS = """
    RaspPane #rasp-sides { layout: vertical; height: 1fr; }
    RaspPane #rasp-sides.-beside { layout: horizontal; }
    RaspPane #rasp-left { width: 1fr; height: 1fr; }
    RaspPane #rasp-right { width: 1fr; height: 1fr; border-top: solid $foreground 30%; }
    RaspPane .-results #rasp-right:focus-within { height: 2fr; }
    RaspPane .-small #rasp-left:focus-within { height: 2fr; }
    RaspPane .-beside #rasp-right { border-top: none; border-left: solid $foreground 30%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.writing = RaspWriting(changed=self._draft_changed, answered=self._draft_checked)
        self.results = RaspResults()
        self._saving: Timer | None = None

    def compose_body(self) -> ComposeResult:
        with Container(id="rasp-sides"):
            yield self.writing
            yield self.results

    @property
    def editor(self) -> RaspEditor:
        return self.writing.editor

    @property
    def draft(self) -> Draft:
        return self.writing.draft

    # ---- what is shown: the draft is always there, so the pane is never empty as a whole

    def refresh_pane(self) -> None:
        """The parts of the chosen run of an input, fetched first if they are not in memory."""
        chosen = self.choose()
        parts = self.store.of_step(chosen.step) if chosen is not None else ()
        missing = [stored.id for stored in parts if self.store.loaded(stored.id) is None]
        if missing:
            self.app.behind(partial(self._fetch_all, missing), group="fetch.rasp", exclusive=True)
            return
        payloads = tuple(p for stored in parts if (p := self.store.loaded(stored.id)) is not None)
        step = self.store.step(chosen.step) if chosen is not None else None
        previous, shown = self.shown, Shown(payloads[0], parts[0], step) if payloads else None
        self.shown = shown
        if (shown is None) != (previous is None) or (shown is not None and not shown.same_drawing(previous)):
            self.results.show_trace(trace_of(payloads))
            self.draw(shown)
        self.retitle()
        self.app.tells_anew(self)

    async def _fetch_all(self, ids: list[int]) -> None:
        try:
            for number in ids:
                await self.investigation.fetch(number)
        except IwbError as error:
            self.app.trouble(str(error))

    def draw(self, shown: Shown | None) -> None:
        self.results.draw_trace()
        self._draw_outcome()
        self._arrange()

    def _draw_outcome(self) -> None:
        self.results.draw_outcome(outdated=self._outdated(), key=self.app.keymap.shown("rasp.trace"))

    def _outdated(self) -> str:
        """Why what was run is not about what stands in the editor."""
        step = self.shown.step if self.shown is not None else None
        if step is None or not step.parameters.get("program"):
            return ""
        return "" if self.draft.made(step) else "of an earlier text"

    # ---- writing

    def _draft_checked(self) -> None:
        editor = self.editor
        self.results.show_checked(self.writing.checked, wrong=editor.mistake is not None, line=editor.line)
        self.retitle()
        self.app.tells_anew(self)

    def _draft_changed(self, before: Draft) -> None:
        if bool(self.draft.text.strip()) != bool(before.text.strip()):
            self.call_later(self.app.refresh_lines, "hints")  # there is something to compile now, or nothing
        if self.draft.values() != before.values():
            self._draw_outcome()
        if self._saving is not None:
            self._saving.stop()
        self._saving = self.set_timer(SAVE_S, self._save)

    def _save(self) -> None:
        """The draft into the session file: a line that breaks must not take it along."""
        self.app.remember(f"view.{self.VIEW}", self.state())

    def take_draft(self, draft: Draft) -> None:
        """Put another program into the editor, as one change that ctrl+z takes back."""
        self.writing.take(draft)

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """The line of the cursor marks its variables."""
        event.stop()
        self.results.mark_line(self.editor.line, follow=self.editor.has_focus)
        self.app.refresh_lines("status")

    def on_paste(self, event: events.Paste) -> None:
        """A paste that no field took goes into the editor."""
        if not isinstance(self.app.focused, Input | TextArea):
            event.stop()
            self.editor.insert(event.text)
            self.editor.focus(scroll_visible=False)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "rasp-inputs":
            if (reason := self.unable("trace")) is not None:
                self.app.say(reason)
                return
            self.do_trace()
            if self.draft.inputs.strip():
                self.leave_field()
        else:
            self.leave_field()

    # ---- the selection

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if (before.layer, before.head) == (after.layer, after.head) and before.shown == after.shown:
            return
        wanted = None if after.head is None else Head(after.layer, after.head)
        now = self.results.pair
        if wanted is not None and (now is None or now.head != wanted):
            at = next((i for i, pair in enumerate(self.results.trace.pairs) if pair.head == wanted), None)
            if at is not None:
                self._go_to_pair(at)

    def _go_to_pair(self, at: int) -> None:
        if self.results.go_to_pair(at):
            self.retitle()
            self.app.tells_anew(self)

    def _choose_pair(self, at: int) -> None:
        """The person's own move: the head goes to every view."""
        self._go_to_pair(at)
        pair = self.results.pair
        if pair is not None and pair.head is not None:
            self.selection.change(walk=True, layer=pair.head.layer, head=pair.head.head)

    def on_thumbnails_moved(self, event: Thumbnails.Moved) -> None:
        event.stop()
        self._choose_pair(event.col)

    def on_thumbnails_selected(self, event: Thumbnails.Selected) -> None:
        event.stop()
        self._choose_pair(event.col)

    def on_heatmap_cursor_moved(self, event: Heatmap.CursorMoved) -> None:
        """The pair of tokens under the cursor goes to every view."""
        event.stop()
        tokens = self.results.follow(event.heatmap, event.row, event.col)
        if tokens is not None:
            self.selection.change(walk=True, query=tokens[0], key=tokens[1])

    def on_heatmap_selected(self, event: Heatmap.Selected) -> None:
        event.stop()

    def on_row_table_highlighted(self, event: RowTable.Highlighted) -> None:
        """The row under the cursor: its line in the editor, its part of the model everywhere."""
        event.stop()
        if not event.table.has_focus:
            return
        cells = dict(zip((c.name for c in event.table.model.columns), event.table.model.rows[event.row]))
        line = cells.get("line")
        if isinstance(line, int):
            self.editor.go_to(line)
        component = part_of_model(str(cells.get("component") or ""))
        if component is None:
            self.app.tells_anew(self)
            return
        head = component.head if isinstance(component, Head) else None
        self.selection.change(walk=True, layer=component.layer, head=head)

    def on_row_table_selected(self, event: RowTable.Selected) -> None:
        event.stop()
        self.do_write()

    # ---- what is said about it

    def heading(self) -> str:
        first = next((line.strip() for line in self.draft.text.splitlines() if line.strip()), "")
        count = len(self.draft.text.splitlines())
        name = "no program yet" if not first else f"{count} line{'s' if count != 1 else ''}"
        words = [name, self.results.part]
        if self.results.part == "matrices" and (pair := self.results.pair) is not None:
            words.append(f"{pair.name}{f' by {pair.head}' if pair.head and pair.selector is not None else ''}")
        return " · ".join(words)

    def selected_path(self) -> str:
        return f"line {self.editor.line}" if self._ready else ""

    def inspect(self) -> Content | str:
        text, _ = self.writing.said()
        now = self.selection.now
        return "\n".join([*([text, ""] if text else []), *self.results.told(now.query, now.key)])

    def copy_text(self) -> str:
        return self.draft.text

    def run_values(self) -> dict[str, Any]:
        return self.draft.values()

    def staleness(self, step: Any) -> str:
        return ""

    # ---- layout

    @property
    def _beside(self) -> bool:
        return self.size.width >= WIDE

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        sides = self.query_one("#rasp-sides")
        sides.set_class(self._beside, "-beside")
        small = not self._beside and self.size.height < TALL
        sides.set_class(small, "-small")
        sides.set_class(small and self.results.part != "variables", "-results")
        self.results.fit(tall=self.size.height >= TALL)

    def focus_first(self) -> None:
        """What takes keys: letters typed by habit must not land in the program."""
        self._focus_part()

    def _focus_part(self) -> None:
        (self.results.main() or self.writing.causal).focus(scroll_visible=False)

    def leave_field(self) -> None:
        self._focus_part()

    # ---- following the store

    def store_changed(self, changes: Changes) -> None:
        if self._ready and changes & {"catalogue", "engine", "horizon"}:
            self.writing.check()
            self._draw_outcome()

    # ---- what its keys do

    def unable(self, verb: str) -> str | None:
        empty = not self.draft.text.strip()
        match verb:
            case "compile":
                return "there is no program yet" if empty else cannot(self.investigation, COMPILE) or None
            case "trace":
                if empty and self._model() is None:
                    return "there is no program yet"
                return cannot(self.investigation, TRACE) or None
            case "width" | "map" | "pair":
                return None if self._shows_pairs else "no matrices are shown: v shows them"
            case "library":
                return None if self.investigation.client is not None else "the engine is not there yet"
        return None

    @property
    def _shows_pairs(self) -> bool:
        return self.results.part == "matrices" and bool(self.results.trace.pairs)

    def do_write(self) -> None:
        self.editor.focus(scroll_visible=False)

    def do_input(self) -> None:
        self.writing.field("inputs").focus(scroll_visible=False)

    def do_vocab(self) -> None:
        self.writing.field("vocab").focus(scroll_visible=False)

    def do_part(self) -> None:
        """The variables, the values of an input, the matrices."""
        self.results.next_part()
        self._arrange()
        self._draw_outcome()
        if not isinstance(self.app.focused, TextArea):
            self._focus_part()
        self.retitle()

    def do_compile(self) -> None:
        """The draft as a model: a step, with the program beside it."""
        self.app.start(COMPILE, self.draft.values())

    def do_trace(self) -> None:
        """The input through the program, and through the model that was made of it."""
        if not self.draft.inputs.strip():
            self.do_input()
            self.app.say("write an input, such as [3,1,2]; enter runs it")
            return
        if self.results.part == "variables":
            self.results.part = "values"
            self._arrange()
            self._draw_outcome()
        self.app.start(TRACE, self.draft.traced_with(self._model()))

    def _model(self) -> int | None:
        """The newest model compiled from the draft as it stands; without a draft the chosen compiled model."""
        if not self.draft.text.strip():
            chosen = self.store.stored(self.selection.now.model)
            return chosen.id if chosen is not None and self.model_family() == "transformer" else None
        for step in reversed(self.store.steps):
            if step.operation == COMPILE and step.status == "done" and self.draft.made(step):
                made = next((stored for stored in self.store.of_step(step.id) if stored.kind == "model"), None)
                if made is not None:
                    return made.id
        return None

    def do_pair(self, step: int) -> None:
        self._choose_pair(max(0, min(len(self.results.trace.pairs) - 1, self.results.chosen + step)))

    def do_fine(self, step: int) -> None:
        if self._shows_pairs:
            self.do_pair(step)
        else:
            super().do_fine(step)

    def do_width(self) -> None:
        self.app.say(f"cell width: {self.results.cycle_width()}")

    def do_map(self) -> None:
        self.app.say(f"colour map: {self.results.cycle_map()}")

    def do_library(self) -> None:
        """Choose a program to start from."""
        from tui.screens.library import LibraryScreen

        def chosen(draft: Draft | None) -> None:
            if draft is not None:
                inputs = draft.inputs or self.draft.inputs
                self.take_draft(msgspec.structs.replace(draft, inputs=inputs))

        self.app.push_screen(LibraryScreen(), chosen)

    def state(self) -> dict[str, Any]:
        return {"part": self.results.part, "draft": msgspec.to_builtins(self.draft)}

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("part") in PARTS:
            self.results.part = state["part"]
        draft = restored(state.get("draft", {}))
        if draft != self.draft:
            self.writing.load(draft)
        self.writing.check()
        self.draw(self.shown)

    def noted_stored(self) -> Stored | None:
        return self.shown.stored if self.shown is not None else None
