"""Where a step without a screen runs: in the engine that already holds the file, or here, for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cli.progress import ProgressBar
from engine.server.protocol import Event, StepChanged
from sessions.errors import CancelledError, IwbError
from sessions.file import SessionFile
from sessions.steps import FINISHED, Step, Stored


class Outcome(NamedTuple):
    """A step that is done, and what it left. `cached`: it had been done before."""

    step: Step
    artifacts: tuple[Stored, ...]
    cached: bool


class Host(Protocol):
    """Runs steps, one after the other."""

    session: SessionFile

    def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Outcome:
        """Do the step and wait for it. The step's own error is raised; CancelledError when somebody stopped it."""
        ...

    def note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> None:
        """Write a note beside the investigation, a step or an artifact."""
        ...


@contextlib.contextmanager
def host(path: Path) -> Iterator[Host]:
    """The place where steps of this session run: its engine if one runs, else this process."""
    from engine.server.places import answers, socket_path

    if answers(socket_path(path)):
        with SessionFile.open(path, readonly=True) as session:
            yield Elsewhere(path, session)
    else:
        with SessionFile.open(path, create=True) as session:
            yield Here(session)


def _outcome(session: SessionFile, number: int, *, cached: bool) -> Outcome:
    step = session.step(number)
    if step.status in ("cancelled", "interrupted"):
        raise CancelledError(f"step {number} was {step.status}", step.operation, "run the same command to go on")
    if step.error is not None:
        raise step.error.error()
    if step.status != "done":
        raise IwbError(f"step {number} is {step.status}", step.operation)
    return Outcome(step, session.artifacts(number), cached)


class Here:
    """This process is the engine."""

    def __init__(self, session: SessionFile, *, quiet: bool = False) -> None:
        from engine.server.worker import Worker

        self.session = session
        self._worker = Worker(session, (lambda event: None) if quiet else ProgressBar())

    def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Outcome:
        with _interrupts(self._worker.cancel_current, self._worker.stop):
            future = self._worker.submit(operation, values, seed=seed, again=again, folder=str(Path.cwd()))
            self._worker.work_until_idle()
            accepted = future.result(timeout=0)
        return _outcome(self.session, accepted.step, cached=accepted.cached)

    def note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> None:
        self.session.add_note(text, step=step, artifact=artifact)


@contextlib.contextmanager
def _interrupts(cancel: Any, stop: Any) -> Iterator[None]:
    """Ctrl-C cancels at the next batch; a second one stops the hard way. Being terminated interrupts, to be resumed."""

    def first(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel()

    before = signal.signal(signal.SIGINT, first), signal.signal(signal.SIGTERM, lambda number, frame: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


class Elsewhere:
    """An engine process holds the file: hand it the step and wait."""

    def __init__(self, path: Path, session: SessionFile) -> None:
        self.session = session
        self._path = path

    def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Outcome:
        return asyncio.run(self._run(operation, values, seed, again))

    async def _run(self, operation: str, values: dict[str, Any], seed: int, again: bool) -> Outcome:
        from engine.server.client import EngineClient
        from engine.server.protocol import EngineStatus

        bar = ProgressBar()
        changed = asyncio.Event()
        lost = False

        def hear(event: Event) -> None:
            nonlocal lost
            bar(event)
            lost = lost or (isinstance(event, EngineStatus) and event.state == "lost")
            if isinstance(event, StepChanged) or lost:
                changed.set()

        client = await EngineClient.connect(self._path, on_event=hear, start=False)
        waiting = asyncio.ensure_future(client.run(operation, values, seed=seed, again=again))
        accepted = await waiting
        cancelling: list[asyncio.Task[None]] = []
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGINT, lambda: cancelling.append(asyncio.ensure_future(client.cancel(accepted.step)))
        )
        while self.session.step(accepted.step).status not in FINISHED:
            if lost:
                raise IwbError("the engine is gone", str(self._path), "run the same command to go on")
            await changed.wait()
            changed.clear()
        await client.close()
        return _outcome(self.session, accepted.step, cached=accepted.cached)

    def note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> None:
        asyncio.run(self._note(text, step, artifact))

    async def _note(self, text: str, step: int | None, artifact: int | None) -> None:
        from engine.server.client import EngineClient

        client = await EngineClient.connect(self._path, start=False, watch=False)
        await client.add_note(text, step=step, artifact=artifact)
        await client.close()
