"""The jobs drawer: what runs, waits or was interrupted, with progress; stop, resume or show."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sessions.errors import IwbError
from sessions.steps import Step
from tui.actions import Scope
from tui.screens.overlay import Overlay
from tui.status import STATUS_GLYPHS, bar, progress_text
from tui.store import Changes


class JobsScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "jobs"
    HEADING = "Jobs"
    DEFAULT_CSS = "JobsScreen OptionList { height: auto; max-height: 20; background: $panel; }"

    def compose_box(self) -> ComposeResult:
        yield OptionList(markup=False, compact=True)

    def on_mount(self) -> None:
        self._listed: tuple[int, ...] = ()
        self._stop = self.bench.investigation.store.listen(self._told)
        self._write()
        self.query_one(OptionList).focus()

    def on_unmount(self) -> None:
        self._stop()

    def _told(self, changes: Changes) -> None:
        if changes & {"steps", "progress", "engine"}:
            self.call_later(self._write)

    def _jobs(self) -> list[Step]:
        steps = self.bench.investigation.store.all_steps
        active = [s for s in steps if s.status in ("running", "cancelling", "queued")]
        return active + [s for s in reversed(steps) if s.resumable][:20]

    def _write(self) -> None:
        options = self.query_one(OptionList)
        jobs = self._jobs()
        ids = tuple(step.id for step in jobs)
        if ids == self._listed and ids:
            for step in jobs:
                options.replace_option_prompt(str(step.id), self._line(step))
            return
        self._listed = ids
        options.clear_options()
        options.add_options([Option(self._line(step), id=str(step.id)) for step in jobs])
        if not jobs:
            options.add_option(Option("Nothing runs and nothing was interrupted.", disabled=True))
        else:
            options.highlighted = 0
        self.refresh_hints()

    def _line(self, step: Step) -> Content:
        progress = self.bench.investigation.store.progress.get(step.id)
        done, total = (progress.done, progress.total) if progress else (step.done, step.total)
        count = progress_text(progress) if progress else (f"{done}/{total}" if total else "")
        return Content(f"{step.id:>4} {STATUS_GLYPHS[step.status]:<13} {step.operation} {bar(done, total, 12)} {count}")

    def _under_cursor(self) -> int | None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return None
        option = options.get_option_at_index(options.highlighted)
        return int(option.id) if option.id else None

    async def do_stop(self) -> None:
        if (step := self._under_cursor()) is not None:
            await self._try(self.bench.investigation.cancel(step))

    async def do_resume(self) -> None:
        if (step := self._under_cursor()) is not None:
            await self._try(self.bench.investigation.resume(step))

    async def do_open(self) -> None:
        if (step := self._under_cursor()) is not None:
            self.bench.investigation.show_step(step)
            self.dismiss(None)
            if self.bench.has_live_curves(step):
                self.bench.call_later(self.bench.open_live, step)
                return
            await self.bench.show_view("history")

    async def _try(self, doing: object) -> None:
        try:
            await doing  # type: ignore[misc]
        except IwbError as error:
            self.bench.trouble(str(error))
            self.refresh_hints()
