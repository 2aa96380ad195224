"""Beside the view: what the investigation stands on (left), and the exact numbers of what is selected (right)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sessions.steps import Stored

if TYPE_CHECKING:
    from tui.app import IwbApp
    from tui.panes.base import Pane

LONG_LIST = 12  # a longer one is counted: the inspector is for what can be read at a glance
OPENS = ("cell_operation", "cell_parameters")  # facts for enter on an entry; the view says that it opens
GROUPS = (("Models", ("model",)), ("Prompts", ("prompts",)), ("Results", ()))


class ContextPane(Vertical):
    """Models, prompts and results of the investigation; enter chooses one, and every view follows."""

    def __init__(self) -> None:
        super().__init__(id="context")
        self._waits = False
        self._listed: object = None

    @property
    def bench(self) -> IwbApp:
        return cast("IwbApp", self.app)

    def compose(self) -> ComposeResult:
        yield OptionList(markup=False, compact=True)

    def on_mount(self) -> None:
        self.border_title = "Context"

    def rebuild_soon(self) -> None:
        """Rebuild once after everything that happens in this moment."""
        if not self._waits:
            self._waits = True
            self.call_later(self.rebuild)

    def rebuild(self) -> None:
        self._waits = False
        if not self.is_mounted:
            return
        store, now = self.bench.investigation.store, self.bench.investigation.selection.now
        chosen = {now.model, now.prompts, now.shown.get(self.bench.view_id)}
        listed = (store.artifacts, frozenset(chosen), len(store.notes))
        if listed == self._listed:
            return
        self._listed = listed
        options = self.query_one(OptionList)
        place = options.highlighted
        at = options.get_option_at_index(place).id if place is not None and place < options.option_count else None
        options.clear_options()
        for title, kinds in GROUPS:
            found = [a for a in store.artifacts if (a.kind in kinds if kinds else a.kind not in ("model", "prompts"))]
            options.add_option(Option(Content.styled(title, Style(bold=True)), disabled=True))
            for stored in reversed(found):
                options.add_option(Option(self._entry(stored, stored.id in chosen), id=str(stored.id)))
            if not found:
                options.add_option(Option(Content.styled("  none yet", Style(dim=True)), disabled=True))
        ids = [options.get_option_at_index(i).id for i in range(options.option_count)]
        first = next((i for i, id in enumerate(ids) if id is not None), None)
        options.highlighted = ids.index(at) if at is not None and at in ids else first

    def _entry(self, stored: Stored, chosen: bool) -> Content:
        notes = "✎" if self.bench.investigation.store.notes_on(artifact=stored.id) else ""
        return Content(f"{'•' if chosen else ' '} @{stored.id} {stored.title}{notes}")

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        stored = self.bench.investigation.store.stored(int(event.option.id or 0))
        if stored is None:
            return
        if stored.kind in ("model", "prompts"):  # what views stand on: the person stays where they are
            self.bench.investigation.show_results((stored,))
            self.bench.say(f"@{stored.id} {stored.title}: chosen in every view")
        else:
            await self.bench.show_artifact(stored)


class Inspector(VerticalScroll):
    """The exact numbers of the selected thing, as the view tells them, and the notes on it."""

    def __init__(self) -> None:
        super().__init__(id="inspector")
        self._waits = False
        self._pane: Pane | None = None
        self._written = Content()

    @property
    def bench(self) -> IwbApp:
        return cast("IwbApp", self.app)

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def on_mount(self) -> None:
        self.border_title = "Inspector"

    def follow_soon(self, pane: Pane | None) -> None:
        self._pane = pane
        if not self._waits:
            self._waits = True
            self.call_later(self._write)

    def follow(self, pane: Pane | None) -> None:
        self._pane = pane
        self._write()

    def _write(self) -> None:
        self._waits = False
        if not self.is_mounted or self._pane is None or not self._pane.is_mounted or not self.display:
            return
        said = self._pane.inspect()
        parts = [said if isinstance(said, Content) else Content(said)]
        shown = self._pane.shown
        if shown is not None:  # the conditions that the view has not told itself
            told = parts[0].plain
            facts_of = {k: v for k, v in shown.artifact.facts.items() if v not in (None, "", [], (), {})}
            facts = [f"{k}: {_plain(v)}" for k, v in facts_of.items() if k not in OPENS and f"{k}: " not in told]
            parts.append(Content("\n".join(facts)))
        store = self.bench.investigation.store
        if shown is not None and shown.stored is not None:
            parts.append(Content(f"@{shown.stored.id} from step {shown.stored.step}"))
            notes = (*store.notes_on(artifact=shown.stored.id), *store.notes_on(step=shown.stored.step))
            parts += [Content(f"✎ {note.text}") for note in notes]
        content = Content("\n\n").join(p for p in parts if p.plain)
        if content != self._written:  # every update lays the side out anew
            self._written = content
            self.query_one(Static).update(content)


def _plain(value: object) -> str:
    match value:
        case float():
            return f"{value:.6g}"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{k} {_plain(v)}" for k, v in value.items() if v is not False) or "none"
        case list() | tuple() if len(value) > LONG_LIST or any(isinstance(v, list | tuple | dict) for v in value):
            return f"{len(value)} of them"
        case list() | tuple():
            return ", ".join(_plain(v) for v in value)
    return str(value)
