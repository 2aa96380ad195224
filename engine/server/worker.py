"""The worker: two lanes of steps, one thread that computes.

A long step calls `ctx.progress` after every batch; there the questions waiting in the interactive lane are answered, in
the same thread, so nothing competes for the GPU. The worker knows no sockets: what it says goes through `emit`.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec

from engine.catalogue import operation as find_operation
from engine.server.context import StepContext
from engine.server.environment import environment, memory
from engine.server.model_shelf import ModelShelf
from engine.server.protocol import Accepted, EngineStatus, Event, LogLine, StepChanged
from engine.server.submission import ModelNotLoadedError, Submission, prepare
from sessions.errors import CallError, CancelledError, ErrorRecord, IwbError
from sessions.file import SessionFile
from sessions.steps import Status, Step


class Job(msgspec.Struct, kw_only=True):
    """A recorded step on its way through the worker."""

    step: int
    submission: Submission
    cancel: threading.Event

    @property
    def name(self) -> str:
        return self.submission.operation.name

    @property
    def interactive(self) -> bool:
        return self.submission.operation.interactive


class Worker:
    """Takes requests (from any thread), computes in one, writes the session file."""

    def __init__(self, session: SessionFile, emit: Callable[[Event], None]) -> None:
        self.session = session
        self.emit = emit
        self.models = ModelShelf()
        self._wake = threading.Condition()
        self._long: deque[Job] = deque()
        self._questions: deque[Job] = deque()
        self._current: list[Job] = []  # the running step, and the question answered in between
        self._afterwards: dict[int, list[Callable[[Step], None]]] = {}
        self._stopping = False

    # ---- requests -------------------------------------------------------------------------------------------------

    def submit(
        self, name: str, values: dict[str, Any], *, seed: int = 0, again: bool = False, folder: str = ""
    ) -> Future[Accepted]:
        """Record and queue a step. The future is ready at once, unless a model named by its source is loaded first."""
        answer: Future[Accepted] = Future()
        try:
            submission = prepare(self.session, find_operation(name), values, seed=seed, folder=folder)
        except ModelNotLoadedError as missing:
            field = missing.field
            source = missing.source
            loading = self.submit("models.load", {"source": source}, folder=folder).result()

            def go_on(step: Step) -> None:
                if step.status != "done":
                    error = step.error.error() if step.error else IwbError(f"loading {source} was {step.status}")
                    answer.set_exception(error)
                    return
                model = self.session.artifacts(step.id)[0].id
                try:
                    then = self.submit(name, {**values, field: f"@{model}"}, seed=seed, again=again, folder=folder)
                    answer.set_result(then.result())
                except IwbError as error:
                    answer.set_exception(error)

            self._after(loading.step, go_on)
            return answer
        answer.set_result(self._accept(submission, again=again))
        return answer

    def _accept(self, submission: Submission, *, again: bool) -> Accepted:
        with self._wake:
            same = None if again or submission.operation.volatile else self.session.find(submission.key)
            if same is not None and same.status == "done":
                return Accepted(step=same.id, cached=True)
            if same is not None and same.status in ("queued", "running", "cancelling"):
                return Accepted(step=same.id)
            step = same or self.session.add_step(
                operation=submission.operation.name,
                version=submission.operation.version,
                parameters=submission.parameters,
                given=submission.given,
                seed=submission.seed,
                key=submission.key,
                inputs=submission.inputs,
            )
            self._queue(step, submission)
            return Accepted(step=step.id)

    def resume(self, number: int) -> Accepted:
        """Go on with a step that was interrupted, cancelled or failed."""
        step = self.session.step(number)
        if not step.resumable:
            raise CallError(f"step {number} is {step.status}; there is nothing to go on with", step.operation)
        submission = prepare(self.session, find_operation(step.operation), step.parameters, seed=step.seed)
        with self._wake:
            self._queue(step, submission)
        return Accepted(step=number)

    def rerun(self, number: int) -> tuple[Accepted, ...]:
        """Run a step, and after it every later finished step that stands on its results, again as new steps."""
        first = self.session.step(number)
        chain, made = [first], {a.id for a in self.session.artifacts(number)}
        for step in self.session.steps():
            if step.id > number and step.status == "done" and made & set(step.inputs.values()):
                chain.append(step)
                made |= {a.id for a in self.session.artifacts(step.id)}
        return (self._rerun(chain, {}),)

    def _rerun(self, chain: list[Step], renamed: dict[int, int]) -> Accepted:
        old, rest = chain[0], chain[1:]
        values = {
            name: f"@{renamed.get(old.inputs[name], old.inputs[name])}" if name in old.inputs else value
            for name, value in old.parameters.items()
            if name in old.given or name in old.inputs
        }
        accepted = self.submit(old.operation, values, seed=old.seed, again=True).result()

        def go_on(step: Step) -> None:
            if step.status == "done" and rest:
                before, now = self.session.artifacts(old.id), self.session.artifacts(step.id)
                self._rerun(rest, {**renamed, **{b.id: n.id for b, n in zip(before, now)}})

        self._after(accepted.step, go_on)
        return accepted

    def cancel(self, number: int) -> None:
        """Stop a queued or running step. Running ones stop at their next batch."""
        with self._wake:
            for job in self._current:
                if job.step == number:
                    job.cancel.set()
                    self.session.set_status(number, "cancelling")
                    self._changed(number)
                    return
            for lane in (self._long, self._questions):
                for job in lane:
                    if job.step == number:
                        lane.remove(job)
                        self.session.set_status(number, "cancelled")
                        self._changed(number)
                        return
        status = self.session.step(number).status
        raise CallError(f"step {number} is {status}, not running")

    def cancel_current(self) -> None:
        """Stop what runs at its next batch. Touches nothing but a flag, so a signal handler may call it."""
        for job in self._current:
            job.cancel.set()

    def stop(self) -> None:
        """End `work` soon: the running step is interrupted at its next batch and can be resumed."""
        with self._wake:
            self._stopping = True
            self.cancel_current()
            self._wake.notify_all()

    @property
    def idle(self) -> bool:
        return not (self._current or self._long or self._questions)

    # ---- the computing thread -------------------------------------------------------------------------------------

    def work(self) -> None:
        """Run steps as they come, until `stop`."""
        while True:
            with self._wake:
                while not (self._stopping or self._long or self._questions):
                    self._wake.wait()
                if self._stopping:
                    return
                job = (self._questions or self._long).popleft()
            try:
                self._run(job)
            except Exception as error:  # a mistake of the worker itself; the next step must still be served
                traceback.print_exc()
                text = f"this is a bug in iwb: {type(error).__name__}: {error}"
                self.emit(LogLine(text=text, step=job.step, level="error"))

    def work_until_idle(self) -> None:
        """Run everything that is queued, in this thread: how a command without a screen is its own engine."""
        while not self._stopping and (self._questions or self._long):
            self._run((self._questions or self._long).popleft())

    def answer_questions(self) -> None:
        """Run what waits in the interactive lane. Called by a long step between its batches."""
        while self._questions and not self._stopping:
            self._run(self._questions.popleft())

    def _run(self, job: Job) -> None:
        number = job.step
        self._current.append(job)
        context = StepContext(self, job)
        started = time.monotonic()
        try:
            self.session.set_status(number, "running")
            self._changed(number)
            self.report()
            artifacts = job.submission.operation.function(job.submission.params, context)
            seconds = time.monotonic() - started
            self.session.finish(number, artifacts, seconds=seconds, environment=environment(context.model))
        except CancelledError:
            status: Status = "interrupted" if self._stopping else "cancelled"
            self._stopped(number, status, started, context, None)
        except IwbError as error:
            self._stopped(number, "failed", started, context, ErrorRecord.of(error))
        except Exception as error:
            record = ErrorRecord(
                what=f"this is a bug in iwb: {type(error).__name__}: {error}",
                where=f"{job.name}, step {number}",
                remedy="the details are kept in the session file; please report them",
                traceback=traceback.format_exc(),
            )
            self._stopped(number, "failed", started, context, record)
        finally:
            self._current.remove(job)
        self._changed(number)
        self.report()
        with self._wake:
            callbacks = self._afterwards.pop(number, [])
        for callback in callbacks:
            callback(self.session.step(number))

    def _stopped(
        self, number: int, status: Status, started: float, context: StepContext, error: ErrorRecord | None
    ) -> None:
        seconds = time.monotonic() - started
        try:
            self.session.stop(number, status, seconds=seconds, environment=environment(context.model), error=error)
        except IwbError as trouble:  # a full disk, say: the file says `running`, and on reopening `interrupted`
            self.emit(LogLine(text=str(trouble), step=number, level="error"))

    # ---- telling --------------------------------------------------------------------------------------------------

    def report(self) -> None:
        """Say what the engine is doing."""
        held, free = memory()
        self.emit(
            EngineStatus(
                state="busy" if self._current else "ready",
                device="",
                step=self._current[0].step if self._current else None,
                queued=len(self._long) + len(self._questions),
                memory_bytes=held,
                memory_free_bytes=free,
            )
        )

    def _queue(self, step: Step, submission: Submission) -> None:
        job = Job(step=step.id, submission=submission, cancel=threading.Event())
        self.session.set_status(step.id, "queued")
        (self._questions if job.interactive else self._long).append(job)
        self._changed(step.id)
        self._wake.notify_all()

    def _changed(self, number: int) -> None:
        step = self.session.step(number)
        artifacts = self.session.artifacts(number) if step.status == "done" else ()
        self.emit(StepChanged(step=step, artifacts=artifacts))

    def _after(self, number: int, callback: Callable[[Step], None]) -> None:
        with self._wake:
            step = self.session.step(number)
            if step.status in ("queued", "running", "cancelling"):
                self._afterwards.setdefault(number, []).append(callback)
                return
        callback(step)
