"""What can be done in Sweep, Attention, Circuit or Program only: each row names a `do_...` method of the pane."""

from __future__ import annotations

from tui.actions.action import Action

SWEEP: tuple[Action, ...] = ()

ATTENTION: tuple[Action, ...] = ()

CIRCUIT: tuple[Action, ...] = ()

PROGRAM: tuple[Action, ...] = ()
