"""The log drawer: everything the engine said and every message that was shown."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Log

from tui.actions import Scope
from tui.screens.overlay import Overlay
from tui.store import Changes, LogEntry

MARKS = {"info": " ", "warning": "!", "error": "✗"}


class LogScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "log"
    HEADING = "Log"
    DEFAULT_CSS = "LogScreen Log { height: 1fr; background: $panel; } LogScreen > #box { height: 90%; }"

    def compose_box(self) -> ComposeResult:
        yield Log(highlight=False)

    def on_mount(self) -> None:
        store = self.bench.investigation.store
        self._written = len(store.log)
        lines = [_line(entry) for entry in store.log] or ["Nothing has been said yet."]
        log = self.query_one(Log)
        log.write_lines(lines)
        log.focus()
        self._stop = store.listen(self._told)

    def on_unmount(self) -> None:
        self._stop()

    def _told(self, changes: Changes) -> None:
        if "log" in changes:
            self.query_one(Log).write_line(_line(self.bench.investigation.store.log[-1]))


def _line(entry: LogEntry) -> str:
    step = f"[step {entry.step}] " if entry.step is not None else ""
    return f"{MARKS.get(entry.level, ' ')} {step}{entry.text}"
