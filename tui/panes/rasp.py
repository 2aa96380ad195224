"""The RASP view: a program as it is written, what it would become, and one input through it and through its model."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.style import Style
from textual.timer import Timer
from textual.widgets import Input, Static, TextArea

from sessions.artifacts import AnyArtifact, Table
from sessions.components import Head, Mlp, parse_component
from sessions.errors import CallError, IwbError
from sessions.steps import Stored
from tui.keymap import shown_key
from tui.live import LiveQuestion
from tui.panes.base import Pane, Shown
from tui.panes.rasp_draft import CHECK, COMPILE, TRACE, Draft, arranged, mistake_in, of_kind, restored, sizes_of
from tui.panes.rasp_trace import Pair, Trace, outcome, trace_of
from tui.selection import Selection
from tui.store import Changes
from tui.widgets.chooser import Chooser
from tui.widgets.code_lines import Mistake
from tui.widgets.data_table import RowTable
from tui.widgets.heatmap import Heatmap
from tui.widgets.rasp_editor import RaspEditor, placeholder
from tui.widgets.thumbnails import Thumbnails

WIDE = 92  # columns from which the results stand beside the editor and not below it
TALL = 30  # lines from which the matrices have thumbnails of all of them below
SAVE_S = 1.0  # after the last letter
Part = Literal["variables", "values", "matrices"]
PARTS: tuple[Part, ...] = ("variables", "values", "matrices")
CAUSAL = (("", "as meant"), ("false", "all"), ("true", "back"))
FIELDS = ("vocab", "max_len", "inputs")
NO_VOCAB = "the vocabulary is missing"  # how `rasp.check` begins to say so


class RaspPane(Pane):
    VIEW: ClassVar[str] = "rasp"
    DEFAULT_CSS = """
    RaspPane #rasp-sides { layout: vertical; height: 1fr; }
    RaspPane #rasp-sides.-beside { layout: horizontal; }
    RaspPane #rasp-left { width: 1fr; height: 1fr; }
    RaspPane #rasp-right { width: 1fr; height: 1fr; border-top: solid $foreground 30%; }
    RaspPane .-results #rasp-right:focus-within { height: 2fr; }
    RaspPane .-small #rasp-left:focus-within { height: 2fr; }
    RaspPane .-beside #rasp-right { border-top: none; border-left: solid $foreground 30%; }
    RaspPane .rasp-line { height: 1; }
    RaspPane .rasp-label { width: auto; padding: 0 1; color: $text-muted; }
    RaspPane #rasp-vocab { width: 2fr; }
    RaspPane #rasp-max_len { width: 6; }
    RaspPane Chooser { width: 20; }
    RaspPane #rasp-inputs { width: 1fr; }
    RaspPane RaspEditor { height: 1fr; }
    RaspPane #rasp-state { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    RaspPane #rasp-state.-wrong { color: $text-error; }
    RaspPane #rasp-outcome { height: auto; max-height: 2; padding: 0 1; }
    RaspPane RowTable { height: 1fr; }
    RaspPane #rasp-matrices { height: 1fr; }
    RaspPane #rasp-pair { height: 1fr; }
    RaspPane Heatmap { width: 1fr; height: 1fr; }
    RaspPane #rasp-pattern { border-left: solid $foreground 30%; }
    RaspPane Thumbnails { height: 12; border-top: solid $foreground 30%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._draft = Draft()
        self._part: Part = "variables"
        self._checked: Table | None = None  # the engine's newest answer about the draft
        self._refusal = ""
        self._trace = Trace()
        self._pair = 0
        self._saving: Timer | None = None
        self._filling = False  # the fields are being set, not typed in
        self._asked: Draft | None = None
        self._question = LiveQuestion(self._ask, self._answered, self._refused)

    def compose_body(self) -> ComposeResult:
        with Container(id="rasp-sides"):
            with Vertical(id="rasp-left"):
                with Horizontal(classes="rasp-line"):
                    yield Static("vocab", classes="rasp-label", markup=False)
                    yield Input(placeholder="like 1,2,3", id="rasp-vocab")
                    yield Static("length", classes="rasp-label", markup=False)
                    yield Input(placeholder="5", id="rasp-max_len")
                with Horizontal(classes="rasp-line"):
                    yield Static("input", classes="rasp-label", markup=False)
                    yield Input(placeholder="like [3,1,2]", id="rasp-inputs")
                    yield Static("attend", classes="rasp-label", markup=False)
                    yield Chooser(CAUSAL, id="rasp-causal")
                yield RaspEditor(id="rasp-editor")
                yield Static(id="rasp-state", markup=False)
            with Vertical(id="rasp-right"):
                yield Static(id="rasp-outcome", markup=False)
                yield RowTable(id="rasp-variables")
                yield RowTable(id="rasp-values")
                with Vertical(id="rasp-matrices"):
                    with Horizontal(id="rasp-pair"):
                        yield Heatmap(id="rasp-selector")
                        yield Heatmap(id="rasp-pattern")
                    yield Thumbnails(id="rasp-all")

    @property
    def editor(self) -> RaspEditor:
        return self.query_one("#rasp-editor", RaspEditor)

    @property
    def draft(self) -> Draft:
        return self._draft

    def on_mount(self) -> None:
        for field in self.query(Input):
            field.cursor_blink = False
        keys = self.app.keymap
        self.editor.placeholder = placeholder(
            f"{keys.shown('rasp.write')} writes, {keys.shown('rasp.library')} starts from a program of the library."
        )

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
            self._trace = trace_of(payloads)
            self._pair = min(self._pair, max(0, len(self._trace.pairs) - 1))
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
        values = self.query_one("#rasp-values", RowTable)
        if self._trace.values is not None:
            values.show_table(self._trace.values)
        else:
            values.show((), (), empty="every s-op's values stand here")
        self._draw_outcome()
        self._draw_pair()
        self._arrange()

    def _draw_outcome(self) -> None:
        said = outcome(self._trace) if self.shown is not None else ""
        old = self._outdated()
        if not said and self._part != "variables":
            said, old = f"no input has been run yet: {self.app.keymap.shown('rasp.trace')} runs it", ""
        elif self._part == "matrices" and not self._trace.pairs:
            said += "; the program has no selectors"
        parts: list[Content] = [Content(said)] if said else []
        if said and old:
            parts = [Content.styled(f"{old}: ", Style(dim=True)), *parts]
        self.query_one("#rasp-outcome", Static).update(Content.assemble(*parts))
        self.query_one("#rasp-outcome").display = bool(said)

    def _outdated(self) -> str:
        """Why what was run is not about what stands in the editor."""
        step = self.shown.step if self.shown is not None else None
        if step is None or not step.parameters.get("program"):
            return ""
        return "" if self._draft.made(step) else "of an earlier text"

    @property
    def pair(self) -> Pair | None:
        pairs = self._trace.pairs
        return pairs[self._pair] if self._pair < len(pairs) else None

    def _draw_pair(self) -> None:
        """One selector beside its head's pattern, and all of them small."""
        left, right = self.query_one("#rasp-selector", Heatmap), self.query_one("#rasp-pattern", Heatmap)
        pair = self.pair
        selector = self._trace.selector(pair) if pair is not None else None
        pattern = self._trace.pattern(pair) if pair is not None else None
        left.display, right.display = selector is not None, pattern is not None
        if pair is not None and selector is not None:
            left.show(*selector, limits=(0.0, 1.0), limits_name="selected", title=f"selector {pair.name}")
        if pair is not None and pattern is not None:
            right.show(*pattern, limits=(0.0, 1.0), limits_name="fixed", unit="attention", title=f"head {pair.head}")
        grid = self.query_one("#rasp-all", Thumbnails)
        if self._trace.pairs:
            grid.show(*self._trace.thumbnails(), shared=True, title="all selectors and their heads")
            grid.select(0, self._pair)

    # ---- the live question

    async def _ask(self, values: dict[str, Any]) -> tuple[AnyArtifact, ...]:
        return await self.investigation.look(CHECK, values)

    def _check(self, *, at_once: bool = False) -> None:
        """Ask the engine about the draft as it stands, when a pause comes."""
        if not self._draft.text.strip() or self._cannot(CHECK):
            self._question.drop()
            self._checked, self._refusal = None, ""
            self._draw_check()
            return
        self._asked = self._draft
        self._question.put(self._draft.values(), at_once=at_once)
        self._draw_state()

    def _answered(self, values: dict[str, Any], artifacts: tuple[AnyArtifact, ...]) -> None:
        if self._ready:
            self._checked, self._refusal = of_kind(artifacts, "table"), ""
            self._draw_check()

    def _refused(self, values: dict[str, Any], error: IwbError) -> None:
        if self._ready:
            self._checked, self._refusal = None, str(error)
            self._draw_check()

    def _draw_check(self) -> None:
        """The variables, and the mistake under its line. While a mistake stands, the table keeps the last good one."""
        table, checked = self.query_one("#rasp-variables", RowTable), self._checked
        mistake = self._told(mistake_in(checked)) if checked is not None else None
        self.editor.show_mistake(mistake)
        if checked is not None and mistake is None:
            of = arranged(checked)
            table.show(of.columns, of.rows, empty="no variables", marked=self._rows_of_line(of, self.editor.line))
        elif checked is None or not table.model.rows:
            table.show((), (), empty="the variables of the program stand here as soon as it can be read")
        self._draw_state()
        self.retitle()
        self.app.tells_anew(self)

    def _told(self, mistake: Mistake | None) -> Mistake | None:
        """A mistake as this screen puts it right: who has not said which tokens there are hears where to."""
        if mistake is None or self._draft.vocab.strip() or not mistake.message.startswith(NO_VOCAB):
            return mistake
        keys = " or ".join(map(shown_key, self.app.keymap.keys("rasp.vocab")))
        message = f"which tokens are there? {keys} goes to vocab: write 1,2,3 or a,b,c"
        return Mistake(mistake.line, mistake.column, mistake.length, message)

    def _draw_state(self) -> None:
        state = self.query_one("#rasp-state", Static)
        text, wrong = self._state()
        if str(state.content) != text:
            state.update(text)
        state.set_class(wrong, "-wrong")

    def _state(self) -> tuple[str, bool]:
        """The line below the editor: the sizes of the model to be, or the mistake, and whether it is one."""
        mistake = self.editor.mistake
        if self._refusal:
            return self._refusal, True
        if mistake is not None and self._draft.text.strip():
            lines = self.editor.document.line_count
            place = f"line {mistake.line}: " if mistake.line <= lines else ""
            return place + mistake.message, True
        if not self._draft.text.strip():
            return "", False
        if reason := self._cannot(CHECK):
            return reason, False
        if self._checked is not None:
            return ("… " if self._question.waiting else "") + sizes_of(self._checked), False
        return "asking the engine", False

    def _cannot(self, operation: str) -> str:
        """Why the engine cannot be asked for it now."""
        if self.store.horizon is not None:
            return "while replaying nothing is computed"
        if self.investigation.client is None:
            return "the engine is not there yet"
        return "" if operation in self.store.catalogue else f"this engine has no operation '{operation}'"

    # ---- writing

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._changed(text=self.editor.text)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._changed(**{(event.input.id or "").removeprefix("rasp-"): event.value})

    def on_chooser_changed(self, event: Chooser.Changed) -> None:
        event.stop()
        self._changed(causal=event.value)

    def _changed(self, **fields: str) -> None:
        after = msgspec.structs.replace(self._draft, **fields)
        if after == self._draft:
            return
        if bool(after.text.strip()) != bool(self._draft.text.strip()):
            self.call_later(self.app.refresh_lines, "hints")  # there is something to compile now, or nothing
        asked_of = after.values() != self._draft.values()
        self._draft = after
        if asked_of:
            self._check()
            self._draw_outcome()
        if self._saving is not None:
            self._saving.stop()
        self._saving = self.set_timer(SAVE_S, self._save)

    def _save(self) -> None:
        """The draft into the session file: a line that breaks must not take it along."""
        self.app.remember(f"view.{self.VIEW}", self.state())

    def take_draft(self, draft: Draft) -> None:
        """Put another program into the editor, as one change that ctrl+z takes back."""
        editor = self.editor
        if editor.text != draft.text:
            editor.replace(draft.text, (0, 0), editor.document.end)
            editor.move_cursor((0, 0))
        self._fill(draft)
        self._changed(**msgspec.to_builtins(draft))
        self._check(at_once=True)

    def _fill(self, draft: Draft) -> None:
        """The fields as the draft has them."""
        for name in FIELDS:
            self.query_one(f"#rasp-{name}", Input).value = getattr(draft, name)
        self.query_one("#rasp-causal", Chooser).set_value(draft.causal)

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """The line of the cursor marks its variables."""
        event.stop()
        table = self.query_one("#rasp-variables", RowTable)
        marked = self._rows_of_line(arranged(self._checked), self.editor.line) if self._checked is not None else ()
        if frozenset(marked) != table.marked:
            table.marked = frozenset(marked)
            table.refresh()
        if self.editor.has_focus and marked:
            table.move_to(marked[0], quiet=True)
        self.app.refresh_lines("status")

    def _rows_of_line(self, table: Table, line: int) -> tuple[int, ...]:
        at = next((i for i, column in enumerate(table.columns) if column.name == "line"), None)
        return tuple(i for i, row in enumerate(table.rows) if at is not None and row[at] == line)

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
            if self._draft.inputs.strip():
                self.leave_field()
        else:
            self.leave_field()

    # ---- the selection

    def selection_changed(self, before: Selection, after: Selection) -> None:
        if (before.layer, before.head) == (after.layer, after.head) and before.shown == after.shown:
            return
        wanted = None if after.head is None else Head(after.layer, after.head)
        now = self.pair
        if wanted is not None and (now is None or now.head != wanted):
            at = next((i for i, pair in enumerate(self._trace.pairs) if pair.head == wanted), None)
            if at is not None:
                self._go_to_pair(at)

    def _go_to_pair(self, at: int) -> None:
        if at != self._pair and 0 <= at < len(self._trace.pairs):
            self._pair = at
            self._draw_pair()
            self.retitle()
            self.app.tells_anew(self)

    def _choose_pair(self, at: int) -> None:
        """The person's own move: the head goes to every view."""
        self._go_to_pair(at)
        pair = self.pair
        if pair is not None and pair.head is not None:
            self.selection.change(walk=True, layer=pair.head.layer, head=pair.head.head)

    def on_thumbnails_moved(self, event: Thumbnails.Moved) -> None:
        event.stop()
        self._choose_pair(event.col)

    def on_thumbnails_selected(self, event: Thumbnails.Selected) -> None:
        event.stop()
        self._choose_pair(event.col)

    def on_heatmap_cursor_moved(self, event: Heatmap.CursorMoved) -> None:
        """The cursors of the selector and of the pattern stand on the same pair of tokens."""
        event.stop()
        pair = self.pair
        if pair is None:
            return
        by = self._trace.offset(pair)
        if event.heatmap.id == "rasp-selector":
            other, row, col = "#rasp-pattern", event.row + by, event.col + by
            query, key = row, col
        else:
            other, row, col = "#rasp-selector", event.row - by, event.col - by
            query, key = event.row, event.col
        if row >= 0 and col >= 0 and self.query_one(other, Heatmap).display:
            self.query_one(other, Heatmap).move_cursor(row, col, quiet=True)
        self.selection.change(walk=True, query=query, key=key)

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
        for word in str(cells.get("component") or "").replace(",", " ").split():
            try:
                component = parse_component(word)
            except CallError:
                continue
            if isinstance(component, Head):
                self.selection.change(walk=True, layer=component.layer, head=component.head)
                return
            if isinstance(component, Mlp):
                self.selection.change(walk=True, layer=component.layer, head=None)
                return
        self.app.tells_anew(self)

    def on_row_table_selected(self, event: RowTable.Selected) -> None:
        event.stop()
        self.do_write()

    # ---- what is said about it

    def heading(self) -> str:
        first = next((line.strip() for line in self._draft.text.splitlines() if line.strip()), "")
        count = len(self._draft.text.splitlines())
        name = "no program yet" if not first else f"{count} line{'s' if count != 1 else ''}"
        words = [name]
        if not self._both:
            words.append(self._part)
        if self._part == "matrices" and (pair := self.pair) is not None:
            words.append(f"{pair.name}{f' by {pair.head}' if pair.head and pair.selector is not None else ''}")
        return " · ".join(words)

    def selected_path(self) -> str:
        return f"line {self.editor.line}" if self._ready else ""

    def inspect(self) -> Content | str:
        lines: list[str] = []
        text, _ = self._state()
        if text:
            lines += [text, ""]
        table = self.query_one("#rasp-variables", RowTable)
        if self._part == "matrices" and (pair := self.pair) is not None:
            now = self.selection.now
            lines += self._trace.told(pair, now.query, now.key)
        elif table.row is not None:
            names = [column.name for column in table.model.columns]
            lines += [f"{n}: {v}" for n, v in zip(names, table.model.rows[table.row]) if v not in (None, "")]
        if said := outcome(self._trace):
            lines += ["", said]
        return "\n".join(lines)

    def copy_text(self) -> str:
        return self._draft.text

    def run_values(self) -> dict[str, Any]:
        return self._draft.values()

    def staleness(self, step: Any) -> str:
        return ""

    # ---- layout

    @property
    def _beside(self) -> bool:
        return self.size.width >= WIDE

    @property
    def _both(self) -> bool:
        return False

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        sides = self.query_one("#rasp-sides")
        sides.set_class(self._beside, "-beside")
        small = not self._beside and self.size.height < TALL
        sides.set_class(small, "-small")
        sides.set_class(small and self._part != "variables", "-results")
        self.query_one("#rasp-variables").display = self._part == "variables"
        self.query_one("#rasp-values").display = self._part == "values"
        matrices = self._part == "matrices"
        self.query_one("#rasp-matrices").display = matrices
        self.query_one("#rasp-all").display = matrices and self.size.height >= TALL and len(self._trace.pairs) > 1

    def focus_first(self) -> None:
        """What takes keys: letters typed by habit must not land in the program."""
        self._focus_part()

    def _focus_part(self) -> None:
        names = {"variables": "#rasp-variables", "values": "#rasp-values", "matrices": "#rasp-selector"}
        widget = self.query_one(names[self._part])
        if not widget.display:
            widget = self.query_one("#rasp-pattern") if self._part == "matrices" else widget
        if not widget.display:
            widget = self.query_one("#rasp-causal")
        widget.focus(scroll_visible=False)

    def leave_field(self) -> None:
        self._focus_part()

    # ---- following the store

    def store_changed(self, changes: Changes) -> None:
        if self._ready and changes & {"catalogue", "engine", "horizon"}:
            self._check()
            self._draw_outcome()

    # ---- what its keys do

    def unable(self, verb: str) -> str | None:
        empty = not self._draft.text.strip()
        match verb:
            case "compile":
                return "there is no program yet" if empty else self._cannot(COMPILE) or None
            case "trace":
                if empty and self._model() is None:
                    return "there is no program yet"
                return self._cannot(TRACE) or None
            case "width" | "map" | "pair":
                return None if self._part == "matrices" and self._trace.pairs else "no matrices are shown: v shows them"
            case "library":
                return None if self.investigation.client is not None else "the engine is not there yet"
        return None

    def do_write(self) -> None:
        self.editor.focus(scroll_visible=False)

    def do_input(self) -> None:
        self.query_one("#rasp-inputs", Input).focus(scroll_visible=False)

    def do_vocab(self) -> None:
        self.query_one("#rasp-vocab", Input).focus(scroll_visible=False)

    def do_part(self) -> None:
        """The variables, the values of an input, the matrices."""
        self._part = PARTS[(PARTS.index(self._part) + 1) % len(PARTS)]
        self._arrange()
        self._draw_outcome()
        if not isinstance(self.app.focused, TextArea):
            self._focus_part()
        self.retitle()

    def do_compile(self) -> None:
        """The draft as a model: a step, with the program beside it."""
        self.app.start(COMPILE, self._draft.values())

    def do_trace(self) -> None:
        """The input through the program, and through the model that was made of it."""
        if not self._draft.inputs.strip():
            self.do_input()
            self.app.say("write an input, such as [3,1,2]; enter runs it")
            return
        if self._part == "variables":
            self._part = "values"
            self._arrange()
            self._draw_outcome()
        self.app.start(TRACE, self._draft.traced_with(self._model()))

    def _model(self) -> int | None:
        """The newest model compiled from the draft as it stands; without a draft the chosen compiled model."""
        if not self._draft.text.strip():
            chosen = self.store.stored(self.selection.now.model)
            return chosen.id if chosen is not None and self.model_family() == "transformer" else None
        for step in reversed(self.store.steps):
            if step.operation == COMPILE and step.status == "done" and self._draft.made(step):
                made = next((stored for stored in self.store.of_step(step.id) if stored.kind == "model"), None)
                if made is not None:
                    return made.id
        return None

    def do_pair(self, step: int) -> None:
        self._choose_pair(max(0, min(len(self._trace.pairs) - 1, self._pair + step)))

    def do_fine(self, step: int) -> None:
        if self._part == "matrices" and self._trace.pairs:
            self.do_pair(step)
        else:
            super().do_fine(step)

    def do_width(self) -> None:
        for heatmap in self.query(Heatmap):
            said = heatmap.cycle_width()
        self.app.say(f"cell width: {said}")

    def do_map(self) -> None:
        for heatmap in self.query(Heatmap):
            said = heatmap.cycle_map()
        self.app.say(f"colour map: {said}")

    def do_library(self) -> None:
        """Choose a program to start from."""
        from tui.screens.library import LibraryScreen

        def chosen(draft: Draft | None) -> None:
            if draft is not None:
                inputs = draft.inputs or self._draft.inputs
                self.take_draft(msgspec.structs.replace(draft, inputs=inputs))

        self.app.push_screen(LibraryScreen(), chosen)

    def state(self) -> dict[str, Any]:
        return {"part": self._part, "draft": msgspec.to_builtins(self._draft)}

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("part") in PARTS:
            self._part = state["part"]
        draft = restored(state.get("draft", {}))
        if draft != self._draft:
            self._draft = draft
            self.editor.load_text(draft.text)
            self._fill(draft)
        self._check()
        self.draw(self.shown)

    def noted_stored(self) -> Stored | None:
        return self.shown.stored if self.shown is not None else None
