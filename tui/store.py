"""The screen's state: what the session file holds and what the engine has said since, as plain Python.

In scope: steps, artifacts, notes, progress, partial results, engine state, the catalogue, the log, the replay horizon.
Out of scope: what is selected (`selection.py`), how anything looks (the views). No Textual: tests need no screen.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from engine.server.protocol import (
    EngineStatus,
    Event,
    Goodbye,
    LogLine,
    NotesChanged,
    OperationInfo,
    Partial,
    Progress,
    StepChanged,
)
from sessions.steps import FINISHED, Note, Step, Stored
from tui.link import Snapshot

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact


Part = Literal["steps", "artifacts", "loaded", "notes", "progress", "partials", "engine", "catalogue", "log", "horizon"]
Changes = frozenset[Part]
EVERYTHING: Changes = frozenset(
    ("steps", "artifacts", "loaded", "notes", "progress", "partials", "engine", "catalogue", "log", "horizon")
)
CACHE_ARTIFACTS = 48  # loaded artifacts kept; the newest used stay
LOG_LINES = 2000


class LogEntry(NamedTuple):
    text: str
    level: str = "info"
    step: int | None = None


class Store:
    """One per screen. `apply` takes protocol events; listeners are told which parts changed."""

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}
        self._artifacts: dict[int, Stored] = {}
        self._loaded: OrderedDict[int, AnyArtifact] = OrderedDict()
        self._listeners: list[Callable[[Changes], None]] = []
        self._touched: set[int] = set()  # steps that events told of since `expect_snapshot`
        self.notes: tuple[Note, ...] = ()
        self.progress: dict[int, Progress] = {}
        self.partials: dict[int, AnyArtifact] = {}  # of each step, the newest of the kind it showed first
        self._beside: dict[int, dict[str, AnyArtifact]] = {}  # and of further kinds
        self.engine = EngineStatus(state="starting")
        self.goodbye = ""  # the engine's last words
        self.catalogue: dict[str, OperationInfo] = {}
        self.log: deque[LogEntry] = deque(maxlen=LOG_LINES)
        self.horizon: int | None = None  # replay: steps after this one are as if they had not happened

    # ---- listening

    def listen(self, listener: Callable[[Changes], None]) -> Callable[[], None]:
        """Call `listener` with the parts that changed. Returns what stops it."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def _tell(self, *parts: Part) -> None:
        changes = frozenset(parts)
        for listener in tuple(self._listeners):
            listener(changes)

    # ---- reading

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps up to the replay horizon, oldest first."""
        return tuple(self._steps[i] for i in sorted(self._steps) if self.horizon is None or i <= self.horizon)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Every step, also those behind the replay horizon."""
        return tuple(self._steps[i] for i in sorted(self._steps))

    @property
    def artifacts(self) -> tuple[Stored, ...]:
        """What those steps left, oldest first."""
        found = (self._artifacts[i] for i in sorted(self._artifacts))
        return tuple(a for a in found if self.horizon is None or a.step <= self.horizon)

    def step(self, step: int | None) -> Step | None:
        return self._steps.get(step) if step is not None else None

    def stored(self, artifact: int | None) -> Stored | None:
        return self._artifacts.get(artifact) if artifact is not None else None

    def of_step(self, step: int) -> tuple[Stored, ...]:
        return tuple(a for a in self.artifacts if a.step == step)

    def of_kind(self, kind: str) -> tuple[Stored, ...]:
        return tuple(a for a in self.artifacts if a.kind == kind)

    def newest(self, kind: str) -> Stored | None:
        found = self.of_kind(kind)
        return found[-1] if found else None

    def running(self) -> tuple[Step, ...]:
        """Steps that the engine works on or will."""
        return tuple(s for s in self.all_steps if s.status not in FINISHED)

    def front_job(self) -> Step | None:
        """The step that computes now, else the first in the queue."""
        waiting = self.running()
        return next((s for s in waiting if s.status in ("running", "cancelling")), waiting[0] if waiting else None)

    def loaded(self, artifact: int) -> AnyArtifact | None:
        """The artifact's payload if it is in memory."""
        if artifact in self._loaded:
            self._loaded.move_to_end(artifact)
        return self._loaded.get(artifact)

    def notes_on(self, *, step: int | None = None, artifact: int | None = None) -> tuple[Note, ...]:
        return tuple(n for n in self.notes if n.step == step and n.artifact == artifact)

    # ---- changing

    def expect_snapshot(self) -> None:
        """A read of the file begins: what events say from now on is newer than what it will give."""
        self._touched.clear()

    def take(self, snapshot: Snapshot) -> None:
        """Put what was read from the file in place, but for steps that events have spoken of since."""
        self._steps.update({s.id: s for s in snapshot.steps if s.id not in self._touched})
        self._artifacts.update({a.id: a for a in snapshot.artifacts})
        self.notes = snapshot.notes
        self._tell("steps", "artifacts", "notes")

    def keep(self, artifact: int, payload: AnyArtifact) -> None:
        """Hold a loaded artifact; the one unused for longest goes."""
        self._loaded[artifact] = payload
        self._loaded.move_to_end(artifact)
        while len(self._loaded) > CACHE_ARTIFACTS:
            self._loaded.popitem(last=False)
        self._tell("loaded")

    def set_catalogue(self, operations: Iterable[OperationInfo]) -> None:
        self.catalogue = {info.name: info for info in operations}
        self._tell("catalogue")

    def set_horizon(self, step: int | None) -> None:
        """Replay: show the investigation as it was after `step`; None is live."""
        if step != self.horizon:
            self.horizon = step
            self._tell("horizon", "steps", "artifacts")

    def note_log(self, text: str, level: str = "info", step: int | None = None) -> None:
        self.log.append(LogEntry(text, level, step))
        self._tell("log")

    def apply(self, event: Event) -> None:
        """Take in what the engine said."""
        match event:
            case StepChanged(step=step, artifacts=artifacts):
                self._apply_step(step, artifacts)
            case Progress():
                # a late report of a step that has ended would bring its bar back
                known = self._steps.get(event.step)
                if known is None or known.status not in FINISHED:
                    self.progress[event.step] = event
                    self._tell("progress")
            case Partial():
                known = self._steps.get(event.step)
                if known is None or known.status not in FINISHED:
                    self._take_partial(event.step, event.artifact())
                    self._tell("partials")
            case NotesChanged():
                self.notes = event.notes
                self._tell("notes")
            case EngineStatus():
                self.engine = event
                if event.state == "lost":
                    self._forget_running()
                self._tell("engine", "progress", "steps")
            case LogLine():
                self.note_log(event.text, event.level, event.step)
            case Goodbye():
                self.goodbye = event.reason
                self.note_log(f"engine: {event.reason}", "error")
                self._tell("engine")

    def _take_partial(self, step: int, artifact: AnyArtifact) -> None:
        first = self.partials.get(step)
        if first is None or first.kind == artifact.kind:
            self.partials[step] = artifact
        else:
            self._beside.setdefault(step, {})[artifact.kind] = artifact

    def partials_of(self, step: int) -> tuple[AnyArtifact, ...]:
        """What a running step shows so far: one of each kind, that which it showed first in front."""
        first = self.partials.get(step)
        return () if first is None else (first, *self._beside.get(step, {}).values())

    def _apply_step(self, step: Step, artifacts: tuple[Stored, ...]) -> None:
        self._steps[step.id] = step
        self._touched.add(step.id)
        parts: list[Part] = ["steps"]
        if artifacts:
            self._artifacts.update({a.id: a for a in artifacts})
            parts.append("artifacts")
        if step.status in FINISHED:
            self.progress.pop(step.id, None)
            if step.status == "done":
                self.partials.pop(step.id, None)  # a cancelled step's partial result stays to be looked at
                self._beside.pop(step.id, None)
            parts += ["progress", "partials"]
        self._tell(*parts)

    def _forget_running(self) -> None:
        """With the engine gone nothing runs: the file will say `interrupted` when it is opened again."""
        for step in self.running():
            self._steps[step.id] = msgspec.structs.replace(step, status="interrupted")
        self.progress.clear()
