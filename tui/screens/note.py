"""Writing a note on a step, on a result, or on the investigation."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static, TextArea

from sessions.errors import IwbError
from sessions.steps import Note
from tui.actions import Scope
from tui.screens.overlay import Overlay


class NoteScreen(Overlay[None]):
    """Shows the note there is, to be changed, or an empty field. Markdown; kept by ctrl+j."""

    SCOPE: ClassVar[Scope] = "note"
    HEADING = "Note"
    DEFAULT_CSS = """
    NoteScreen TextArea, NoteScreen TextArea:focus { height: 10; border: none; background: $surface; }
    NoteScreen #failure { color: $text-error; height: auto; }
    """

    def __init__(self, *, step: int | None = None, artifact: int | None = None) -> None:
        super().__init__()
        self._step, self._artifact = step, artifact

    @property
    def _present(self) -> Note | None:
        notes = self.bench.investigation.store.notes_on(step=self._step, artifact=self._artifact)
        return notes[-1] if notes else None

    def compose_box(self) -> ComposeResult:
        store = self.bench.investigation.store
        if self._artifact is not None and (stored := store.stored(self._artifact)) is not None:
            place = f"on result @{stored.id}: {stored.title}"
        elif (step := store.step(self._step)) is not None:
            place = f"on step {step.id}: {step.operation}"
        else:
            place = "on the whole investigation"
        yield Static(f"A note {place}. Markdown.", markup=False)
        yield TextArea(self._present.text if self._present else "", id="text")
        yield Static(id="failure", markup=False)

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.cursor_blink = False
        area.focus()
        area.move_cursor(area.document.end)

    async def do_save(self) -> None:
        text = self.query_one(TextArea).text.strip()
        old = self._present
        try:
            if old is not None and old.text == text:
                self.dismiss(None)
                return
            if text:  # the new one is safe in the file before the old one goes
                await self.bench.investigation.add_note(text, step=self._step, artifact=self._artifact)
            if old is not None:
                await self.bench.investigation.remove_note(old.id)
        except IwbError as error:
            self.query_one("#failure", Static).update(str(error))
            return
        self.dismiss(None)

    async def do_delete(self) -> None:
        self.query_one(TextArea).text = ""
        await self.do_save()

    def do_close(self) -> None:
        """`esc` loses nothing unasked: a changed text stays until it is saved or esc is pressed again."""
        text = self.query_one(TextArea).text.strip()
        failure = self.query_one("#failure", Static)
        if text != (self._present.text if self._present else "") and not self.has_class("-asked"):
            self.add_class("-asked")
            failure.update("This text is not saved: ctrl+j saves it, esc once more drops it.")
            return
        self.dismiss(None)
