"""The one table of actions, and its rendering as documentation."""

from __future__ import annotations

from tui.actions.action import SCOPE_TITLES, Action
from tui.actions.analysis import ATTENTION, CIRCUIT, PROGRAM, SWEEP
from tui.actions.everywhere import EVERYWHERE, LOST, MOVING, REPLAY
from tui.actions.head import HEAD
from tui.actions.overlays import OVERLAYS
from tui.actions.rasp import RASP
from tui.actions.views import DATA, HISTORY, MODEL

ACTIONS: tuple[Action, ...] = (
    *EVERYWHERE,
    *MOVING,
    *LOST,
    *REPLAY,
    *MODEL,
    *DATA,
    *SWEEP,
    *ATTENTION,
    *CIRCUIT,
    *HEAD,
    *PROGRAM,
    *HISTORY,
    *RASP,
    *OVERLAYS,
)

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}


def keys_as_markdown() -> str:
    """The whole table as Markdown: what `docs/keys.md` holds."""
    lines = [
        "# Keys",
        "",
        "Made from the table of actions in `tui/actions/`. Every action is in the palette (`:`) too. Change or remove",
        "keys in `config.toml` in iwb's configuration folder: section `[keys]`, the action's id on the left.",
        "",
        "```toml",
        "[keys]",
        '"view.run" = ["r", "f5"]',
        '"app.theme" = []            # no key; still in the palette',
        "```",
    ]
    for scope, title in SCOPE_TITLES.items():
        rows = [a for a in ACTIONS if a.scope == scope]
        if rows:
            lines += ["", f"## {title}", "", "| keys | action | what it does | id |", "|---|---|---|---|"]
            lines += [f"| {_keys(a)} | {a.title} | {a.help} | `{a.id}` |" for a in rows]
    return "\n".join(lines) + "\n"


def _keys(action: Action) -> str:
    return " ".join(f"`{key}`" for key in action.keys) or "(palette)"
