"""Keys in turn: a key waits until the one before it is done and what that one opened has the focus.

Over a slow line several keys arrive at once. Textual sends each to what has the focus when it arrives, so `:` and the
letters behind it would all reach the view below, and act there as its keys.
"""

from __future__ import annotations

import asyncio
from collections import deque

from textual import events
from textual.app import App
from textual.message import Message

PATIENCE_S = 1.5  # then the next key goes on: what was to answer has been closed, or waits for the engine
ROUNDS = 2  # a key's own way up, then that of a message it made (Input.Submitted, OptionSelected)


class KeyHandled(Message):
    """Goes the way of a key, behind it, from the focused widget up to the app."""

    def __init__(self, number: int, round: int) -> None:
        super().__init__()
        self.number, self.round = number, round


class KeysInTurn(App[None], inherit_bindings=False):
    """An app that does keys and pastes one after the other, in the order they came."""

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Key | events.Paste] = deque()
        self._under_way = 0  # the number of the key that is being done; 0: none
        self._numbered = 0
        self._alarm: asyncio.TimerHandle | None = None

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._typed.append(event)
            await self._next_key()
        else:
            await super().on_event(event)

    async def _next_key(self) -> None:
        if self._under_way or not self._typed:
            return
        self._numbered += 1
        number = self._under_way = self._numbered
        self._watch(number)
        await super().on_event(self._typed.popleft())
        self._follow(number, 1)

    def _follow(self, number: int, round: int) -> None:
        target = self.focused or self.screen
        if not target.post_message(KeyHandled(number, round)):
            self.call_later(self._key_done, number)

    def on_key_handled(self, event: KeyHandled) -> None:
        event.stop()
        if event.number != self._under_way:
            return
        if event.round < ROUNDS:
            self._follow(event.number, event.round + 1)
        else:
            self.call_later(self._key_done, event.number)  # behind the focus that the key may have moved

    async def _key_done(self, number: int) -> None:
        if number != self._under_way or not getattr(self.screen, "takes_keys", True):
            return
        await self._go_on(number)

    async def keys_go_on(self) -> None:
        """What was opened has the focus, or what the key was typed in is gone: the next key's turn."""
        if getattr(self.screen, "takes_keys", True):
            await self._go_on(self._under_way)

    async def _go_on(self, number: int) -> None:
        if number != self._under_way:
            return
        self._under_way = 0
        if self._alarm is not None:
            self._alarm.cancel()
        await self._next_key()

    def _watch(self, number: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(PATIENCE_S, lambda: self.call_later(self._go_on, number))
