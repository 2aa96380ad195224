"""The Context a running step is given: its view of the session, its progress, its generator, its checkpoints."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engine.hardware import share_cores
from engine.server.model_shelf import SESSION
from engine.server.protocol import LogLine, Partial, Progress
from sessions.artifacts import AnyArtifact, Family, Model
from sessions.errors import CallError, CancelledError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import torch

    from engine.models.protocols import RecurrentModel, TransformerModel
    from engine.server.worker import Job, Worker

EVENTS_PER_SECOND = 10
FAMILIES: dict[Family | None, str] = {
    "transformer": "a transformer",
    "rnn": "a recurrent network",
    "metamodel": "a meta-model",
    "transformer_program": "a Transformer Program",
}


class StepContext:
    """Implements engine.operations.Context for one run of one step."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self._worker, self._job = worker, job
        self.seed = job.submission.seed
        self.model: Model | None = None  # the model it used last, for the environment
        self.kept: dict[str, bytes] = {}  # weights to be written with the results, by sha256
        self._executor: Executor | None = None
        self._rng = np.random.default_rng(self.seed)
        self._started = time.monotonic()
        self._first: int | None = None  # units that were already done when it started
        self._done = self._total = 0
        self._next_progress = 0.0
        self._next_partial: dict[str, float] = {}  # by kind: a heatmap does not crowd out the curve beside it

    @property
    def rng(self) -> np.random.Generator:
        return self._rng

    def torch_generator(self, device: str = "cpu") -> torch.Generator:
        import torch

        return torch.Generator(device=device).manual_seed(self.seed)

    def artifact(self, ref: str) -> AnyArtifact:
        return self._worker.session.artifact(int(ref.removeprefix("@")))

    def _handle(self, ref: str, family: Family | None = None) -> Model:
        handle = self.artifact(ref)
        assert isinstance(handle, Model)  # the submission checked the kind
        if family not in (None, handle.family):
            remedy = f"choose {FAMILIES[family]}"
            raise CallError(f"{handle.title} is {FAMILIES[handle.family]}", self._job.name, remedy)
        self.model = handle
        return handle

    def transformer(self, ref: str) -> TransformerModel:
        handle = self._handle(ref, "transformer")
        share_cores(handle.parameters)
        return cast("TransformerModel", self._worker.models.load(handle))

    def rnn(self, ref: str) -> RecurrentModel:
        handle = self._handle(ref, "rnn")
        return cast("RecurrentModel", self._worker.models.load(handle))

    def executor(self) -> Executor:
        if self._executor is None:
            from engine.executors import executor

            self._executor = executor(self._job.submission.executor or self._worker.executor)
        return self._executor

    def close(self, *, done: bool) -> None:
        """The step has ended: nothing of it runs on elsewhere."""
        if self._executor is not None:
            from engine.executors import stop

            stop(self._executor, at_once=not done)
            self._executor = None

    def keep_weights(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.kept[sha256] = data
        return SESSION + sha256

    def stored_weights(self, ref: str) -> bytes:
        handle = self._handle(ref)
        if not handle.source.startswith(SESSION):
            remedy = "choose a model that a step of this session made"
            raise CallError(f"the weights of {handle.title} are not in the session", self._job.name, remedy)
        return self._worker.session.weights(handle.source.removeprefix(SESSION))

    def hold(self, model: TransformerModel | RecurrentModel) -> None:
        self.model = model.handle
        self._worker.models.hold(model)

    def progress(self, done: int, total: int, note: str = "") -> None:
        if self._job.cancel.is_set():
            raise CancelledError("cancelled", self._job.name)
        if not self._job.interactive:
            self._worker.answer_questions()
        if self._first is None:
            self._first = done if done < total else 0
        self._done, self._total = done, total
        now = time.monotonic()
        if now < self._next_progress and done < total:
            return
        self._next_progress = now + 1 / EVENTS_PER_SECOND
        elapsed = now - self._started
        fresh = done - self._first
        rate = fresh / elapsed if elapsed > 0 else 0.0
        remaining = (total - done) / rate if fresh >= 3 and rate > 0 else None
        self._worker.emit(
            Progress(
                step=self._job.step,
                done=done,
                total=total,
                elapsed=elapsed,
                rate=rate,
                remaining=remaining,
                note=note,
            )
        )

    def partial(self, artifact: AnyArtifact) -> None:
        now = time.monotonic()
        if now >= self._next_partial.get(artifact.kind, 0.0):
            self._next_partial[artifact.kind] = now + 1 / EVENTS_PER_SECOND
            self._worker.emit(Partial.of(self._job.step, artifact))

    def checkpoints(self) -> dict[str, Any]:
        return self._worker.session.checkpoints(self._job.step)

    def checkpoint(self, unit: str, value: Any) -> None:
        self._worker.session.checkpoint(self._job.step, unit, value, self._done, self._total)

    def log(self, message: str) -> None:
        self._worker.emit(LogLine(text=message, step=self._job.step))
