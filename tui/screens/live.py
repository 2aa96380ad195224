"""The curves of a step that is running, over the views: they grow as it trains."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from sessions.artifacts import Series
from sessions.steps import FINISHED
from tui.actions import Scope
from tui.screens.overlay import Overlay
from tui.status import progress_text
from tui.store import Changes
from tui.widgets.plot import SeriesPlot


class LiveScreen(Overlay[None]):
    """Draws a running step's partial series; once the step is done, the curves it left."""

    SCOPE: ClassVar[Scope] = "artifact"
    DEFAULT_CSS = """
    LiveScreen > #box { height: 90%; }
    LiveScreen #progress { height: 1; color: $text-muted; }
    LiveScreen SeriesPlot { height: 1fr; }
    """

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step
        self._drawn: Series | None = None

    def compose_box(self) -> ComposeResult:
        with Vertical():
            yield Static(id="progress", markup=False)
            yield SeriesPlot()

    def on_mount(self) -> None:
        self._stop = self.bench.investigation.store.listen(self._told)
        self.query_one(SeriesPlot).focus()
        self._draw()

    def on_unmount(self) -> None:
        self._stop()

    def _told(self, changes: Changes) -> None:
        if changes & {"partials", "progress", "steps", "loaded"}:
            self.call_later(self._draw)

    def _draw(self) -> None:
        store = self.bench.investigation.store
        step = store.step(self._step)
        if step is None or not self.is_attached:
            return
        progress = store.progress.get(step.id)
        words = progress_text(progress) if progress is not None else step.status
        self.query_one("#progress", Static).update(f"step {step.id} {step.operation}: {words}")
        series = self._series(step.id, done=step.status in FINISHED)
        if series is not None and series is not self._drawn:
            self._drawn = series
            self.query_one("#box").border_title = series.title
            self.query_one(SeriesPlot).show(series)

    def _series(self, step: int, *, done: bool) -> Series | None:
        store = self.bench.investigation.store
        now = next((part for part in store.partials_of(step) if isinstance(part, Series)), None)
        if now is not None:
            return now
        left = next((stored for stored in store.of_step(step) if stored.kind == "series"), None) if done else None
        if left is None:
            return None
        found = store.loaded(left.id)
        if found is None:
            self.bench.behind(partial(self._fetch, left.id), group="fetch.live", exclusive=True)
        return found if isinstance(found, Series) else None

    async def _fetch(self, artifact: int) -> None:
        await self.bench.investigation.fetch(artifact)
