"""Where a RASP program is written: its inputs, its text, and what the engine says of both meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static, TextArea

from sessions.artifacts import AnyArtifact, Table
from sessions.errors import IwbError
from tui.investigation import Investigation
from tui.keymap import shown_key
from tui.live import LiveQuestion
from tui.panes.rasp_draft import CHECK, Draft, mistake_in, of_kind, sizes_of
from tui.widgets.chooser import Chooser
from tui.widgets.code_lines import Mistake
from tui.widgets.rasp_editor import RaspEditor, placeholder

if TYPE_CHECKING:
    from tui.app import IwbApp

CAUSAL = (("", "as meant"), ("false", "all"), ("true", "back"))
FIELDS = ("vocab", "max_len", "inputs")
NO_VOCAB = "the vocabulary is missing"  # how `rasp.check` begins to say so


class RaspWriting(Vertical):
    """The fields, the editor and the line below it. Holds the draft, and asks the engine about it after each pause.

    `changed(before)` hears that the draft is another than `before`, `answered()` that `checked` and the mistake in the
    editor are new.
    """

    DEFAULT_CSS: ClassVar[str] = """
    RaspWriting .rasp-line { height: 1; }
    RaspWriting .rasp-label { width: auto; padding: 0 1; color: $text-muted; }
    RaspWriting #rasp-vocab { width: 2fr; }
    RaspWriting #rasp-max_len { width: 6; }
    RaspWriting Chooser { width: 20; }
    RaspWriting #rasp-inputs { width: 1fr; }
    RaspWriting RaspEditor { height: 1fr; }
    RaspWriting #rasp-state { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    RaspWriting #rasp-state.-wrong { color: $text-error; }
    """

    def __init__(self, *, changed: Callable[[Draft], None], answered: Callable[[], None]) -> None:
        super().__init__(id="rasp-left")
        self.draft = Draft()
        self.checked: Table | None = None  # the engine's newest answer about the draft
        self._refusal = ""
        self._tell_changed, self._tell_answered = changed, answered
        self._ready = False  # mounted, with its widgets
        self._question = LiveQuestion(self._ask, self._answered, self._refused)

    def compose(self) -> ComposeResult:
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

    def on_mount(self) -> None:
        self._ready = True
        for field in self.query(Input):
            field.cursor_blink = False
        keys = self.app.keymap
        self.editor.placeholder = placeholder(
            f"{keys.shown('rasp.write')} writes, {keys.shown('rasp.library')} starts from a program of the library."
        )

    def on_unmount(self) -> None:
        self._ready = False

    @property
    def app(self) -> IwbApp:  # type: ignore[override]  # it lives in this app
        return cast("IwbApp", super().app)

    @property
    def editor(self) -> RaspEditor:
        return self.query_one("#rasp-editor", RaspEditor)

    def field(self, name: str) -> Input:
        return self.query_one(f"#rasp-{name}", Input)

    @property
    def causal(self) -> Chooser:
        return self.query_one("#rasp-causal", Chooser)

    # ---- the live question

    @property
    def waiting(self) -> bool:
        """Whether the engine has not yet said what it thinks of the newest draft."""
        return self._question.waiting

    def check(self, *, at_once: bool = False) -> None:
        """Ask the engine about the draft as it stands, when a pause comes."""
        if not self.draft.text.strip() or cannot(self.app.investigation, CHECK):
            self._question.drop()
            self.checked, self._refusal = None, ""
            self._draw_check()
            return
        self._question.put(self.draft.values(), at_once=at_once)
        self._draw_state()

    async def _ask(self, values: dict[str, Any]) -> tuple[AnyArtifact, ...]:
        return await self.app.investigation.look(CHECK, values)

    def _answered(self, values: dict[str, Any], artifacts: tuple[AnyArtifact, ...]) -> None:
        if self._ready:
            self.checked, self._refusal = of_kind(artifacts, "table"), ""
            self._draw_check()

    def _refused(self, values: dict[str, Any], error: IwbError) -> None:
        if self._ready:
            self.checked, self._refusal = None, str(error)
            self._draw_check()

    def _draw_check(self) -> None:
        """The mistake under its line, and the sizes."""
        self.editor.show_mistake(self.put_right(mistake_in(self.checked)) if self.checked is not None else None)
        self._draw_state()
        self._tell_answered()

    def put_right(self, mistake: Mistake | None) -> Mistake | None:
        """A mistake as this screen puts it right: who has not said which tokens there are hears where to."""
        if mistake is None or self.draft.vocab.strip() or not mistake.message.startswith(NO_VOCAB):
            return mistake
        keys = " or ".join(map(shown_key, self.app.keymap.keys("rasp.vocab")))
        message = f"which tokens are there? {keys} goes to vocab: write 1,2,3 or a,b,c"
        return Mistake(mistake.line, mistake.column, mistake.length, message)

    def _draw_state(self) -> None:
        state = self.query_one("#rasp-state", Static)
        text, wrong = self.said()
        if str(state.content) != text:
            state.update(text)
        state.set_class(wrong, "-wrong")

    def said(self) -> tuple[str, bool]:
        """The line below the editor: the sizes of the model to be, or the mistake, and whether it is one."""
        mistake = self.editor.mistake
        if self._refusal:
            return self._refusal, True
        if mistake is not None and self.draft.text.strip():
            lines = self.editor.document.line_count
            place = f"line {mistake.line}: " if mistake.line <= lines else ""
            return place + mistake.message, True
        if not self.draft.text.strip():
            return "", False
        if reason := cannot(self.app.investigation, CHECK):
            return reason, False
        if self.checked is not None:
            return ("… " if self.waiting else "") + sizes_of(self.checked), False
        return "asking the engine", False

    # ---- the draft

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._change(text=self.editor.text)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._change(**{(event.input.id or "").removeprefix("rasp-"): event.value})

    def on_chooser_changed(self, event: Chooser.Changed) -> None:
        event.stop()
        self._change(causal=event.value)

    def _change(self, **fields: str) -> None:
        before, self.draft = self.draft, msgspec.structs.replace(self.draft, **fields)
        if self.draft == before:
            return
        if self.draft.values() != before.values():
            self.check()
        self._tell_changed(before)

    def take(self, draft: Draft) -> None:
        """Put another program into the editor, as one change that ctrl+z takes back."""
        editor = self.editor
        if editor.text != draft.text:
            editor.replace(draft.text, (0, 0), editor.document.end)
            editor.move_cursor((0, 0))
        self._fill(draft)
        self._change(**msgspec.to_builtins(draft))
        self.check(at_once=True)

    def load(self, draft: Draft) -> None:
        """The draft that was kept: nothing has changed, and there is nothing to take back."""
        self.draft = draft
        self.editor.load_text(draft.text)
        self._fill(draft)

    def _fill(self, draft: Draft) -> None:
        """The fields as the draft has them."""
        for name in FIELDS:
            self.field(name).value = getattr(draft, name)
        self.causal.set_value(draft.causal)


def cannot(investigation: Investigation, operation: str) -> str:
    """Why the engine cannot be asked for it now."""
    if investigation.store.horizon is not None:
        return "while replaying nothing is computed"
    if investigation.client is None:
        return "the engine is not there yet"
    return "" if operation in investigation.store.catalogue else f"this engine has no operation '{operation}'"
