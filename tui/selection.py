"""The one selection that travels between all views, its listeners, and the trail that backspace walks back along.

Plain Python: no Textual, no engine. Views read `selection.now` and call `selection.change(layer=3, head=1)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sessions.components import Component, Head, Mlp

TRAIL_LENGTH = 200


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the person is looking at. `None` means nothing of that sort is chosen; indices count from 0."""

    model: int | None = None  # artifact id
    prompts: int | None = None  # artifact id
    row: int = 0  # prompt row
    layer: int = 0
    head: int | None = 0  # None: the layer's MLP
    query: int | None = None  # token positions
    key: int | None = None
    node: str | None = None  # of the graph shown
    position: int = 0  # of the input that is stepped through, in Program
    edge: tuple[str, str] | None = None  # source, target
    step: int | None = None  # the step chosen in History
    shown: dict[str, int] = {}  # view id -> the artifact chosen for it; a view without one shows the newest that fits

    @property
    def component(self) -> Component:
        """The selected head or MLP as a typed value."""
        return Mlp(self.layer) if self.head is None else Head(self.layer, self.head)


Listener = Callable[[Selection, Selection], None]


class SelectionTrail:
    """Holds the current selection. Listeners get (before, after) once per change, in the order they joined."""

    def __init__(self, start: Selection | None = None) -> None:
        self.now = start or Selection()
        self._trail: list[Selection] = []
        self._walking: frozenset[str] | None = None  # fields that the last, uninterrupted walk moved
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` on every change. Returns what stops it."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def change(self, *, walk: bool = False, **fields: Any) -> bool:
        """Replace the given fields. Says whether anything changed.

        `walk`: one of many small moves (a cursor key). A run of walks over the same fields leaves a single entry on
        the trail, so backspace returns to where the walk began and not one cell back.
        """
        changed = {name: value for name, value in fields.items() if getattr(self.now, name) != value}
        if not changed:
            return False
        moved = frozenset(fields)
        if not (walk and self._walking == moved):
            self._trail.append(self.now)
            del self._trail[:-TRAIL_LENGTH]
        self._walking = moved if walk else None
        self._move(msgspec.structs.replace(self.now, **changed))
        return True

    def show(self, view: str, artifact: int) -> bool:
        """Choose the artifact that a view shows."""
        return self.change(shown={**self.now.shown, view: artifact})

    def restore(self, selection: Selection) -> None:
        """Put a saved selection in place, without a trail entry."""
        self._walking = None
        if selection != self.now:
            self._move(selection)

    @property
    def can_go_back(self) -> bool:
        return bool(self._trail)

    def back(self) -> bool:
        """One entry back along the trail. False at its beginning."""
        self._walking = None
        if not self._trail:
            return False
        self._move(self._trail.pop())
        return True

    def _move(self, after: Selection) -> None:
        before, self.now = self.now, after
        for listener in tuple(self._listeners):
            listener(before, after)


def saved(selection: Selection) -> dict[str, Any]:
    """The selection as plain values for the session file's view state."""
    result: dict[str, Any] = msgspec.to_builtins(selection)
    return result


def restored(value: Any) -> Selection:
    """The selection that `saved` wrote; an unreadable one (from another version) is the empty selection."""
    try:
        return msgspec.convert(value, Selection)
    except msgspec.ValidationError:
        return Selection()
