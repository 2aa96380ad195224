"""Programs to start from: the library's, and those of this investigation."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.style import Style
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sessions.artifacts import Program
from sessions.errors import IwbError
from tui.actions import Scope
from tui.panes.rasp_draft import Draft, draft_of
from tui.screens.overlay import Overlay


class LibraryScreen(Overlay[Draft | None]):
    """`enter` takes the program under the cursor into the editor; ctrl+z there brings back what was written."""

    SCOPE: ClassVar[Scope] = "library"
    HEADING = "Start from"
    DEFAULT_CSS = """
    LibraryScreen OptionList { height: auto; max-height: 24; border: none; background: $panel; }
    LibraryScreen #about { height: 3; color: $text-muted; margin: 1 0 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, dict[str, Any]] = {}

    def compose_box(self) -> ComposeResult:
        yield OptionList(markup=False, compact=True)
        yield Static("the engine is being asked", id="about", markup=False)

    async def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.focus()
        store = self.bench.investigation.store
        programs = [stored for stored in store.of_kind("program") if await self._is_rasp(stored.id)]
        if programs:
            options.add_option(_heading("In this investigation"))
            options.add_options(
                Option(f"  @{stored.id} {stored.title}", id=f"@{stored.id}") for stored in reversed(programs)
            )
        try:
            library = (await self.bench.investigation.engine.ask("rasp")).get("library", [])
        except IwbError as error:
            self.query_one("#about", Static).update(str(error))
            library = []
        self._entries = {str(entry["name"]): entry for entry in library}
        if self._entries:
            options.add_option(_heading("Library"))
            options.add_options(
                Option(Content.assemble(f"  {name:<18}", (str(entry.get("summary", "")), Style(dim=True))), id=name)
                for name, entry in self._entries.items()
            )
        ids = [options.get_option_at_index(i).id for i in range(options.option_count)]
        options.highlighted = next((i for i, id in enumerate(ids) if id is not None), None)

    async def _is_rasp(self, artifact: int) -> bool:
        try:
            payload = await self.bench.investigation.fetch(artifact)
        except IwbError:
            return False
        return isinstance(payload, Program) and payload.language == "rasp"

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        entry = self._entries.get(event.option.id or "", {})
        vocab = ", ".join(map(str, entry.get("vocab", [])))
        words = [str(entry.get("summary", ""))]
        if vocab:
            words.append(f"for inputs of {vocab}, up to {entry.get('max_len', '?')} tokens")
        self.query_one("#about", Static).update("\n".join(word for word in words if word))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._take(event.option.id)

    def do_take(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self._take(options.get_option_at_index(options.highlighted).id)

    def _take(self, chosen: str | None) -> None:
        if chosen is None:
            return
        if chosen.startswith("@"):
            payload = self.bench.investigation.store.loaded(int(chosen[1:]))
            if isinstance(payload, Program):
                self.dismiss(draft_of(payload.source, payload.facts))
            return
        entry = self._entries[chosen]
        self.dismiss(draft_of(str(entry.get("text", "")), entry))


def _heading(text: str) -> Option:
    return Option(Content.styled(text, Style(bold=True)), disabled=True)
