"""What can be done in every view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.actions.action import Action, Enabled, Handler, on_pane
from tui.views import VIEWS, View

if TYPE_CHECKING:
    from tui.app import IwbApp


def _switch(view: View) -> Action:
    return Action(
        id=f"view.{view.id}",
        title=f"Show {view.title}",
        help=view.purpose,
        scope="everywhere",
        keys=(view.key,),
        handler=lambda app: app.show_view(view.id),
    )


def _move(way: str, title: str, keys: str) -> Action:
    return Action(
        id=f"move.{way}",
        title=title,
        help=f"{title} in whatever has the focus.",
        scope="moving",
        keys=tuple(keys.split()),
        handler=lambda app: app.move(way),
    )


def _table(id: str, title: str, help: str, key: str, method: str) -> Action:
    def enabled(app: IwbApp) -> str | None:
        return None if hasattr(app.target, method) else "the focus is not on a table"

    return Action(
        id=id,
        title=title,
        help=help,
        scope="moving",
        keys=(key,),
        handler=lambda app: getattr(app.target, method)(),
        enabled=enabled,
    )


def _app(method: str) -> Handler:
    return lambda app: getattr(app, method)()


def _when(method: str) -> Enabled:
    return lambda app: getattr(app, method)()


def _can_cancel(app: IwbApp) -> str | None:
    if app.investigation.client is None:
        return "the engine is not there"
    return None if app.investigation.store.front_job() else "nothing is running"


def _can_go_back(app: IwbApp) -> str | None:
    return None if app.investigation.selection.can_go_back else "the trail begins here"


def _can_ask_engine(app: IwbApp) -> str | None:
    return None if app.investigation.client is not None else "the engine is not there yet"


def _run_view(app: IwbApp) -> None:
    if app.pane is not None:
        app.pane.do_run()


def _can_run(app: IwbApp) -> str | None:
    if app.pane is None:
        return "the view is still opening"
    if not app.pane.view.operation:
        return "this view has no operation of its own"
    if app.pane.view.operation not in app.investigation.store.catalogue:
        return "the engine is still starting" if app.investigation.client is None else "this engine lacks its operation"
    return None


MOVING: tuple[Action, ...] = (
    _move("left", "Left", "h left"),
    _move("down", "Down", "j down"),
    _move("up", "Up", "k up"),
    _move("right", "Right", "l right"),
    _move("first", "First", "g home"),
    _move("last", "Last", "G end"),
    _move("half_down", "Half a page down", "ctrl+d"),
    _move("half_up", "Half a page up", "ctrl+u"),
    _move("page_down", "A page down", "pagedown"),
    _move("page_up", "A page up", "pageup"),
    _table(
        "table.sort", "Sort by the next column", "Order the focused table by its next column.", "s", "action_sort_next"
    ),
    _table("table.reverse", "Turn the order round", "Reverse the focused table's order.", "S", "action_sort_reverse"),
)

EVERYWHERE: tuple[Action, ...] = (
    *(_switch(view) for view in VIEWS),
    Action(
        id="app.palette",
        title="Commands",
        scope="everywhere",
        keys=(":", "ctrl+p"),
        handler=_app("open_palette"),
        hint=90,
        help="Find any action or operation by a few letters, or type a whole command line.",
    ),
    Action(
        id="app.help",
        title="Help",
        scope="everywhere",
        keys=("?", "f1"),
        handler=_app("open_help"),
        hint=91,
        help="What this view is for and every key that works in it; / searches, enter runs.",
    ),
    Action(
        id="view.run",
        title="Run…",
        scope="everywhere",
        keys=("r",),
        handler=_run_view,
        enabled=_can_run,
        hint=10,
        help="Open the form of this view's operation, filled with what is selected.",
    ),
    Action(
        id="job.cancel",
        title="Stop the running step",
        scope="everywhere",
        keys=("x", "ctrl+c"),
        handler=_app("cancel_front"),
        enabled=_can_cancel,
        hint=5,
        help="Ask the running step to stop after its batch; what it finished is kept and can be resumed.",
    ),
    Action(
        id="job.curves",
        title="Live curves",
        scope="everywhere",
        keys=("U",),
        handler=_app("open_front_curves"),
        enabled=_when("no_front_curves"),
        hint=6,
        help="Draw the losses of a model while it is trained, or whatever curves the running step has so far.",
    ),
    Action(
        id="app.jobs",
        title="Jobs",
        scope="everywhere",
        keys=("J",),
        handler=_app("open_jobs"),
        help="Running, queued and interrupted steps with their progress; stop or resume them.",
    ),
    Action(
        id="app.log",
        title="Log",
        scope="everywhere",
        keys=("D",),
        handler=_app("open_log"),
        help="Everything the engine said, and every message that was shown.",
    ),
    Action(
        id="focus.next",
        title="Next pane",
        scope="everywhere",
        keys=("tab",),
        handler=_app("focus_next_pane"),
        help="Move the focus to the next pane, in reading order.",
    ),
    Action(
        id="focus.previous",
        title="Previous pane",
        scope="everywhere",
        keys=("shift+tab",),
        handler=_app("focus_previous_pane"),
        help="Move the focus to the previous pane.",
    ),
    Action(
        id="focus.jump",
        title="Jump to a pane",
        scope="everywhere",
        keys=("f",),
        handler=_app("open_jump"),
        help="Put a letter on everything that can have the focus; type one to go there.",
    ),
    Action(
        id="select.back",
        title="Back along the selection",
        scope="everywhere",
        keys=("backspace",),
        handler=_app("go_back"),
        enabled=_can_go_back,
        help="Return to what was selected before, in every view.",
    ),
    on_pane(
        "select.coarse_back",
        "Layer before",
        "One layer (or section) back, in every view.",
        "[",
        verb="coarse",
        arg=-1,
        scope="everywhere",
    ),
    on_pane(
        "select.coarse_on",
        "Layer after",
        "One layer (or section) on, in every view.",
        "]",
        verb="coarse",
        arg=1,
        scope="everywhere",
    ),
    on_pane(
        "select.fine_back", "Head before", "One head back, in every view.", "{", verb="fine", arg=-1, scope="everywhere"
    ),
    on_pane("select.fine_on", "Head after", "One head on, in every view.", "}", verb="fine", arg=1, scope="everywhere"),
    on_pane(
        "select.prompt_back",
        "Prompt before",
        "The previous prompt, in every view.",
        "<",
        verb="prompt",
        arg=-1,
        scope="everywhere",
    ),
    on_pane(
        "select.prompt_on",
        "Prompt after",
        "The next prompt, in every view.",
        ">",
        verb="prompt",
        arg=1,
        scope="everywhere",
    ),
    Action(
        id="pane.context",
        title="Context pane",
        scope="everywhere",
        keys=("b",),
        handler=_app("toggle_context"),
        help="Show or hide what the investigation stands on: model, prompts, results, notes.",
    ),
    Action(
        id="pane.inspector",
        title="Inspector",
        scope="everywhere",
        keys=("i",),
        handler=_app("toggle_inspector"),
        help="Show or hide the exact numbers of the selected thing.",
    ),
    Action(
        id="pane.maximise",
        title="Maximise the view",
        scope="everywhere",
        keys=("z",),
        handler=_app("toggle_maximised"),
        help="Give the whole screen to the view; once more or esc gives it back.",
    ),
    Action(
        id="pane.open",
        title="Open",
        scope="everywhere",
        keys=("enter",),
        handler=_app("open_focused"),
        help="Open or drill into the thing under the cursor.",
    ),
    Action(
        id="pane.out",
        title="One level out",
        scope="everywhere",
        keys=("escape",),
        handler=_app("level_out"),
        help="Leave the field, close what lies over the view, end maximising or replay: one level out.",
    ),
    Action(
        id="find.start",
        title="Find",
        scope="everywhere",
        keys=("/",),
        handler=_app("open_find"),
        enabled=_when("cannot_find"),
        help="Filter the focused table by a few letters; an empty text shows everything again.",
    ),
    Action(
        id="copy.value",
        title="Copy the value",
        scope="everywhere",
        keys=("y",),
        handler=_app("copy_value"),
        help="Copy what the view shows under the cursor to the clipboard, and to a file whose path is said.",
    ),
    Action(
        id="copy.command",
        title="Copy the command line",
        scope="everywhere",
        keys=("Y",),
        handler=_app("copy_command"),
        enabled=_when("no_command"),
        help="Copy the command line that makes what the view shows.",
    ),
    Action(
        id="note.add",
        title="Note",
        scope="everywhere",
        keys=("m",),
        handler=_app("open_note"),
        enabled=_can_ask_engine,
        help="Write a note on the result the view shows (in History: on the chosen step).",
    ),
    Action(
        id="app.export",
        title="Export…",
        scope="everywhere",
        keys=("E",),
        handler=_app("open_export"),
        enabled=lambda app: None if app.investigation.store.all_steps else "there are no steps yet",
        help="Write the whole investigation as Markdown, HTML, a notebook, a recipe or JSON beside the session file.",
    ),
    Action(
        id="replay.start",
        title="Replay the investigation",
        scope="everywhere",
        keys=("R",),
        handler=_app("start_replay"),
        enabled=lambda app: None if app.investigation.store.all_steps else "there are no steps yet",
        help="Play the recorded steps at reading speed; every view shows the investigation as it was.",
    ),
    Action(
        id="app.redraw",
        title="Redraw",
        scope="everywhere",
        keys=("ctrl+l",),
        handler=_app("redraw"),
        help="Paint the whole screen again.",
    ),
    Action(
        id="app.theme",
        title="Next theme",
        scope="everywhere",
        keys=("T",),
        handler=_app("next_theme"),
        help="Change the colour theme; the choice is kept in the session file.",
    ),
    Action(
        id="engine.stop",
        title="Stop the engine",
        scope="everywhere",
        keys=(),
        handler=_app("stop_engine"),
        enabled=_can_ask_engine,
        help="End the engine's process; a running step is interrupted and can be resumed.",
    ),
    Action(
        id="app.quit",
        title="Quit",
        scope="everywhere",
        keys=("q",),
        handler=_app("ask_to_quit"),
        hint=99,
        help="Leave; the engine goes on with a running step, and the investigation opens where it was.",
    ),
    Action(
        id="app.leave",
        title="Quit at once",
        scope="everywhere",
        keys=("ctrl+q",),
        handler=_app("ask_to_quit"),
        help="As q, from anywhere; asks only when a step is running.",
    ),
)

LOST: tuple[Action, ...] = (
    Action(
        id="engine.restart",
        title="Start the engine again",
        scope="lost",
        keys=("r",),
        handler=_app("restart_engine"),
        hint=1,
        enabled=lambda app: None if app.investigation.store.engine.state == "lost" else "the engine is there",
        help="Start a new engine; models are loaded again when they are needed, interrupted steps can be resumed.",
    ),
)


def _replaying(app: IwbApp) -> str | None:
    return None if app.replay is not None else "not replaying: R starts it"


def _replay(id: str, title: str, help: str, keys: str, method: str, hint: int) -> Action:
    def handler(app: IwbApp) -> None:
        if app.replay is not None:
            getattr(app.replay, method)()

    return Action(
        id=f"replay.{id}",
        title=title,
        help=help,
        scope="replay",
        keys=tuple(keys.split()),
        handler=handler,
        enabled=_replaying,
        hint=hint,
    )


REPLAY: tuple[Action, ...] = (
    _replay("end", "End replay", "Back to the live investigation.", "escape q", "end", 1),
    _replay("pause", "Pause or play", "Stop at this step, or go on playing.", "space", "toggle", 2),
    _replay("next", "Next step", "Show the investigation one step later.", ". n", "forward", 3),
    _replay("previous", "Step before", "Show the investigation one step earlier.", ", p", "backward", 4),
    _replay("first", "First step", "Jump to the first step.", "0", "to_first", 0),
    _replay("last", "Last step", "Jump to the last step.", "$", "to_last", 0),
    _replay("faster", "Faster", "Spend less time on each step.", "+", "faster", 5),
    _replay("slower", "Slower", "Spend more time on each step.", "-", "slower", 6),
)
