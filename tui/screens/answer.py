"""The answer to a question about one head, or about one cell of a matrix, over the view it was asked from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from sessions.artifacts import AnyArtifact, Table
from sessions.errors import IwbError
from sessions.steps import FINISHED, Step
from tui.actions import Scope
from tui.questions import conditions
from tui.screens.overlay import Overlay
from tui.status import span
from tui.store import Changes
from tui.widgets.data_table import RowTable

MOST_TABLES = 3
FRAME = 5  # lines of a table beside its rows: two of headings, a foot, a line above


class AnswerScreen(Overlay[None]):
    """Shows a step's tables. Without a step it asks the engine first: what the views show stays as it was."""

    SCOPE: ClassVar[Scope] = "head"
    DEFAULT_CSS = """
    AnswerScreen > #box { height: auto; max-height: 90%; max-width: 150; }
    AnswerScreen #conditions { height: auto; color: $text-muted; }
    AnswerScreen #tables { height: auto; }
    AnswerScreen RowTable { height: auto; border-top: solid $foreground 30%; }
    """

    def __init__(
        self,
        heading: str,
        operation: str,
        values: dict[str, Any],
        step: Step | None,
        pick: Callable[[Sequence[AnyArtifact]], tuple[Table, ...]],
    ) -> None:
        super().__init__()
        self._heading, self._operation, self._values = heading, operation, values
        self._step = step.id if step is not None else None
        self._pick = pick
        self._asked_at = time.monotonic()
        self._from_file = step is not None
        self._shown = False

    def compose_box(self) -> ComposeResult:
        yield Static(id="conditions", markup=False)
        yield Vertical(id="tables")

    def on_mount(self) -> None:
        self.query_one("#box").border_title = self._heading
        self._stop = self.bench.investigation.store.listen(self._told)
        if self._step is None:
            self._say(f"{self._operation} is asked…")
            self.bench.behind(self._ask, group="answer", exclusive=True)
        else:
            self._follow()

    def on_unmount(self) -> None:
        self._stop()

    async def _ask(self) -> None:
        try:
            accepted = await self.bench.investigation.engine.run(self._operation, self._values)
        except IwbError as error:
            self._say(str(error))
            return
        self._step, self._from_file = accepted.step, accepted.cached
        self._follow()

    def _told(self, changes: Changes) -> None:
        if changes & {"steps", "artifacts"}:
            self.call_later(self._follow)

    def _follow(self) -> None:
        """Show the step's results once they are there; say how it stands until then."""
        if self._shown or self._step is None or not self.is_attached:
            return
        step = self.bench.investigation.store.step(self._step)
        if step is None:
            return
        if step.status == "done":
            self._shown = True
            self.bench.behind(partial(self._fetch, step), group="answer", exclusive=True)
        elif step.status in FINISHED:
            self._say(f"step {step.id} {step.status}: {step.error}" if step.error else f"step {step.id} {step.status}")
        else:
            self._say(f"step {step.id} {step.operation} is {step.status}…")

    async def _fetch(self, step: Step) -> None:
        investigation = self.bench.investigation
        try:
            found = [await investigation.fetch(stored.id) for stored in investigation.store.of_step(step.id)]
        except IwbError as error:
            self._say(str(error))
            return
        if self.is_attached:
            await self._show(step, self._pick(found))

    async def _show(self, step: Step, tables: tuple[Table, ...]) -> None:
        if not tables:
            self._say(f"step {step.id} says nothing about this")
            return
        since = "from the file" if self._from_file else f"answered in {span(time.monotonic() - self._asked_at)}"
        self._say(f"{conditions(tables)}\nstep {step.id} {step.operation}, {since}")
        place = self.query_one("#tables", Vertical)
        room = max(6, self.size.height * 9 // 10 - 6) // min(len(tables), MOST_TABLES)
        for table in tables[:MOST_TABLES]:
            drawn = RowTable()
            await place.mount(drawn)
            drawn.styles.height = min(len(table.rows) + FRAME, room)
            drawn.show_table(table)
        self.query(RowTable).first().focus()

    def _say(self, text: str) -> None:
        if self.is_attached:
            self.query_one("#conditions", Static).update(text)
