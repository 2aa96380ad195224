"""A question that is asked anew while a person types: after a pause, one at a time, and stale answers are dropped.

Plain asyncio: no Textual, so that it can be tested without a screen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sessions.errors import IwbError

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact

PAUSE_S = 0.15  # a person who types pauses longer than this between words, not between letters

Values = dict[str, Any]
Ask = Callable[[Values], Awaitable["tuple[AnyArtifact, ...]"]]


class LiveQuestion:
    """Asks `ask(values)` when `put` has not been called for a pause; the newest values win.

    `answered(values, artifacts)` and `refused(values, error)` hear of the newest values only: an answer that comes
    after other values were put is dropped. At most one question is under way, so that a slow one never piles others up.
    """

    def __init__(
        self,
        ask: Ask,
        answered: Callable[[Values, tuple[AnyArtifact, ...]], None],
        refused: Callable[[Values, IwbError], None],
        *,
        pause: float = PAUSE_S,
    ) -> None:
        self._ask, self._answered, self._refused, self._pause = ask, answered, refused, pause
        self._wanted: Values | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether the newest values are still without an answer."""
        return self._wanted is not None

    def put(self, values: Values, *, at_once: bool = False) -> None:
        """These are the values now."""
        self._wanted = values
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(0 if at_once else self._pause, self._due)

    def drop(self) -> None:
        """Nothing is to be asked any more; an answer under way is dropped."""
        self._wanted = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._task is None and self._wanted is not None:
            self._task = asyncio.ensure_future(self._go(self._wanted))

    async def _go(self, values: Values) -> None:
        answer: tuple[AnyArtifact, ...] = ()
        trouble: IwbError | None = None
        try:
            answer = await self._ask(values)
        except IwbError as error:
            trouble = error
        finally:
            self._task = None
        if values is not self._wanted:  # typed on meanwhile
            if self._timer is None:
                self._due()
            return
        self._wanted = None
        if trouble is not None:
            self._refused(values, trouble)
        else:
            self._answered(values, answer)
