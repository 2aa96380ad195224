"""Everything a person can do, as one table: bindings, key hints, help, palette and documentation are made from it."""

from tui.actions.action import Action, Scope
from tui.actions.table import ACTIONS, BY_ID, keys_as_markdown

__all__ = ["ACTIONS", "BY_ID", "Action", "Scope", "keys_as_markdown"]
