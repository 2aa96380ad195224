"""A live question: an operation asked while a person types, answered by the worker's thread and never recorded."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from engine.server.context import StepContext
from engine.server.protocol import Looked
from engine.server.submission import Submission
from sessions.artifacts import AnyArtifact
from sessions.errors import CallError, IwbError

if TYPE_CHECKING:
    from engine.server.worker import Worker


class Look:
    """One live question and the future that its answer fills."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.answer: Future[Looked] = Future()

    def take(self, worker: Worker) -> None:
        """Compute the answer, in the worker's thread. What goes wrong is the asker's to hear, not the worker's."""
        if not self.answer.set_running_or_notify_cancel():  # whoever asked has gone
            return
        try:
            made = self.submission.operation.function(self.submission.params, LookContext(worker, self.submission))
            self.answer.set_result(Looked.of(made))
        except Exception as error:
            self.answer.set_exception(error)

    def refuse(self, reason: str) -> None:
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(IwbError(reason, self.submission.operation.name, "ask again in a moment"))


class LookContext(StepContext):
    """The Context of a question that leaves no step: it reads the session, and writes, shows and keeps nothing."""

    def __init__(self, worker: Worker, submission: Submission) -> None:
        from engine.server.worker import Job

        super().__init__(worker, Job(step=0, submission=submission, cancel=threading.Event(), interactive=True))

    def progress(self, done: int, total: int, note: str = "") -> None:
        pass

    def partial(self, artifact: AnyArtifact) -> None:
        pass

    def checkpoints(self) -> dict[str, Any]:
        return {}

    def checkpoint(self, unit: str, value: Any) -> None:
        pass

    def log(self, message: str) -> None:
        pass

    def executor(self) -> Executor:
        raise CallError("a live question starts no processes", self._job.name, "run it as a step")

    def keep_weights(self, data: bytes) -> str:
        raise CallError("a live question keeps no weights", self._job.name, "run it as a step")
