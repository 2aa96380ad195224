"""What an action is: a record that points to a plain function of the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tui.app import IwbApp

# Where an action's keys count. Looked up in this order: what lies over the views (its own scope, then "overlay"), a
# special state ("lost", "replay"), the view, "everywhere". "moving" counts in views and overlays alike.
Scope = Literal[
    "everywhere", "moving", "overlay", "lost", "replay",
    "model", "data", "sweep", "attention", "circuit", "program", "history", "rasp",
    "form", "palette", "help", "jobs", "log", "note", "question", "jump", "find", "artifact", "size", "message",
    "export", "library", "head", "choose",
]  # fmt: skip
HEAD_VIEWS = ("sweep", "attention", "circuit")  # where the keys of the scope "head" count
VIEW_SCOPES: tuple[Scope, ...] = ("model", "data", "sweep", "attention", "circuit", "program", "history", "rasp")
OVERLAY_SCOPES: tuple[Scope, ...] = (
    "form",
    "palette",
    "help",
    "jobs",
    "log",
    "note",
    "question",
    "jump",
    "find",
    "artifact",
    "size",
    "message",
    "export",
    "library",
    "choose",
)

SCOPE_TITLES: dict[Scope, str] = {
    "everywhere": "Everywhere",
    "moving": "Moving",
    "overlay": "In anything that lies over a view",
    "lost": "While the engine is lost",
    "replay": "While replaying",
    "model": "Model",
    "data": "Data",
    "sweep": "Sweep",
    "attention": "Attention",
    "circuit": "Circuit",
    "program": "Program",
    "history": "History",
    "rasp": "RASP",
    "head": "Head",
    "form": "In a form",
    "palette": "In the palette",
    "help": "In help",
    "jobs": "In the jobs drawer",
    "log": "In the log drawer",
    "note": "In the note editor",
    "question": "In a question",
    "jump": "While jumping",
    "find": "While filtering a table",
    "artifact": "In a result without a view of its own",
    "message": "In a message",
    "export": "While exporting",
    "library": "While choosing a program",
    "choose": "While choosing a result",
    "size": "On a terminal that is too small",
}

Handler = Callable[["IwbApp"], Awaitable[None] | None]
Enabled = Callable[["IwbApp"], str | None]


def always(app: IwbApp) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row of the table.

    `keys` are written as a person sees them (`j`, `[`, `ctrl+d`, `pagedown`), the plain one first. `enabled` gives None
    or the reason why not. `hint` orders the key hints at the bottom; 0 is not hinted.
    """

    id: str
    title: str
    help: str
    scope: Scope
    keys: tuple[str, ...]
    handler: Handler
    enabled: Enabled = always
    hint: int = 0


def on_pane(
    id: str,
    title: str,
    help: str,
    keys: str,
    *,
    verb: str,
    scope: Scope | None = None,
    hint: int = 0,
    arg: int | None = None,
) -> Action:
    """An action of one view: calls `do_VERB` of its pane, when the pane's `unable(VERB)` gives no reason against it.

    The scope is the id's first word unless given; `keys` are separated by blanks.
    """
    of: Scope = scope or id.split(".")[0]  # type: ignore[assignment]  # checked by a test against the scopes

    def handler(app: IwbApp) -> Awaitable[None] | None:
        method = getattr(app.pane, f"do_{verb}")
        result: Awaitable[None] | None = method() if arg is None else method(arg)
        return result

    def enabled(app: IwbApp) -> str | None:
        if of in VIEW_SCOPES and app.view_id != of:
            return f"only in the {SCOPE_TITLES[of]} view"
        return app.pane.unable(verb) if app.pane is not None else "the view is still opening"

    return Action(
        id=id, title=title, help=help, scope=of, keys=tuple(keys.split()), handler=handler, enabled=enabled, hint=hint
    )


def on_overlay(id: str, title: str, help: str, keys: str, *, verb: str, hint: int = 0) -> Action:
    """An action of what lies over the views: calls `do_VERB` of the screen on top."""
    of: Scope = id.split(".")[0]  # type: ignore[assignment]

    def handler(app: IwbApp) -> Awaitable[None] | None:
        result: Awaitable[None] | None = getattr(app.screen, f"do_{verb}")()
        return result

    def enabled(app: IwbApp) -> str | None:
        if not hasattr(app.screen, f"do_{verb}"):
            return f"only {SCOPE_TITLES[of][0].lower()}{SCOPE_TITLES[of][1:]}"
        reason: str | None = getattr(app.screen, f"cannot_{verb}", lambda: None)()
        return reason

    return Action(
        id=id, title=title, help=help, scope=of, keys=tuple(keys.split()), handler=handler, enabled=enabled, hint=hint
    )
