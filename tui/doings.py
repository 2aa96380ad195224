"""What the everywhere-actions do: each method here is named by a row of `tui/actions/everywhere.py`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from platformdirs import user_state_path
from textual.actions import SkipAction
from textual.screen import Screen
from textual.widgets import Input, TextArea

from sessions.errors import IwbError
from sessions.steps import Stored
from themes.screen import NAMES
from tui.form import Choice
from tui.in_turn import KeysInTurn
from tui.views import VIEWS, View

if TYPE_CHECKING:
    from textual.widget import Widget

    from tui.actions import Action
    from tui.investigation import Investigation
    from tui.keymap import Keymap
    from tui.panes.base import Pane
    from tui.replay import Replay
    from tui.sides import ContextPane, Inspector

# Names that Textual's own widgets have for our movements, tried in order.
_TEXTUAL_MOVES: dict[str, tuple[str, ...]] = {
    "left": ("cursor_left", "scroll_left"),
    "right": ("cursor_right", "scroll_right"),
    "up": ("cursor_up", "scroll_up"),
    "down": ("cursor_down", "scroll_down"),
    "first": ("first", "scroll_top", "scroll_home"),
    "last": ("last", "scroll_bottom", "scroll_end"),
    "half_up": ("page_up",),
    "half_down": ("page_down",),
    "page_up": ("page_up",),
    "page_down": ("page_down",),
}
CLIPBOARD_WARNING_BYTES = 70_000  # terminals and multiplexers cap what OSC 52 may carry


class Doings(KeysInTurn, inherit_bindings=False):
    """The app's doings. State and painting are in `IwbApp`."""

    investigation: Investigation
    keymap: Keymap
    actions: dict[str, Action]
    view_id: str
    panes: dict[str, Pane]
    replay: Replay | None
    message: str
    models_known: dict[str, Any]
    context: ContextPane
    inspector: Inspector

    if TYPE_CHECKING:

        @property
        def main_screen(self) -> Screen[Any]: ...
        @property
        def target(self) -> Widget | None: ...
        @property
        def view(self) -> View: ...
        @property
        def pane(self) -> Pane | None: ...
        def say(self, text: str) -> None: ...
        def trouble(self, text: str) -> None: ...
        def remember(self, key: str, value: Any) -> None: ...
        def refresh_lines(self, *names: str) -> None: ...
        async def show_view(self, view_id: str) -> None: ...
        async def do(self, action: Action) -> None: ...
        async def _start_engine(self) -> None: ...

    def behind(self, doing: Callable[[], Coroutine[Any, Any, None]], *, group: str, exclusive: bool = False) -> None:
        """Do something beside the painting. `exclusive`: what is still under way in the group is dropped."""
        self.run_worker(doing, group=group, exclusive=exclusive)  # type: ignore[arg-type]  # Coroutine[Any, Any, None]

    # ---- moving and focus

    def move(self, way: str) -> None:
        """Move in whatever has the focus: our drawings know the way's name, Textual's widgets have their own names."""
        widget: Any = self.focused
        while widget is not None and widget is not self.screen:
            if hasattr(widget, "moved"):
                widget.moved(way)
                return
            for name in _TEXTUAL_MOVES[way]:
                method = getattr(widget, f"action_{name}", None)
                if method is None:
                    continue
                try:
                    method()
                except SkipAction:  # nothing to scroll that way: ask what it lies in
                    continue
                return
            widget = widget.parent

    def open_focused(self) -> None:
        """`enter` on the focused widget, else on the view."""
        for name in ("action_choose", "action_select", "action_select_cursor", "action_toggle_button", "action_press"):
            method = getattr(self.focused, name, None)
            if method is not None:
                method()
                return

    def focus_next_pane(self) -> None:
        self.screen.focus_next()

    def focus_previous_pane(self) -> None:
        self.screen.focus_previous()

    def open_jump(self) -> None:
        from tui.screens.jump import JumpScreen

        self.push_screen(JumpScreen([w for w in self.main_screen.focus_chain if w.display]))

    def level_out(self) -> None:
        """Out of a field, out of a side, out of maximising."""
        screen = self.main_screen
        if screen.has_class("-maximised"):
            screen.remove_class("-maximised")
        elif isinstance(self.focused, Input | TextArea) and self.pane is not None:
            self.pane.leave_field()
        elif self.pane is not None and not self.pane.has_focus_within:
            screen.remove_class("-context", "-inspector")
            self.pane.focus_first()
        else:
            screen.remove_class("-context", "-inspector")

    # ---- sides

    def toggle_context(self) -> None:
        self._toggle_side("context")
        self.context.rebuild_soon()

    def toggle_inspector(self) -> None:
        self._toggle_side("inspector")
        self.inspector.follow_soon(self.pane)

    def _toggle_side(self, side: Literal["context", "inspector"]) -> None:
        screen = self.main_screen
        beside = ("-wide", "-broad", "-huge") if side == "inspector" else ("-broad", "-huge")  # as in app.tcss
        wide = any(screen.has_class(size) for size in beside)
        screen.toggle_class(f"-no-{side}" if wide else f"-{side}")
        other = "inspector" if side == "context" else "context"
        if not wide:
            screen.remove_class(f"-{other}")
        if self.pane is not None and self.focused is None:
            self.pane.focus_first()

    def toggle_maximised(self) -> None:
        self.main_screen.toggle_class("-maximised")

    # ---- overlays

    def open_palette(self) -> None:
        from tui.screens.palette import PaletteScreen

        self.push_screen(PaletteScreen())

    def open_help(self) -> None:
        from tui.screens.help import HelpScreen

        self.push_screen(HelpScreen())

    def open_jobs(self) -> None:
        from tui.screens.jobs import JobsScreen

        self.push_screen(JobsScreen())

    def open_log(self) -> None:
        from tui.screens.log import LogScreen

        self.push_screen(LogScreen())

    def open_export(self) -> None:
        from tui.screens.export import ExportScreen

        self.push_screen(ExportScreen())

    def open_note(self) -> None:
        """A note on the shown result; in History on the chosen step."""
        from tui.screens.note import NoteScreen

        on = self.pane.noted() if self.pane is not None else {}
        self.push_screen(NoteScreen(step=on.get("step"), artifact=on.get("artifact")))

    def open_form(self, operation: str, values: dict[str, Any] | None = None, *, seed: int = 0) -> None:
        """The form of an operation, filled with `values` over what is selected over the defaults."""
        from tui.screens.form import FormScreen

        info = self.investigation.store.catalogue.get(operation)
        if info is None:
            if self.investigation.client is None:
                self.trouble(f"{operation}: the engine is not there yet")
            else:
                self.trouble(f"this engine has no operation '{operation}'")
            return
        self.push_screen(FormScreen(info, values or {}, seed))

    def model_sources(self) -> tuple[Choice, ...]:
        """The models this machine can load, for a form's model field."""
        models = self.models_known.get("models", [])
        return tuple(Choice(str(m["source"]), f"{m['source']} (load it first)") for m in models if "source" in m)

    def start(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> None:
        """Have an operation done; a refusal is said in place."""

        async def run() -> None:
            try:
                accepted = await self.investigation.run(operation, values, seed=seed, again=again)
            except IwbError as error:
                self.trouble(str(error))
                return
            if accepted.cached:
                self.say(f"step {accepted.step} has done exactly this before: shown from the file")

        self.behind(run, group="start")

    def check_size(self, too_small: bool) -> None:
        """Put the notice over everything on a terminal that is too small, and take it away again."""
        from tui.screens.size import SizeScreen

        there = isinstance(self.screen, SizeScreen)
        if too_small and not there:
            self.push_screen(SizeScreen())
        elif there and not too_small:
            self.pop_screen()

    # ---- finding and copying

    def cannot_find(self) -> str | None:
        return None if hasattr(self.target, "filter") else "the focus is not on a table"

    def open_find(self) -> None:
        from tui.screens.find import FindScreen

        self.push_screen(FindScreen(self.target))

    def copy_value(self) -> None:
        if self.pane is not None and (text := self.pane.copy_text()):
            self.copy_out(text, "value")
        else:
            self.say("there is nothing to copy here")

    def no_command(self) -> str | None:
        return None if self._command() else "nothing here was made by a step"

    def copy_command(self) -> None:
        self.copy_out(self._command(), "command")

    def _command(self) -> str:
        step = self.pane.made_by() if self.pane is not None else None
        return f"iwb run {self.investigation.path.name} {step.command}" if step is not None else ""

    def copy_out(self, text: str, name: str) -> None:
        """To the clipboard through the terminal, which cannot confirm it, so also to a file whose path is said."""
        self.copy_to_clipboard(text)
        try:
            place = user_state_path("iwb", ensure_exists=True) / f"copied-{name}.txt"
            place.write_text(text, encoding="utf-8")
        except OSError as error:
            self.say(f"copied to the clipboard; its file could not be written ({error.strerror})")
            return
        large = len(text.encode()) > CLIPBOARD_WARNING_BYTES
        warning = ", which may be too much for the clipboard" if large else ""
        self.say(f"copied {len(text):,} characters{warning}; also in {_short(place)}")

    # ---- jobs and the engine

    async def cancel_front(self) -> None:
        front = self.investigation.store.front_job()
        if front is not None:
            await self.investigation.cancel(front.id)

    async def restart_engine(self) -> None:
        self.behind(self._start_engine, group="engine", exclusive=True)

    async def stop_engine(self) -> None:
        await self.investigation.engine.shutdown()
        await self.investigation.ended()

    # ---- selection, replay

    def go_back(self) -> None:
        self.investigation.selection.back()

    async def show_artifact(self, stored: Stored) -> None:
        """Choose an artifact, and go to a view that draws it."""
        self.investigation.show_results((stored,))
        step = self.investigation.store.step(stored.step)
        if step is None or self.view.fits(stored, step):
            return
        fitting = next((view for view in VIEWS if view.fits(stored, step)), None)
        if fitting is not None:
            await self.show_view(fitting.id)
        else:
            from tui.screens.artifact import ArtifactScreen

            self.push_screen(ArtifactScreen(stored))

    def has_live_curves(self, step: int) -> bool:
        """Whether a running step shows curves, which no view draws."""
        return any(part.kind == "series" for part in self.investigation.store.partials_of(step))

    def no_front_curves(self) -> str | None:
        """Why there are no curves of the running step to draw."""
        front = self.investigation.store.front_job()
        if front is None:
            return "nothing is running"
        return None if self.has_live_curves(front.id) else "the running step has no curves yet"

    def open_front_curves(self) -> None:
        front = self.investigation.store.front_job()
        if front is not None:
            self.open_live(front.id)

    def open_live(self, step: int) -> None:
        from tui.screens.live import LiveScreen

        self.push_screen(LiveScreen(step))

    async def open_in_rasp(self, text: str, domain: Mapping[str, Any]) -> None:
        """Put a program into the RASP view's editor, for the inputs that `domain` says, and go there."""
        from tui.panes.rasp import RaspPane
        from tui.panes.rasp_draft import draft_of

        await self.show_view("rasp")
        if isinstance(self.pane, RaspPane):
            self.pane.take_draft(draft_of(text, domain))

    def start_replay(self) -> None:
        from tui.replay import Replay

        if self.replay is None:
            self.replay = Replay(self.investigation, on_step=self._replayed, on_end=self._replay_ended)
            self._replayed(self.replay.step)

    def _replayed(self, step: int) -> None:
        """Go to the view that draws the step's first result."""
        record = self.investigation.store.step(step)
        results = self.investigation.store.of_step(step)
        self.refresh_lines()
        if record is None or self.view_id == "history":
            return
        fitting = next((view for stored in results for view in VIEWS if view.fits(stored, record)), None)
        if fitting is not None and fitting.id != self.view_id:
            self.call_later(self.show_view, fitting.id)

    def _replay_ended(self) -> None:
        self.replay = None
        self.refresh_lines()

    # ---- the app itself

    def redraw(self) -> None:
        self.screen.refresh(layout=True)
        self.refresh_lines()

    def use_theme(self, name: str) -> None:
        """Take a theme by name; an unknown one is said and left."""
        if not name:
            return
        if name in self.available_themes:
            self.theme = name
        else:
            self.trouble(f"there is no theme '{name}'; known: {', '.join(sorted(self.available_themes))}")

    def next_theme(self) -> None:
        name = NAMES[(NAMES.index(self.theme) + 1) % len(NAMES)] if self.theme in NAMES else NAMES[0]
        self.use_theme(name)
        self.remember("theme", name)
        self.say(f"theme {name}")

    def ask_to_quit(self) -> None:
        """Leave at once, unless a step is running: then say what becomes of it."""
        from tui.screens.question import QuestionScreen

        front = self.investigation.store.front_job()
        if front is None or self.investigation.client is None:
            self.call_later(self.leave)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.call_later(self.leave)

        text = (
            f"Step {front.id} ({front.operation}) is still running. It goes on in the engine without this screen, and "
            f"'iwb {Path(self.investigation.path).name}' or 'iwb attach' finds it again.\n\nLeave?"
        )
        self.push_screen(QuestionScreen(text), answered)

    async def leave(self) -> None:
        """Save what is to be saved, leave the engine to its work, and end."""
        for pane in self.panes.values():
            if pane.state():
                self.investigation.view_state[f"view.{pane.VIEW}"] = pane.state()
        try:
            await self.investigation.save_all()
        except IwbError as error:
            self.investigation.store.note_log(str(error), "warning")
        await self.investigation.close()
        self.exit()


def _short(place: Path) -> str:
    """A path as a shell takes it, the home folder as `~`."""
    return f"~/{place.relative_to(Path.home())}" if place.is_relative_to(Path.home()) else str(place)
