"""Which key does what here: the table of actions, as the person's config file changed it.

    [keys]
    "view.run" = ["r", "f5"]    # these keys instead of the built-in ones
    "app.theme" = []            # none

A mistake in that file never keeps iwb from starting: it becomes a warning with the nearest known id.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from platformdirs import user_config_path
from textual.keys import _character_to_key

from sessions.errors import nearest
from tui.actions import ACTIONS, Action, Scope

_TEXTUAL = {"esc": "escape", "return": "enter", "pgup": "pageup", "pgdn": "pagedown"}
_SHOWN = {
    "escape": "esc", "left": "←", "right": "→", "up": "↑", "down": "↓", "pageup": "pgup", "pagedown": "pgdn",
    "backspace": "bksp",
}  # fmt: skip


def textual_key(key: str) -> str:
    """A key as the table writes it (`[`, `ctrl+d`) in Textual's words (`left_square_bracket`, `ctrl+d`)."""
    if len(key) == 1:
        return _character_to_key(key)
    return _TEXTUAL.get(key, key)


class Config(NamedTuple):
    """What the config file says. `problems` are sentences about what could not be understood."""

    keys: dict[str, tuple[str, ...]]
    theme: str = ""
    ascii: bool = False
    problems: tuple[str, ...] = ()


def config_path() -> Path:
    return user_config_path("iwb") / "config.toml"


def read_config(path: Path | None = None) -> Config:
    """The person's config file; a missing one is an empty one."""
    place = path or config_path()
    try:
        document = tomllib.loads(place.read_text())
    except FileNotFoundError:
        return Config({})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Config({}, problems=(f"{place}: cannot be read ({error})",))
    problems: list[str] = []
    known = ("keys", "screen")
    problems += [f"{place}: unknown section [{name}]; {nearest(name, known)}" for name in document if name not in known]
    keys: dict[str, tuple[str, ...]] = {}
    section: Any = document.get("keys", {})
    for name, value in section.items() if isinstance(section, dict) else ():
        written = [value] if isinstance(value, str) else value
        if isinstance(written, list) and all(isinstance(k, str) and k for k in written):
            keys[name] = tuple(written)
        else:
            problems.append(f'{place}: the keys of "{name}" must be text or a list of text, such as ["r", "f5"]')
    screen: Any = document.get("screen", {})
    screen = screen if isinstance(screen, dict) else {}
    for name in screen:
        if name not in ("theme", "ascii"):
            problems.append(f"{place}: unknown setting '{name}' in [screen]; {nearest(name, ('theme', 'ascii'))}")
    return Config(keys, str(screen.get("theme", "")), screen.get("ascii") is True, tuple(problems))


class Keymap:
    """Looks keys up by scope. `warnings` names unknown ids and keys that two actions of one scope claim."""

    def __init__(self, remapped: dict[str, tuple[str, ...]] | None = None, actions: Iterable[Action] = ACTIONS) -> None:
        self._keys: dict[str, tuple[str, ...]] = {}
        self._bound: dict[tuple[Scope, str], Action] = {}
        self.warnings: list[str] = []
        table = tuple(actions)
        ids = [action.id for action in table]
        for name in remapped or {}:
            if name not in ids:
                self.warnings.append(f"config: there is no action '{name}'; {nearest(name, ids)}")
        for action in table:
            keys = (remapped or {}).get(action.id, action.keys)
            self._keys[action.id] = keys
            for key in keys:
                place = (action.scope, textual_key(key))
                if (other := self._bound.get(place)) is not None:
                    self.warnings.append(
                        f"key '{key}' is claimed by '{other.id}' and '{action.id}': '{other.id}' keeps it"
                    )
                else:
                    self._bound[place] = action

    def lookup(self, key: str, scopes: Iterable[Scope]) -> Action | None:
        """The action of a key (in Textual's words) in the first scope that knows it."""
        for scope in scopes:
            if (action := self._bound.get((scope, key))) is not None:
                return action
        return None

    def keys(self, action: str) -> tuple[str, ...]:
        return self._keys.get(action, ())

    def shown(self, action: str) -> str:
        """The first key of an action as a person reads it; `:` and the palette when it has none."""
        keys = self.keys(action)
        return shown_key(keys[0]) if keys else ":"

    def all_shown(self, action: str) -> str:
        return " ".join(shown_key(key) for key in self.keys(action))


def shown_key(key: str) -> str:
    """`ctrl+d` as `^d`, `escape` as `esc`, `left` as an arrow."""
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+")
    return _SHOWN.get(key, key)
