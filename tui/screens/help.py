"""Help, made from the table of actions: what the view is for and every key; searchable, and enter runs an entry."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.style import Style
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.actions import Action, Scope
from tui.actions.action import HEAD_VIEWS, OVERLAY_SCOPES, SCOPE_TITLES
from tui.screens.overlay import Overlay

KEYS = 15  # columns that the keys take
BESIDE = 4 + 2 + KEYS  # frame and padding, scroll bar, keys


class HelpScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "help"
    HEADING = "Help"
    DEFAULT_CSS = """
    HelpScreen > #box { height: 90%; }
    HelpScreen OptionList { height: 1fr; background: $panel; border: none; }
    HelpScreen #purpose { height: auto; margin: 0 0 1 0; }
    HelpScreen Input { display: none; }
    HelpScreen Input.-shown { display: block; }
    """

    def compose_box(self) -> ComposeResult:
        yield Static(self.bench.view.purpose, id="purpose", markup=False)
        yield Input(placeholder="search keys and help")
        yield OptionList(markup=False, compact=True)

    def on_mount(self) -> None:
        self.query_one("#box").border_title = f"Help · {self.bench.view.title}"
        self.query_one(Input).cursor_blink = False
        self._list("")
        self.query_one(OptionList).focus()

    def _rows(self) -> list[tuple[Scope, list[Action]]]:
        """The view's own keys first, then everybody's, then those of other views and overlays."""
        here: Scope = self.bench.view_id  # type: ignore[assignment]
        heads: list[Scope] = ["head"] if here in HEAD_VIEWS else []
        first: list[Scope] = [here, *heads, "everywhere", "moving", "lost", "replay", "overlay"]
        order = first + [scope for scope in SCOPE_TITLES if scope not in first]
        return [(scope, [a for a in self.bench.actions.values() if a.scope == scope]) for scope in order]

    def _list(self, query: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        wanted = query.lower().split()
        for scope, actions in self._rows():
            matching = [a for a in actions if all(w in self._searched(a) for w in wanted)]
            if matching:
                options.add_option(Option(Content.styled(SCOPE_TITLES[scope], Style(bold=True)), disabled=True))
            for action in matching:
                keys = self.bench.keymap.all_shown(action.id) or "(palette)"
                words = self._wrapped(f"{action.title}  ", action.help)
                text = Content.assemble((f"  {keys:<12} ", Style(bold=True)), *words)
                options.add_option(Option(text, id=action.id))
        if not options.option_count:
            options.add_option(Option(f"no key or help mentions '{query}'", disabled=True))
        options.action_first()

    def _wrapped(self, title: str, help: str) -> tuple[Content, ...]:
        """Title and help, going on under their beginning where a line is full: help is never cut."""
        room = min(100, self.app.size.width * 9 // 10) - BESIDE
        text = textwrap.fill(title + help, max(20, room), subsequent_indent=" " * KEYS)
        return Content(text[: len(title)]), Content.styled(text[len(title) :], Style(dim=True))

    def _searched(self, action: Action) -> str:
        return f"{action.title} {action.help} {action.id} {self.bench.keymap.all_shown(action.id)}".lower()

    def do_search(self) -> None:
        field = self.query_one(Input)
        field.add_class("-shown")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._list(event.value)

    def on_input_submitted(self) -> None:
        self.query_one(OptionList).focus()

    def leaves_fields(self) -> bool:
        return True

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._run(event.option.id)

    def do_run(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self._run(options.get_option_at_index(options.highlighted).id)

    def _run(self, action: str | None) -> None:
        if action is None:
            return
        chosen = self.bench.actions[action]
        self.dismiss(None)
        if chosen.scope in OVERLAY_SCOPES or chosen.scope == "overlay":
            self.bench.say(f"{chosen.title}: only {SCOPE_TITLES[chosen.scope].lower()}")
        else:
            self.bench.call_later(self.bench.do, chosen)
