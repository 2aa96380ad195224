"""What the screen needs of the engine's client and of the session file, as protocols, so that tests can script both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.server.protocol import Accepted, Event, OperationInfo, Topic
from sessions.steps import Note, Step, Stored

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact


class Client(Protocol):
    """The part of `engine.server.client.EngineClient` that the screen uses. Refusals raise IwbError."""

    async def run(self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False) -> Accepted: ...
    async def catalogue(self) -> tuple[OperationInfo, ...]: ...
    async def cancel(self, step: int) -> None: ...
    async def resume(self, step: int) -> Accepted: ...
    async def rerun(self, step: int) -> tuple[Accepted, ...]: ...
    async def add_note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> Note: ...
    async def remove_note(self, note: int) -> None: ...
    async def save_view(self, key: str, value: Any) -> None: ...
    async def ask(self, topic: Topic) -> dict[str, Any]: ...
    async def look(self, operation: str, values: dict[str, Any]) -> tuple[AnyArtifact, ...]: ...
    async def shutdown(self) -> None: ...
    async def close(self) -> None: ...


class Connect(Protocol):
    """Starts the engine of a file if none runs, and connects to it."""

    def __call__(self, path: Path, *, on_event: Callable[[Event], None]) -> Awaitable[Client]: ...


class Snapshot(NamedTuple):
    """Everything of a session file but the artifacts' payloads."""

    steps: tuple[Step, ...]
    artifacts: tuple[Stored, ...]
    notes: tuple[Note, ...]
    view_state: dict[str, Any]


class Reader(Protocol):
    """Reads the session file. Its methods block, so they are called in a thread."""

    def snapshot(self, path: Path) -> Snapshot | None:
        """None when there is no file yet. IwbError when it is not a session file, damaged or newer."""
        ...

    def artifact(self, path: Path, artifact: int) -> AnyArtifact: ...


class FileReader:
    """The real reader. SQLite connections belong to the thread that opened them, so each read opens its own."""

    def snapshot(self, path: Path) -> Snapshot | None:
        if not path.exists():
            return None
        from sessions.file import SessionFile  # not before the first paint

        session = SessionFile.open(path, readonly=True)
        try:
            return Snapshot(session.steps(), session.artifacts(), session.notes(), session.view_state())
        finally:
            session.close()

    def artifact(self, path: Path, artifact: int) -> AnyArtifact:
        from sessions.file import SessionFile

        session = SessionFile.open(path, readonly=True)
        try:
            return session.artifact(artifact)
        finally:
            session.close()


async def connect_engine(path: Path, *, on_event: Callable[[Event], None]) -> Client:
    """The real connection. Imported late: the first paint does not wait for it."""
    from engine.server.client import EngineClient

    return await EngineClient.connect(path, on_event=on_event)
