"""The command palette: every action and operation by a few letters, or a whole command line."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from textual.style import Style
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sessions.errors import IwbError
from tui.actions import Action, Scope
from tui.actions.action import OVERLAY_SCOPES, SCOPE_TITLES
from tui.palette import Entry, is_command, names_only, parse_command, ranked, remembered
from tui.screens.overlay import Overlay
from tui.status import truncate_end

OPERATION = "run:"  # before an operation's name in an entry's id


class PaletteScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "palette"
    HEADING = "Do"
    DEFAULT_CSS = """
    PaletteScreen { align: center top; }
    PaletteScreen > #box { margin: 1 0 0 0; height: 80%; }
    PaletteScreen OptionList { height: 1fr; background: $panel; border: none; }
    PaletteScreen #detail { height: 2; color: $text-muted; }
    """

    def compose_box(self) -> ComposeResult:
        yield Input(placeholder="letters of an action, or: operation name=value ... --seed N")
        yield OptionList(markup=False, compact=True)
        yield Static(id="detail", markup=False)

    def on_mount(self) -> None:
        self._entries = self._all_entries()
        self._found: list[Entry] = []
        field = self.query_one(Input)
        field.cursor_blink = False
        self.query_one(OptionList).can_focus = False
        field.focus()
        self._list("")

    def _recent(self) -> tuple[str, ...]:
        return tuple(self.bench.investigation.view_state.get("palette.recent", ()))

    def _all_entries(self) -> list[Entry]:
        bench = self.bench
        skipped = (*OVERLAY_SCOPES, "overlay")
        entries = [
            Entry(
                action.id, _title(action), action.help, bench.keymap.all_shown(action.id), action.enabled(bench) or ""
            )
            for action in bench.actions.values()
            if action.scope not in skipped and action.id != "app.palette"
        ]
        catalogue = bench.investigation.store.catalogue.values()
        entries += [Entry(OPERATION + info.name, f"Run {info.title}", info.summary, info.name) for info in catalogue]
        return entries

    def on_input_changed(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, query: str) -> None:
        catalogue = self.bench.investigation.store.catalogue
        options = self.query_one(OptionList)
        options.clear_options()
        command = is_command(query, catalogue)
        options.set_class(command, "-command")
        if command:
            self._found = []
            info = catalogue.get(query.split()[0])
            line = " ".join(f.name + ("*" if f.required else "") for f in info.fields) if info else ""
            enter = "opens its form" if names_only(query) else "runs this line"
            options.add_option(Option(f"enter {enter}.  parameters: {line}", disabled=True))
            self._detail(info.summary if info else "")
            return
        self._found = ranked(self._entries, query, self._recent())
        width = max(20, min(92, self.app.size.width * 9 // 10 - 8))
        options.add_options([Option(_line(entry, width)) for entry in self._found])
        if self._found:
            options.highlighted = 0
            self._detail_of(0)
        else:
            options.add_option(Option(f"nothing matches '{query}'", disabled=True))
            self._detail("")

    def _detail(self, text: str) -> None:
        self.query_one("#detail", Static).update(text)

    def _detail_of(self, place: int) -> None:
        entry = self._found[place]
        self._detail(f"Not now: {entry.reason}. {entry.detail}" if entry.reason else entry.detail)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_index < len(self._found):
            self._detail_of(event.option_index)

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        await self.do_run()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        await self.do_run()

    def do_next(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def do_previous(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    async def do_run(self) -> None:
        bench = self.bench
        text = self.query_one(Input).value.strip()
        if is_command(text, bench.investigation.store.catalogue):
            await self._run_line(text)
            return
        place = self.query_one(OptionList).highlighted
        if place is None or place >= len(self._found):
            return
        entry = self._found[place]
        bench.remember("palette.recent", list(remembered(self._recent(), entry.id)))
        bench.investigation.view_state["palette.recent"] = list(remembered(self._recent(), entry.id))
        self.dismiss(None)
        if entry.id.startswith(OPERATION):
            bench.call_later(bench.open_form, entry.id.removeprefix(OPERATION))
        else:
            bench.call_later(bench.do, bench.actions[entry.id])

    async def _run_line(self, text: str) -> None:
        if names_only(text):
            self.dismiss(None)
            self.bench.call_later(self.bench.open_form, text)
            return
        try:
            line = parse_command(text, self.bench.investigation.store.catalogue)
            accepted = await self.bench.investigation.run(line.operation, line.values, seed=line.seed)
        except IwbError as error:
            self._detail(str(error))
            return
        state = "was already done" if accepted.cached else "is under way: J shows it, x stops it"
        self.bench.say(f"step {accepted.step} {line.operation} {state}")
        self.dismiss(None)


def _title(action: Action) -> str:
    title = action.title.rstrip("…")
    return title if action.scope == "everywhere" else f"{SCOPE_TITLES[action.scope]}: {title}"


def _line(entry: Entry, width: int) -> Content:
    style = Style(dim=True) if entry.reason else Style()
    key = entry.key
    room = width - cell_len(key) - 1
    text = truncate_end(entry.title + (f"  ({entry.reason})" if entry.reason else ""), room)
    return Content.assemble((text.ljust(room), style), " ", (key, Style(bold=not entry.reason, dim=bool(entry.reason))))
