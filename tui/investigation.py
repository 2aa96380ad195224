"""One open investigation as the screen meets it: the store, the selection, the engine's client and the file's reader.

Plain asyncio, no Textual. What only reads comes from the file, in a thread; what changes anything goes to the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.server.protocol import Accepted, EngineStatus, Event, Goodbye, StepChanged
from sessions.errors import IwbError
from sessions.steps import FINISHED, Note, Step, Stored
from tui.link import Client, Connect, FileReader, Reader, connect_engine
from tui.selection import SelectionTrail, saved
from tui.store import Store
from tui.views import VIEWS

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact


class Investigation:
    """Reads, runs and remembers. Every method that can be refused raises IwbError with the engine's own sentence."""

    def __init__(self, path: Path, *, connect: Connect = connect_engine, reader: Reader | None = None) -> None:
        self.path = path
        self.store: Store = Store()
        self.selection = SelectionTrail()
        self.view_state: dict[str, Any] = {}
        self.client: Client | None = None
        self.mine: set[int] = set()  # steps that this screen started: their results are shown when they come
        self._chosen_then: dict[int, tuple[int | None, int | None]] = {}  # model and prompts chosen when it was started
        self.on_finished: Callable[[StepChanged], None] = lambda _: None
        self._connect, self._reader = connect, reader or FileReader()
        self._fetching: dict[int, asyncio.Task[AnyArtifact]] = {}

    # ---- reading

    async def read(self) -> bool:
        """Read the file into the store. False when there is none yet."""
        self.store.expect_snapshot()
        snapshot = await asyncio.to_thread(self._reader.snapshot, self.path)
        if snapshot is None:
            return False
        self.view_state = {**snapshot.view_state, **self.view_state}
        self.store.take(snapshot)
        self.mine |= {step.id for step in self.store.running()}  # started before the line was lost: shown when it comes
        self.follow_newest()
        return True

    async def fetch(self, artifact: int) -> AnyArtifact:
        """The artifact's payload, from memory or the file. Equal requests in flight are one read."""
        if (held := self.store.loaded(artifact)) is not None:
            return held
        task = self._fetching.get(artifact)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._reader.artifact, self.path, artifact))
            self._fetching[artifact] = task
            task.add_done_callback(lambda _: self._fetching.pop(artifact, None))
        payload = await asyncio.shield(task)
        self.store.keep(artifact, payload)
        return payload

    def follow_newest(self) -> None:
        """Choose the newest model and prompts where none (or one that is gone) is chosen."""
        chosen: dict[str, Any] = {}
        for kind, now in (("model", self.selection.now.model), ("prompts", self.selection.now.prompts)):
            newest = self.store.newest(kind)
            if self.store.stored(now) is None and newest is not None:
                chosen[kind] = newest.id
        if chosen:
            self.selection.change(**chosen)

    # ---- the engine

    async def start_engine(self) -> None:
        """Connect, starting the engine if none runs, then fetch the catalogue and read the file again."""
        self.store.goodbye = ""
        self.store.apply(EngineStatus(state="starting"))
        try:
            self.client = await self._connect(self.path, on_event=self._heard)
            self.store.set_catalogue(await self.client.catalogue())
            await self.read()
        except IwbError as error:
            self.client = None
            self.store.apply(Goodbye(reason=str(error)))
            self.store.apply(EngineStatus(state="lost"))
            raise
        if self.store.engine.state == "starting":
            self.store.apply(EngineStatus(state="ready"))

    @property
    def engine(self) -> Client:
        """The client. IwbError while the engine is not there."""
        if self.client is None:
            if self.store.engine.state == "lost":
                raise IwbError("the engine is not running", remedy="press r to start it again")
            raise IwbError("the engine is still starting", remedy="try again in a moment")
        return self.client

    def _heard(self, event: Event) -> None:
        self.store.apply(event)
        if isinstance(event, EngineStatus) and event.state == "lost":
            self.client = None
        if isinstance(event, StepChanged) and event.step.status in FINISHED:
            if event.step.id in self.mine and event.step.status == "done":
                self._choose_inputs(event.step)
                self.show_results(event.artifacts)
            if event.step.id in self.mine and event.step.status != "done":
                self._show_what_there_is(event.step)
            self.follow_newest()
            self.on_finished(event)

    def _show_what_there_is(self, step: Step) -> None:
        """A step of the person's own stopped early: views go on showing what it had, not what they showed before it."""
        kinds = [partial.kind for partial in self.store.partials_of(step.id)]
        if not kinds:
            return
        probes = [Stored(id=0, step=step.id, kind=kind, title="", summary="", sha256="", bytes=0) for kind in kinds]
        shown = self.selection.now.shown
        drawn = {view.id for view in VIEWS if any(view.fits(probe, step) for probe in probes)}
        self.selection.change(shown={view: artifact for view, artifact in shown.items() if view not in drawn})

    def _choose_inputs(self, step: Step) -> None:
        """Choose what the person's own result is about, unless they have turned to something else meanwhile."""
        now = self.selection.now
        if self._chosen_then.pop(step.id, None) == (now.model, now.prompts):
            self.selection.change(**self._inputs(step))

    def _inputs(self, step: Step) -> dict[str, Any]:
        return {k: v for k, v in step.inputs.items() if k in ("model", "prompts") and self.store.stored(v)}

    def show_results(self, artifacts: tuple[Stored, ...]) -> None:
        """Let every view that can draw one of these show it, and make a new model or prompts the chosen one."""
        fields: dict[str, Any] = {}
        shown = dict(self.selection.now.shown)
        chosen: set[str] = set()  # views that have their result
        for stored in artifacts:
            step = self.store.step(stored.step)
            if stored.kind in ("model", "prompts"):
                fields[stored.kind] = stored.id
                if stored.kind == "prompts":
                    fields |= {"row": 0, "query": None, "key": None}
            if step is not None:
                for view in VIEWS:
                    if view.fits(stored, step) and not (view.first and view.id in chosen):
                        shown[view.id] = stored.id
                        chosen.add(view.id)
        self.selection.change(**fields, shown=shown)

    def show_step(self, step: int) -> None:
        """Choose a step: every view shows its results, and its inputs become the chosen model and prompts."""
        record = self.store.step(step)
        if record is None:
            return
        self.selection.change(step=step, **self._inputs(record))
        self.show_results(self.store.of_step(step))

    async def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Accepted:
        """Have an operation done. Work already done is shown at once instead (`cached`)."""
        accepted = await self.engine.run(operation, values, seed=seed, again=again)
        self._started(accepted)
        return accepted

    async def resume(self, step: int) -> Accepted:
        accepted = await self.engine.resume(step)
        self._started(accepted)
        return accepted

    async def rerun(self, step: int) -> tuple[Accepted, ...]:
        """Run a step and all that stands on it again, as new steps."""
        accepted = await self.engine.rerun(step)
        for one in accepted:
            self._started(one)
        return accepted

    def _started(self, accepted: Accepted) -> None:
        self.mine.add(accepted.step)
        self._chosen_then[accepted.step] = (self.selection.now.model, self.selection.now.prompts)
        finished = self.store.step(accepted.step)
        if accepted.cached or (finished is not None and finished.status == "done"):
            if finished is not None:
                self._choose_inputs(finished)
            self.show_results(self.store.of_step(accepted.step))

    async def look(self, operation: str, values: dict[str, Any]) -> tuple[AnyArtifact, ...]:
        """Ask a live operation; nothing is recorded."""
        return await self.engine.look(operation, values)

    async def cancel(self, step: int) -> None:
        await self.engine.cancel(step)

    async def add_note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> Note:
        return await self.engine.add_note(text, step=step, artifact=artifact)

    async def remove_note(self, note: int) -> None:
        await self.engine.remove_note(note)

    async def save_view(self, key: str, value: Any) -> None:
        """Keep a piece of the screen's state in the file; without an engine it is kept in memory only."""
        self.view_state[key] = value
        if self.client is not None:
            await self.client.save_view(key, value)

    async def save_all(self) -> None:
        """Write the screen's state that was kept in memory, and the selection, to the file."""
        if self.client is not None:
            for key, value in {**self.view_state, "selection": saved(self.selection.now)}.items():
                await self.client.save_view(key, value)

    async def ended(self) -> None:
        """The engine was asked to end: say so instead of being surprised."""
        await self.close()
        self.store.apply(Goodbye(reason="you stopped it"))
        self.store.apply(EngineStatus(state="lost"))

    async def close(self) -> None:
        """Leave the engine to its work."""
        client, self.client = self.client, None
        if client is not None:
            await client.close()
