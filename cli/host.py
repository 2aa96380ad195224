"""Where a step without a screen runs: in the engine that already holds the file, or here, for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cli.progress import ProgressBar
from engine.server.protocol import Event, StepChanged
from sessions.errors import CallError, CancelledError, IwbError, LockedError
from sessions.file import SessionFile
from sessions.steps import FINISHED, Step, Stored

if TYPE_CHECKING:
    from engine.server.worker import Worker


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
def host(path: Path, executor: str = "") -> Iterator[Host]:
    """The place where steps of this session run: its engine if one runs, else this process. `executor` is where their
    independent units run, see engine.executors."""
    from engine.server.client import comes_up
    from engine.server.places import answers, socket_path

    elsewhere = answers(socket_path(path))
    if not elsewhere:
        try:
            session = SessionFile.open(path, create=True)
        except LockedError:  # perhaps by an engine that is just coming up
            if not comes_up(path):
                raise
            elsewhere = True
    if elsewhere:
        with SessionFile.open(path, readonly=True) as session:
            yield Elsewhere(path, session, executor)
    else:
        with session:
            yield Here(session, executor=executor)


def _outcome(session: SessionFile, number: int, *, cached: bool, told: Step | None = None) -> Outcome:
    """`told`: how it ended as the engine said, which a full disk may have kept out of the file."""
    step = told if told is not None and told.status in FINISHED else session.step(number)
    if step.status in ("cancelled", "interrupted"):
        raise CancelledError(f"step {number} was {step.status}", step.operation, "run the same command to go on")
    if step.error is not None:
        raise step.error.error()
    if step.status != "done":
        raise IwbError(f"step {number} is {step.status}", step.operation)
    return Outcome(step, session.artifacts(number), cached)


class Here:
    """This process is the engine."""

    def __init__(self, session: SessionFile, *, quiet: bool = False, executor: str = "") -> None:
        from engine.server.worker import Worker

        self.session = session
        self._show = None if quiet else ProgressBar()
        self._told: dict[int, Step] = {}
        self._worker = Worker(session, self._hear)
        self._worker.executor = executor or self._worker.executor

    def _hear(self, event: Event) -> None:
        if isinstance(event, StepChanged):
            self._told[event.step.id] = event.step
        if self._show is not None:
            self._show(event)

    def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Outcome:
        # Standard output is the caller's: libraries that greet the user there would spoil a JSON document.
        with _interrupts(self._worker) as asked_to_stop, contextlib.redirect_stdout(sys.stderr):
            future = self._worker.submit(operation, values, seed=seed, again=again, folder=str(Path.cwd()))
            self._worker.work_until_idle(asked_to_stop)
            if not future.done():
                raise CancelledError("cancelled before the step was recorded", operation)
            accepted = future.result()
        outcome = _outcome(self.session, accepted.step, cached=accepted.cached, told=self._told.get(accepted.step))
        if asked_to_stop.is_set():  # too late for this step, but not for those after it
            raise CancelledError(f"cancelled; step {accepted.step} was done already", operation)
        return outcome

    def note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> None:
        self.session.add_note(text, step=step, artifact=artifact)


@contextlib.contextmanager
def _interrupts(worker: Worker) -> Iterator[threading.Event]:
    """Ctrl-C cancels at the next batch; a second one stops the hard way. Being terminated interrupts, to be resumed.

    Losing the terminal stops nothing, as with an engine of its own.
    """
    asked = threading.Event()

    def first(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()
        if not worker.cancel_current():  # still at the preparations
            raise KeyboardInterrupt

    def terminated(number: int, frame: object) -> None:
        asked.set()
        worker.stop()

    answers: dict[int, Any] = {signal.SIGINT: first, signal.SIGTERM: terminated, signal.SIGHUP: signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number, handler in answers.items()}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Elsewhere:
    """An engine process holds the file: hand it the step and wait."""

    def __init__(self, path: Path, session: SessionFile, executor: str = "") -> None:
        self.session = session
        self._path = path
        self._executor = executor

    def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Outcome:
        return asyncio.run(self._run(operation, values, seed, again))

    async def _run(self, operation: str, values: dict[str, Any], seed: int, again: bool) -> Outcome:
        from engine.server.client import EngineClient
        from engine.server.protocol import EngineStatus

        bar = ProgressBar()
        changed = asyncio.Event()
        lost = asked_to_stop = False
        told: dict[int, Step] = {}

        def hear(event: Event) -> None:
            nonlocal lost
            bar(event)
            lost = lost or (isinstance(event, EngineStatus) and event.state == "lost")
            if isinstance(event, StepChanged):
                told[event.step.id] = event.step
            if isinstance(event, StepChanged) or lost:
                changed.set()

        def stop() -> None:
            nonlocal asked_to_stop
            asked_to_stop = True
            changed.set()
            loop.remove_signal_handler(signal.SIGINT)  # a second Ctrl-C leaves at once

        client = await EngineClient.connect(self._path, on_event=hear, start=False)
        loop = asyncio.get_running_loop()
        # Before the step has a number: it must not run on after a Ctrl-C at the loading of its model.
        loop.add_signal_handler(signal.SIGINT, stop)
        cancelled = False
        try:
            accepted = await client.run(operation, values, seed=seed, again=again, executor=self._executor)
            while self._status(accepted.step, told) not in FINISHED:
                if lost:
                    raise IwbError("the engine is gone", str(self._path), "run the same command to go on")
                if asked_to_stop and not cancelled:
                    cancelled = True
                    with contextlib.suppress(CallError):  # it ended just now
                        await client.cancel(accepted.step)
                await changed.wait()
                changed.clear()
        finally:
            await client.close()
        outcome = _outcome(self.session, accepted.step, cached=accepted.cached, told=told.get(accepted.step))
        if asked_to_stop:
            raise CancelledError(f"cancelled; step {accepted.step} was done already", operation)
        return outcome

    def _status(self, number: int, told: dict[int, Step]) -> str:
        return told[number].status if number in told else self.session.step(number).status

    def note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> None:
        asyncio.run(self._note(text, step, artifact))

    async def _note(self, text: str, step: int | None, artifact: int | None) -> None:
        from engine.server.client import EngineClient

        client = await EngineClient.connect(self._path, start=False, watch=False)
        await client.add_note(text, step=step, artifact=artifact)
        await client.close()
