"""The app: paints at once, opens the session and starts the engine beside that, and sends every key down one table.

What the views, screens and lines do is in their own modules; what an action does to the app is in `doings.py`.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_log_path
from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea

from engine.server.protocol import StepChanged
from sessions.errors import IwbError
from sessions.steps import Step, Stored
from themes.colour import depth_of
from themes.screen import NAMES, OURS
from tui.actions import BY_ID, Action, Scope
from tui.actions.action import HEAD_VIEWS, VIEW_SCOPES
from tui.ascii import AsciiOnly
from tui.chrome import Banner, Header, Hints, Line, Notice, StatusLine, TabStrip
from tui.doings import Doings
from tui.investigation import Investigation
from tui.keymap import Config, Keymap, read_config
from tui.link import Connect, Reader, connect_engine
from tui.selection import Selection, restored, saved
from tui.sides import ContextPane, Inspector
from tui.status import span
from tui.store import Changes
from tui.views import VIEW_OF, VIEWS, View

if TYPE_CHECKING:
    from tui.panes.base import Pane
    from tui.replay import Replay

LEAST_WIDTH, LEAST_HEIGHT = 60, 16
REPLAY_TICK_S = 0.25
SAVE_SELECTION_S = 1.0  # at most one save of the selection a second, while a cursor walks


class IwbApp(Doings, inherit_bindings=False):
    """The workbench on one session file. `connect` and `reader` are the real ones unless a test scripts them."""

    CSS_PATH = "app.tcss"
    TITLE = "iwb"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-narrow"), (80, "-normal"), (120, "-wide"), (150, "-broad"), (180, "-huge"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"), (24, "-low"), (36, "-tall"), (50, "-towering"),
    ]  # fmt: skip

    def __init__(
        self,
        path: Path,
        *,
        connect: Connect = connect_engine,
        reader: Reader | None = None,
        config: Config | None = None,
    ) -> None:
        prepare_environment()
        super().__init__()
        if slow_line():
            self.animation_level = "none"
        self.config = config if config is not None else read_config()
        self.keymap = Keymap(self.config.keys)
        self.actions: dict[str, Action] = BY_ID
        self.investigation = Investigation(path, connect=connect, reader=reader)
        self.investigation.on_finished = self._step_finished
        self.colour_depth = "ascii" if self.config.ascii else os.environ.get("IWB_COLOUR", "")
        self.view_id = "model"
        self.panes: dict[str, Pane] = {}
        self.replay: Replay | None = None
        self.message = ""
        self.mistakes: list[Exception] = []  # of the program's own, met while doing an action
        self.models_known: dict[str, Any] = {}
        self._ascii_only = AsciiOnly()
        self._lines: dict[str, Line] = {}
        self._save_waits = False
        self._restored = False

    # ---- painting

    def compose(self) -> ComposeResult:
        self._lines = {
            "header": Header(),
            "tabs": TabStrip(),
            "banner": Banner(),
            "status": StatusLine(),
            "hints": Hints(),
        }
        self.main = Container(id="main")
        self.notice = Notice()
        self.context, self.inspector = ContextPane(), Inspector()
        yield self._lines["header"]
        yield self._lines["tabs"]
        yield self._lines["banner"]
        with Horizontal(id="desk"):
            yield self.context
            yield self.main
            yield self.inspector
        yield self.notice
        yield self._lines["status"]
        yield self._lines["hints"]

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, and ours where only ASCII can be shown."""
        found = super().get_line_filters()
        return [*found, self._ascii_only] if depth_of(self) == "ascii" else found

    @property
    def main_screen(self) -> Screen[Any]:
        """The screen with the views, whatever lies over it."""
        return self.screen_stack[0]

    @property
    def target(self) -> Widget | None:
        """The focused widget of the views, also while something lies over them."""
        return self.main_screen.focused

    @property
    def view(self) -> View:
        return VIEW_OF[self.view_id]

    @property
    def pane(self) -> Pane | None:
        """The view shown; None until it has been made."""
        return self.panes.get(self.view_id)

    def on_mount(self) -> None:
        for theme in OURS:
            self.register_theme(theme)
        self.use_theme(self.config.theme or NAMES[0])
        self.investigation.store.listen(self._store_told)
        self.investigation.selection.listen(self._selection_told)
        for problem in (*self.config.problems, *self.keymap.warnings):
            self.investigation.store.note_log(problem, "warning")
        warnings = [*self.config.problems, *self.keymap.warnings]
        if warnings:
            self.say(warnings[0] + (f" (and {len(warnings) - 1} more: D)" if len(warnings) > 1 else ""))
        self.call_after_refresh(self._begin)  # nothing below happens before the first paint
        self.set_interval(REPLAY_TICK_S, self._tick)

    async def _begin(self) -> None:
        self.behind(self._start_engine, group="engine")
        try:
            await self.investigation.read()
        except IwbError as error:
            self.trouble(str(error))
        self._restore()
        await self.show_view(self.view_id)

    async def _start_engine(self) -> None:
        try:
            await self.investigation.start_engine()
        except IwbError as error:
            self.trouble(str(error))
            return
        self._restore()
        self._want_chosen()
        try:
            self.models_known = await self.investigation.engine.ask("models")
        except IwbError as error:
            self.trouble(str(error))
            return
        if self.pane is not None:
            self.pane.store_changed(frozenset({"catalogue"}))

    def _restore(self) -> None:
        """Take up the view and selection the file was left with, once, as soon as they are known."""
        state = self.investigation.view_state
        if self._restored or not state:
            return
        self._restored = True
        if "selection" in state:
            self.investigation.selection.restore(restored(state["selection"]))
        self.investigation.follow_newest()
        if isinstance(state.get("theme"), str) and not self.config.theme:
            self.use_theme(state["theme"])
        if state.get("view") in VIEW_OF:
            if self.pane is None:
                self.view_id = state["view"]  # the first view is still to be made
            else:
                self.call_later(self.show_view, state["view"])

    async def show_view(self, view_id: str) -> None:
        """Bring a view to the front, making it when it is first shown."""
        previous = self.pane
        self.view_id = view_id
        pane = self.panes.get(view_id)
        fresh = pane is None
        if pane is None:
            pane = self.panes[view_id] = VIEW_OF[view_id].make()
            await self.main.mount(pane)
            if self.view_id != view_id:  # the person went on while this view was being made
                pane.display = False
                return
        for other in self.panes.values():
            other.display = other is pane
        if not fresh:
            pane.revealed()
        if self.screen is self.main_screen and (previous is not pane or self.focused is None):
            pane.focus_first()
        self.refresh_lines()
        self.inspector.follow(pane)
        self.context.rebuild()
        if not fresh or previous is not None:
            self.remember("view", view_id)

    @property
    def writing(self) -> bool:
        """Whether letters go into a text, and are no keys."""
        return isinstance(self.focused, TextArea)

    def refresh_lines(self, *names: str) -> None:
        for name in names or tuple(self._lines):
            self._lines[name].refresh()

    def say(self, text: str) -> None:
        """A message in the last line, until the next key. It also lands in the log."""
        self.investigation.store.note_log(text)
        self.show_message(text)

    def trouble(self, text: str) -> None:
        """A mistake or refusal: said in place and kept in the log."""
        self.investigation.store.note_log(text, "error")
        self.show_message(text)

    def show_message(self, text: str) -> None:
        """Put a message into the last line, or above it if it is longer; an empty one takes it away."""
        self.message = text
        if self._lines:
            long = cell_len(text) >= self.size.width
            self.notice.text = text if long else ""
            self.notice.set_class(long, "-shown")
            self.refresh_lines("hints")

    # ---- following store and selection

    def tells_anew(self, pane: Pane) -> None:
        """A view drew something else than before: what stands beside it follows."""
        if self._lines and pane is self.pane:
            self.inspector.follow_soon(pane)

    def _store_told(self, changes: Changes) -> None:
        if not self._lines:
            return
        if changes & {"engine"}:
            lost = self.investigation.store.engine.state == "lost"
            self._lines["banner"].set_class(lost, "-shown")
            self.refresh_lines()
        elif changes - {"log"}:
            self.refresh_lines("header", "status", "hints")
        if changes & {"artifacts", "steps", "notes", "horizon"}:
            self.context.rebuild_soon()
            self._want_chosen()
        if changes - {"log"}:
            self.inspector.follow_soon(self.pane)

    def _selection_told(self, before: Selection, after: Selection) -> None:
        if not self._lines:
            return
        self.refresh_lines("status")
        self.inspector.follow_soon(self.pane)
        if (before.model, before.prompts) != (after.model, after.prompts):
            self._want_chosen()
        if (before.model, before.prompts, before.shown) != (after.model, after.prompts, after.shown):
            self.context.rebuild_soon()
        if not self._save_waits and self.replay is None:
            self._save_waits = True
            self.set_timer(SAVE_SELECTION_S, self._save_selection)

    def _save_selection(self) -> None:
        self._save_waits = False
        if self.replay is None:
            self.remember("selection", saved(self.investigation.selection.now))

    def remember(self, key: str, value: Any) -> None:
        """Keep a piece of the screen's state in the session file."""

        async def save() -> None:
            try:
                await self.investigation.save_view(key, value)
            except IwbError as error:
                self.investigation.store.note_log(str(error), "warning")

        self.behind(save, group="remember")

    def _want_chosen(self) -> None:
        """Have the chosen model's card and prompts in memory: status line and shapes come from them."""
        now = self.investigation.selection.now
        for artifact in (now.model, now.prompts):
            store = self.investigation.store
            if artifact is not None and store.stored(artifact) is not None and store.loaded(artifact) is None:
                self.behind(partial(self._fetch_chosen, artifact), group="chosen")

    async def _fetch_chosen(self, artifact: int) -> None:
        try:
            await self.investigation.fetch(artifact)
        except IwbError as error:
            self.investigation.store.note_log(str(error), "error")

    def _step_finished(self, event: StepChanged) -> None:
        """Toast only what ended off-screen; a failure of the person's own step is said in place."""
        step = event.step
        if step.id not in self.investigation.mine:
            return
        if step.status == "failed":
            self.trouble(f"step {step.id} {step.operation} failed: {_reason(step)}")
            return
        if step.status in ("cancelled", "interrupted"):
            kept = f" at {step.done}/{step.total}" if step.total else ""
            keys = f"{self.keymap.shown('app.jobs')} {self.keymap.shown('jobs.resume')}"
            self.say(
                f"step {step.id} {step.operation} {step.status}{kept}; what it did is kept: {keys} goes on with it"
            )
            return
        if self.message.startswith(f"step {step.id} "):  # it said that the step was under way
            self.show_message(f"step {step.id} {step.operation}: {step.status} after {span(step.seconds)}")
        here = any(self.view.fits(stored, step) for stored in event.artifacts)
        if step.status == "done" and event.artifacts and not here:
            titles = ", ".join(stored.title for stored in event.artifacts)
            where = _where_shown(event.artifacts, step)
            self.notify(f"step {step.id} {step.operation}: {titles}", title=f"Done · {where}", markup=False)
        self.investigation.store.note_log(f"step {step.id} {step.operation} {step.status}", step=step.id)

    def _tick(self) -> None:
        if self.replay is not None:
            self.replay.tick(REPLAY_TICK_S)

    # ---- keys

    def scopes(self) -> tuple[Scope, ...]:
        """The scopes whose keys count now, the nearest first."""
        own: Scope | None = getattr(self.screen, "SCOPE", None)
        if own is not None:
            return (own, "overlay", "moving")
        special: list[Scope] = []
        if self.replay is not None:
            special.append("replay")
        if self.investigation.store.engine.state == "lost":
            special.append("lost")
        inside = self.pane is not None and (self.focused is None or self.pane in self.focused.ancestors_with_self)
        views = [scope for scope in VIEW_SCOPES if scope == self.view_id and inside]
        views += ["head"] if inside and self.view_id in HEAD_VIEWS else []
        return (*special, *views, "everywhere", "moving")

    async def on_key(self, event: events.Key) -> None:
        """A key that no field has swallowed: look it up in the table."""
        field = self.focused if isinstance(self.focused, Input | TextArea) else None
        if field is not None and _field_wants(field, event.key):
            return
        action = self.keymap.lookup(event.key, self.scopes())
        if action is None:
            return
        event.stop()
        event.prevent_default()
        await self.do(action)

    async def do(self, action: Action) -> None:
        """Do an action, or say why it cannot be done now."""
        if self.message:
            self.show_message("")
        reason = action.enabled(self)
        if reason is not None:
            self.say(f"{action.title}: {reason}")
            return
        try:
            result = action.handler(self)
            if result is not None and hasattr(result, "__await__"):
                await result
        except IwbError as error:
            self.trouble(str(error))
        except Exception as error:  # a mistake of ours must not take the work away from under the person
            self.own_mistake(error, f"{action.title}: ")

    def own_mistake(self, error: Exception, doing: str = "") -> None:
        """Say a mistake of the program's own in one sentence; the whole of it lies in a file."""
        self.mistakes.append(error)
        self.trouble(f"{doing}iwb made a mistake ({type(error).__name__}: {error}); the details are in {kept(error)}")

    def _fatal_error(self) -> None:
        """A mistake outside any action ends the program, with one sentence instead of Textual's page-long one."""
        if self._exception is not None:
            self._exit_renderables.append(
                f"iwb ended by a mistake of its own ({type(self._exception).__name__}: {self._exception}). The session "
                f"file and its engine are unharmed: open it again. The details are in {kept(self._exception)}"
            )
        self._close_messages_no_wait()

    def on_resize(self, event: events.Resize) -> None:
        self.check_size(event.size.width < LEAST_WIDTH or event.size.height < LEAST_HEIGHT)

    def on_descendant_focus(self) -> None:
        self.refresh_lines("hints")


