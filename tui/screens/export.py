"""Writing the investigation for others to read: a report, a notebook, a recipe or JSON, beside the session file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sessions.errors import IwbError
from tui.actions import Scope
from tui.screens.overlay import Overlay


class ExportScreen(Overlay[None]):
    """Enter writes the chosen format; the file's path is then said."""

    SCOPE: ClassVar[Scope] = "export"
    HEADING = "Export"
    DEFAULT_CSS = """
    ExportScreen OptionList { height: auto; background: $panel; border: none; }
    ExportScreen #failure { height: auto; color: $text-error; }
    """

    def compose_box(self) -> ComposeResult:
        yield Static(f"Write {self.bench.investigation.path.name} for others to read:", markup=False)
        yield OptionList(markup=False, compact=True)
        yield Static(id="failure", markup=False)

    def on_mount(self) -> None:
        from sessions.export.formats import FORMATS  # not before somebody exports

        options = self.query_one(OptionList)
        for name, kind in FORMATS.items():
            options.add_option(Option(f"{name:<8}{kind.what}", id=name))
        options.highlighted = 0
        options.focus()

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        await self.do_write()

    async def do_write(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return
        name = str(options.get_option_at_index(options.highlighted).id)
        try:
            place = await asyncio.to_thread(_write, self.bench.investigation.path, name)
        except IwbError as error:
            self.query_one("#failure", Static).update(str(error))
            return
        self.bench.say(f"wrote {place}; the same as: iwb export {self.bench.investigation.path.name} --to {name}")
        self.dismiss(None)


def _write(path: Path, name: str) -> Path:
    from sessions.export.formats import FORMATS, export
    from sessions.file import SessionFile

    with SessionFile.open(path, readonly=True) as session:
        text = export(session, name)
    place = path.with_suffix(FORMATS[name].suffix)
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise IwbError(
            f"cannot be written ({error.strerror})", str(place), "open the session in another folder"
        ) from None
    return place
