"""What client and engine say to each other: tagged structs, and how they lie in bytes.

A frame is a 4-byte big-endian length and a msgpack document. A malformed, oversized or out-of-order frame closes that
connection with a `Goodbye` that names the reason, and harms nothing else. The first message of a client is `Hello`.
A request carries a number of the client's choosing; exactly one `Reply` or `Refused` answers it. Everything else the
engine says unasked is an event. This module loads neither torch nor the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sessions.errors import ErrorRecord
from sessions.parameters import OperationInfo
from sessions.steps import Note, Step, Stored

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact


PROTOCOL = 2
MAX_FRAME = 256 * 2**20  # bytes; a frame above it is a mistake or an attack

EngineState = Literal["starting", "ready", "busy", "lost"]
Topic = Literal["models", "prompts", "doctor", "rasp"]


# ---- requests -----------------------------------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    number: int = 0  # filled in by the client


class Hello(Request, frozen=True, kw_only=True, tag="hello"):
    """First message. Answered by `Welcome` in a Reply."""

    protocol: int = PROTOCOL
    watch: bool = True  # send events to this connection


class Catalogue(Request, frozen=True, kw_only=True, tag="catalogue"):
    """-> tuple[OperationInfo, ...]"""


class Run(Request, frozen=True, kw_only=True, tag="run"):
    """Do an operation. -> Accepted. Identical finished work is not repeated unless `again`; identical interrupted
    work goes on from its checkpoints."""

    operation: str
    values: dict[str, Any] = {}
    seed: int = 0
    again: bool = False
    folder: str = ""  # where relative file names in the values start: the client's working directory
    executor: str = ""  # where independent units run, see engine.executors; empty: the engine's default


class Resume(Request, frozen=True, kw_only=True, tag="resume"):
    """Go on with an interrupted, cancelled or failed step. -> Accepted"""

    step: int


class Rerun(Request, frozen=True, kw_only=True, tag="rerun"):
    """Run step `step` and every later step that stands on its results again, as new steps. -> tuple of Accepted"""

    step: int


class Cancel(Request, frozen=True, kw_only=True, tag="cancel"):
    """Stop a step within one batch; what it finished stays as checkpoints. -> None"""

    step: int


class AddNote(Request, frozen=True, kw_only=True, tag="add_note"):
    """-> Note"""

    text: str
    step: int | None = None
    artifact: int | None = None


class RemoveNote(Request, frozen=True, kw_only=True, tag="remove_note"):
    """-> None"""

    note: int


class SaveView(Request, frozen=True, kw_only=True, tag="save_view"):
    """Keep a piece of the screen's state (a view's name, pane sizes, the selection) in the file. -> None"""

    key: str
    value: Any


class Ask(Request, frozen=True, kw_only=True, tag="ask"):
    """Plain facts that are no step: what is bundled, what this machine has. -> dict"""

    topic: Topic


class Look(Request, frozen=True, kw_only=True, tag="look"):
    """Ask a live operation, as a screen does while a person types: answered between the batches of what runs, and never
    recorded as a step. -> Looked"""

    operation: str
    values: dict[str, Any] = {}
    folder: str = ""


class Shutdown(Request, frozen=True, kw_only=True, tag="shutdown"):
    """End the engine: running work is interrupted (and resumable). -> None"""


AnyRequest = Hello | Catalogue | Run | Resume | Rerun | Cancel | AddNote | RemoveNote | SaveView | Ask | Look | Shutdown


# ---- answers and events -------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    protocol: int
    file: str
    pid: int
    iwb: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """`cached`: this very work was already done; the step is the old one."""

    step: int
    cached: bool = False


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact as the codec writes it."""

    document: bytes
    arrays: bytes


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a live operation gave. Nothing of it is in the session file."""

    sights: tuple[Sight, ...] = ()

    @classmethod
    def of(cls, artifacts: Iterable[AnyArtifact]) -> Looked:
        from sessions.codec import encode  # brings numpy, which the screen's first paint does not wait for

        encoded = [encode(artifact) for artifact in artifacts]
        return cls(sights=tuple(Sight(document=e.document, arrays=e.arrays) for e in encoded))

    def artifacts(self) -> tuple[AnyArtifact, ...]:
        from sessions.codec import Encoded, decode

        return tuple(decode(Encoded(sight.document, sight.arrays)) for sight in self.sights)


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    pass


class Reply(Message, frozen=True, kw_only=True, tag="reply"):
    number: int
    value: Any = None  # builtins; the client converts to the type the request names


class Refused(Message, frozen=True, kw_only=True, tag="refused"):
    number: int
    error: ErrorRecord


class StepChanged(Message, frozen=True, kw_only=True, tag="step"):
    """A step was recorded, started, finished, or changed its status. `artifacts`: all it has left, when done."""

    step: Step
    artifacts: tuple[Stored, ...] = ()


class Progress(Message, frozen=True, kw_only=True, tag="progress"):
    """At most ten a second. `rate` is units per second; `remaining` seconds, None until three units are done."""

    step: int
    done: int
    total: int
    elapsed: float
    rate: float = 0.0
    remaining: float | None = None
    note: str = ""


class Partial(Message, frozen=True, kw_only=True, tag="partial"):
    """What a running step has so far, as the codec writes it. Never stored."""

    step: int
    document: bytes
    arrays: bytes

    @classmethod
    def of(cls, step: int, artifact: AnyArtifact) -> Partial:
        from sessions.codec import encode  # brings numpy, which the screen's first paint does not wait for

        encoded = encode(artifact)
        return cls(step=step, document=encoded.document, arrays=encoded.arrays)

    def artifact(self) -> AnyArtifact:
        from sessions.codec import Encoded, decode

        return decode(Encoded(self.document, self.arrays))


class NotesChanged(Message, frozen=True, kw_only=True, tag="notes"):
    notes: tuple[Note, ...]


class EngineStatus(Message, frozen=True, kw_only=True, tag="engine"):
    """Sent on change, and once a second while busy."""

    state: EngineState
    device: str = ""
    step: int | None = None  # the one that runs
    queued: int = 0
    memory_bytes: int = 0  # resident, or allocated on the GPU
    memory_free_bytes: int = 0


class LogLine(Message, frozen=True, kw_only=True, tag="log"):
    text: str
    step: int | None = None
    level: Literal["info", "warning", "error"] = "info"


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The one line an engine prints on its standard output, when it can be spoken to or cannot start."""

    error: ErrorRecord | None = None
    locked: bool = False  # another iwb writes that file: perhaps an engine that was started at the same moment


class Goodbye(Message, frozen=True, kw_only=True, tag="goodbye"):
    reason: str


AnyMessage = Reply | Refused | StepChanged | Progress | Partial | NotesChanged | EngineStatus | LogLine | Goodbye
Event = StepChanged | Progress | Partial | NotesChanged | EngineStatus | LogLine | Goodbye

__all__ = [
    "MAX_FRAME",
    "PROTOCOL",
    "Accepted",
    "AddNote",
    "AnyMessage",
    "AnyRequest",
    "Ask",
    "Cancel",
    "Catalogue",
    "EngineState",
    "EngineStatus",
    "Event",
    "Goodbye",
    "Hello",
    "LogLine",
    "Look",
    "Looked",
    "NotesChanged",
    "OperationInfo",
    "Partial",
    "Progress",
    "Refused",
    "RemoveNote",
    "Reply",
    "Request",
    "Rerun",
    "Resume",
    "Run",
    "SaveView",
    "Shutdown",
    "Sight",
    "Started",
    "StepChanged",
    "Topic",
    "Welcome",
]