def _where_shown(artifacts: Sequence[Stored], step: Step) -> str:
    """The key and view where a step's first result is drawn; one that no view draws opens from the context pane."""
    drawn = next((view for stored in artifacts for view in VIEWS if view.fits(stored, step)), None)
    return f"{drawn.key} {drawn.title} shows it" if drawn is not None else "in the context pane, enter shows it"


def _reason(step: Step) -> str:
    """Why a step failed, without naming its operation a second time."""
    if step.error is None:
        return "no reason was given"
    return str(step.error).removeprefix(f"{step.operation}: ")


def _field_wants(field: Widget, key: str) -> bool:
    """Whether a text field's own editing keys include this one."""
    if key in ("escape", "tab", "shift+tab"):
        return False
    return key == "enter" or key in field._bindings.key_to_bindings


def kept(error: Exception) -> Path:
    """The file that the whole of an error was added to."""
    place = user_log_path("iwb", ensure_exists=True) / "mistakes.log"
    with place.open("a", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)) + "\n")
    return place


def slow_line() -> bool:
    """Whether we are drawn over SSH."""
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))


def prepare_environment() -> None:
    """Before the app is made: an empty NO_COLOR means nothing by its convention, but Textual would heed it."""
    if os.environ.get("NO_COLOR") == "":
        del os.environ["NO_COLOR"]


def run_app(path: Path) -> int:
    """Open the workbench on a session file, and come back when the person leaves. The exit status."""
    app = IwbApp(path)
    app.run(mouse=not os.environ.get("IWB_NO_MOUSE"))
    return app.return_code or 0
