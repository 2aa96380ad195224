"""The worker: two lanes of steps, one thread that computes.

A long step calls `ctx.progress` after every batch; there the questions waiting in the interactive lane are answered, in
the same thread, so nothing competes for the GPU. The worker knows no sockets: what it says goes through `emit`.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

import msgspec

from engine.catalogue import operation as find_operation
from engine.server.context import StepContext
from engine.server.environment import environment, memory
from engine.server.looking import Look
from engine.server.model_shelf import ModelShelf
from engine.server.protocol import Accepted, EngineStatus, Event, LogLine, Looked, StepChanged
from engine.server.submission import ModelNotLoadedError, Submission, prepare
from sessions.errors import CallError, CancelledError, ErrorRecord, IwbError
from sessions.file import SessionFile
from sessions.steps import Status, Step


class Job(msgspec.Struct, kw_only=True):
    """A recorded step on its way through the worker."""

    step: int
    submission: Submission
    cancel: threading.Event
    interactive: bool  # in the lane of questions: a question itself, or the loading of its model

    @property
    def name(self) -> str:
        return self.submission.operation.name


class Worker:
    """Takes requests (from any thread), computes in one, writes the session file."""

    def __init__(self, session: SessionFile, emit: Callable[[Event], None]) -> None:
        self.session = session
        self.emit = emit
        self.models = ModelShelf(session.weights)
        self.executor = os.environ.get("IWB_EXECUTOR", "")  # of steps that name none, see engine.executors
        self._wake = threading.Condition()
        self._long: deque[Job] = deque()
        self._questions: deque[Job] = deque()
        self._looks: deque[Look] = deque()
        self._current: list[Job] = []  # the running step, and the question answered in between
        self._afterwards: dict[int, list[Callable[[Step], None]]] = {}
        self._stopping = False

    # ---- requests -------------------------------------------------------------------------------------------------

    def submit(
        self,
        name: str,
        values: dict[str, Any],
        *,
        seed: int = 0,
        again: bool = False,
        folder: str = "",
        executor: str = "",
    ) -> Future[Accepted]:
        """Record and queue a step. The future is ready at once, unless a model named by its source is loaded first."""
        answer: Future[Accepted] = Future()
        operation = find_operation(name)
        try:
            submission = prepare(self.session, operation, values, seed=seed, folder=folder)
            submission = msgspec.structs.replace(submission, executor=executor)
        except ModelNotLoadedError as missing:
            source, loaded = missing.source, missing.loaded
            load = prepare(self.session, find_operation("models.load"), {"source": source}, folder=folder)
            loading = self._accept(load, again=False, interactive=operation.interactive)

            def go_on(step: Step) -> None:
                if step.status in ("cancelled", "interrupted"):
                    answer.set_exception(CancelledError(f"loading {source} was {step.status}", name))
                    return
                if step.status != "done":
                    error = step.error.error() if step.error else IwbError(f"loading {source} was {step.status}")
                    answer.set_exception(error)
                    return
                with_model = loaded(values, self.session.artifacts(step.id)[0].id)
                try:
                    then = self.submit(name, with_model, seed=seed, again=again, folder=folder, executor=executor)
                except IwbError as error:
                    answer.set_exception(error)
                else:
                    then.add_done_callback(lambda future: _pass_on(future, answer))

            self._after(loading.step, go_on)
            return answer
        answer.set_result(self._accept(submission, again=again, interactive=operation.interactive))
        return answer

    def look(self, name: str, values: dict[str, Any], *, folder: str = "") -> Future[Looked]:
        """Ask a live operation: answered as soon as the running step has done its batch, and never recorded.

        CallError when the operation is not live, or its values are wrong.
        """
        operation = find_operation(name)
        if not operation.live:
            raise CallError(f"{name} leaves a step behind", remedy="run it")
        try:
            submission = prepare(self.session, operation, values, folder=folder)
        except ModelNotLoadedError as missing:
            raise CallError(f"'{missing.source}' is not loaded", name, "load it first, and give @ID") from None
        look = Look(submission)
        with self._wake:
            if self._stopping:
                raise IwbError("the engine is ending", name, "ask again in a moment")
            self._looks.append(look)
            self._wake.notify_all()
        return look.answer

    def _accept(self, submission: Submission, *, again: bool, interactive: bool) -> Accepted:
        with self._wake:
            if self._stopping:
                raise IwbError("the engine is ending", submission.operation.name, "ask again in a moment")
            same = None if again or submission.operation.volatile else self.session.find(submission.key)
            if same is not None and same.status == "done":
                return Accepted(step=same.id, cached=True)
            if same is not None and self._active(same.id):
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
            self._queue(step, submission, interactive=interactive)
            return Accepted(step=step.id)

    def resume(self, number: int) -> Accepted:
        """Go on with a step that was interrupted, cancelled or failed."""
        step = self.session.step(number)
        operation = find_operation(step.operation)
        submission = prepare(self.session, operation, step.parameters, seed=step.seed)
        with self._wake:
            step = self.session.step(number)  # once more: somebody may have resumed it meanwhile
            if step.status == "done" or self._active(number):
                raise CallError(f"step {number} is {step.status}; there is nothing to go on with", step.operation)
            if submission.key != step.key:  # its checkpoints belong to other work
                raise CallError(
                    f"what step {number} stands on has changed since", step.operation, "run it again as a new step"
                )
            self._queue(step, submission, interactive=operation.interactive)
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
            name: value
            for name, value in old.referring(lambda artifact: f"@{renamed.get(artifact, artifact)}").items()
            if name in old.given or name in old.references
        }
        accepted = self.submit(old.operation, values, seed=old.seed, again=True).result()

        def go_on(step: Step) -> None:
            if step.status == "done" and rest:
                before, now = self.session.artifacts(old.id), self.session.artifacts(step.id)
                try:
                    self._rerun(rest, {**renamed, **{b.id: n.id for b, n in zip(before, now)}})
                except IwbError as error:  # nobody waits for an answer any more
                    text = f"step {rest[0].id} could not be run again: {error}"
                    self.emit(LogLine(text=text, step=rest[0].id, level="error"))

        self._after(accepted.step, go_on)
        return accepted

    def cancel(self, number: int) -> None:
        """Stop a queued or running step. Running ones stop at their next batch."""
        with self._wake:
            for job in self._current:
                if job.step == number:
                    job.cancel.set()
                    # Only a running one: it may just have finished, and what is done stays done.
                    if self.session.set_status(number, "cancelling", only_from="running"):
                        self._changed(number)
                    return
            job = self._unqueue(number)
        self._drop(job, "cancelled")

    def _unqueue(self, number: int) -> Job:
        """Take the step out of its lane. CallError when it is in none."""
        for lane in (self._long, self._questions):
            for job in lane:
                if job.step == number:
                    lane.remove(job)
                    return job
        raise CallError(f"step {number} is {self.session.step(number).status}, not running")

    def _drop(self, job: Job, status: Status) -> None:
        """A step that waited will not run; whoever waits for it is told."""
        self.session.set_status(job.step, status)
        self._tell(job.step)

    def cancel_current(self) -> bool:
        """Stop what runs at its next batch, and say whether anything ran. A signal handler may call it."""
        running = list(self._current)
        for job in running:
            job.cancel.set()
        return bool(running)

    def drop_queued(self, status: Status) -> None:
        """Let nothing that waits run any more; it can be resumed."""
        while job := self._next(take=False):
            self._drop(job, status)

    def stop(self) -> None:
        """End `work` soon: the running step is interrupted at its next batch and can be resumed."""
        with self._wake:
            self._stopping = True
            self.cancel_current()
            self._wake.notify_all()

    @property
    def idle(self) -> bool:
        return not (self._current or self._long or self._questions)

    def _active(self, number: int) -> bool:
        """Whether the step runs or waits here. The file may still say so when a full disk kept its end unwritten."""
        return any(job.step == number for jobs in (self._current, self._long, self._questions) for job in jobs)

    # ---- the computing thread -------------------------------------------------------------------------------------

    def work(self) -> None:
        """Run steps as they come, until `stop`."""
        while True:
            with self._wake:
                while not (self._stopping or self._long or self._questions or self._looks):
                    self._wake.wait()
                stopping = self._stopping
                job = None if stopping or self._looks else self._next()
            if stopping:
                break
            if job is None:
                self._answer_looks()
            else:
                self._run_safely(job)
        self.drop_queued("interrupted")
        self._answer_looks()

    def work_until_idle(self, cancelled: threading.Event | None = None) -> None:
        """Run everything that is queued, in this thread: how a command without a screen is its own engine.

        Once `cancelled` is set, nothing more is begun: not even what waited for a model that could not stop loading.
        """
        while not self._stopping and not (cancelled and cancelled.is_set()) and (job := self._next()):
            self._run(job)
        self.drop_queued("interrupted" if self._stopping else "cancelled")

    def answer_questions(self) -> None:
        """Run what waits in the interactive lane. Called by a long step between its batches."""
        self._answer_looks()
        while not self._stopping and (job := self._next(questions_only=True)):
            self._run_safely(job)

    def _answer_looks(self) -> None:
        """Answer the live questions; once the engine is ending, refuse them."""
        while True:
            with self._wake:
                if not self._looks:
                    return
                look = self._looks.popleft()
            look.refuse("the engine is ending") if self._stopping else look.take(self)

    def _next(self, *, questions_only: bool = False, take: bool = True) -> Job | None:
        """The job whose turn it is; `take` makes it a current one in the same instant, so that it is never nowhere."""
        with self._wake:
            lane = self._questions if self._questions or questions_only else self._long
            if not lane:
                return None
            job = lane.popleft()
            if take:
                self._current.append(job)
            return job

    def _run_safely(self, job: Job) -> None:
        try:
            self._run(job)
        except Exception as error:  # a mistake of the worker itself; the next step must still be served
            traceback.print_exc()
            text = f"this is a bug in iwb: {type(error).__name__}: {error}"
            self.emit(LogLine(text=text, step=job.step, level="error"))

    def _run(self, job: Job) -> None:
        """Run a job that `_next` made a current one."""
        number = job.step
        context = StepContext(self, job)
        started = time.monotonic()
        unsaved: ErrorRecord | None = None
        done = False
        try:
            with self._wake:
                if job.cancel.is_set():
                    raise CancelledError("cancelled", job.name)
                self.session.set_status(number, "running")
            self._changed(number)
            self.report()
            artifacts = job.submission.operation.function(job.submission.params, context)
            seconds = time.monotonic() - started
            self.session.finish(
                number,
                artifacts,
                seconds=seconds,
                environment=environment(context.model),
                weights=tuple(context.kept.values()),
            )
            done = True
        except CancelledError:
            status: Status = "interrupted" if self._stopping else "cancelled"
            unsaved = self._stopped(number, status, started, context, None)
        except IwbError as error:
            unsaved = self._stopped(number, "failed", started, context, ErrorRecord.of(error))
        except BrokenExecutor as error:
            what = f"a process that worked for the step ended before its unit was done ({error})"
            record = ErrorRecord(what, job.name, "perhaps memory ran out: see to it and run the step again")
            unsaved = self._stopped(number, "failed", started, context, record)
        except OSError as error:  # a file that cannot be read is no bug; its details are kept all the same
            what = f"{error.strerror or error}" if error.filename else f"this machine refused: {error}"
            place = str(error.filename or job.name)
            record = ErrorRecord(
                what=what, where=place, remedy="see to it and run the step again", traceback=traceback.format_exc()
            )
            unsaved = self._stopped(number, "failed", started, context, record)
        except Exception as error:
            record = ErrorRecord(
                what=f"this is a bug in iwb: {type(error).__name__}: {error}",
                where=f"{job.name}, step {number}",
                remedy="the details are kept in the session file; please report them",
                traceback=traceback.format_exc(),
            )
            unsaved = self._stopped(number, "failed", started, context, record)
        finally:
            context.close(done=done)
            with self._wake:
                self._current.remove(job)
        self._tell(number, unsaved)
        self.report()

    def _stopped(
        self, number: int, status: Status, started: float, context: StepContext, error: ErrorRecord | None
    ) -> ErrorRecord | None:
        """Write down how it ended. What could not be written (a full disk, say) comes back, to be told at least."""
        seconds = time.monotonic() - started
        try:
            self.session.stop(number, status, seconds=seconds, environment=environment(context.model), error=error)
        except IwbError as trouble:
            self.emit(LogLine(text=str(trouble), step=number, level="error"))
            return error or ErrorRecord.of(trouble)
        return None

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

    def _queue(self, step: Step, submission: Submission, *, interactive: bool) -> None:
        job = Job(step=step.id, submission=submission, cancel=threading.Event(), interactive=interactive)
        self.session.set_status(step.id, "queued")
        (self._questions if interactive else self._long).append(job)
        self._changed(step.id)
        self._wake.notify_all()

    def _changed(self, number: int, unsaved: ErrorRecord | None = None) -> Step:
        step = self.session.step(number)
        if unsaved is not None:
            step = msgspec.structs.replace(step, status="failed", error=unsaved)
        artifacts = self.session.artifacts(number) if step.status == "done" else ()
        self.emit(StepChanged(step=step, artifacts=artifacts))
        return step

    def _tell(self, number: int, unsaved: ErrorRecord | None = None) -> None:
        """The step has ended: tell everybody, and those who waited for it."""
        step = self._changed(number, unsaved)
        with self._wake:
            callbacks = self._afterwards.pop(number, [])
        for callback in callbacks:
            callback(step)

    def _after(self, number: int, callback: Callable[[Step], None]) -> None:
        with self._wake:
            if self._active(number):
                self._afterwards.setdefault(number, []).append(callback)
                return
        callback(self.session.step(number))


def _pass_on(future: Future[Accepted], answer: Future[Accepted]) -> None:
    if error := future.exception():
        answer.set_exception(error)
    else:
        answer.set_result(future.result())
