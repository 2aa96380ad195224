"""The client's end of the engine: what the screen and the command line hold. Loads no torch and no catalogue."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from engine.server import protocol as wire
from engine.server.frames import FrameError, frame, read_message
from engine.server.places import answers, runtime_folder, socket_path
from sessions.errors import IwbError, LockedError
from sessions.parameters import OperationInfo
from sessions.steps import Note

if TYPE_CHECKING:
    from sessions.artifacts import AnyArtifact

T = TypeVar("T")
LONG_LOG = 2**20  # bytes
STARTING_SECONDS = 3.0  # from taking the file to answering, on a slow disk


class EngineClient:
    """One connection to the engine of one session file. Make it with `connect`.

    Refusals are raised as the IwbError or CallError they were. When the engine is gone, `on_event` hears
    `EngineStatus(state="lost")`, preceded by `Goodbye` if it said why, and every open request fails.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: Callable[[wire.Event], None]
    ) -> None:
        self._reader, self._writer, self._on_event = reader, writer, on_event
        self._numbers = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._closing = False
        self._reason = ""
        self._listening = asyncio.ensure_future(self._listen())

    @classmethod
    async def connect(
        cls,
        path: Path,
        *,
        on_event: Callable[[wire.Event], None] = lambda event: None,
        start: bool = True,
        watch: bool = True,
    ) -> EngineClient:
        """Connect to the engine that holds `path`; with `start`, start one (which makes the file too) if there is none.

        CallError when the file cannot be opened; IwbError when no engine runs and `start` is False.
        """
        address = socket_path(path)
        streams = await _dial(address)
        if streams is None:
            if not start:
                raise IwbError("no engine runs for this session", str(path))
            try:
                await asyncio.to_thread(start_engine, path)
            except LockedError:  # perhaps by an engine that another client started at this moment
                if not await asyncio.to_thread(comes_up, path):
                    raise
            streams = await _dial(address)
            if streams is None:
                raise IwbError("the engine started but does not answer", str(path), f"look at {log_path(path)}")
        client = cls(*streams, on_event)
        try:
            await client.request(wire.Hello(watch=watch), wire.Welcome)
        except BaseException:
            await client.close()
            raise
        return client

    async def _listen(self) -> None:
        try:
            while (message := await read_message(self._reader)) is not None:
                match message:
                    case wire.Reply(number=number, value=value):
                        if (future := self._open.pop(number, None)) and not future.done():
                            future.set_result(value)
                    case wire.Refused(number=number, error=error):
                        if (future := self._open.pop(number, None)) and not future.done():
                            future.set_exception(error.error())
                    case _:
                        if isinstance(message, wire.Goodbye):
                            self._reason = message.reason
                        self._on_event(message)
        except FrameError as error:
            self._reason = str(error)
            self._on_event(wire.Goodbye(reason=str(error)))
        finally:
            for future in self._open.values():
                if not future.done():
                    future.set_exception(self._gone())
            self._open.clear()
            if not self._closing:
                self._on_event(wire.EngineStatus(state="lost"))

    def _gone(self) -> IwbError:
        reason = f" ({self._reason})" if self._reason else ""
        return IwbError(f"the engine is gone{reason}", remedy="open the session again to go on")

    async def request(self, request: wire.AnyRequest, answer: type[T]) -> T:
        """Send a request, and give back its answer as `answer`."""
        self._numbers += 1
        number = self._numbers
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._open[number] = future
        if self._listening.done():
            raise self._gone()
        try:
            self._writer.write(frame(msgspec.structs.replace(request, number=number)))
            await self._writer.drain()
        except (ConnectionError, OSError):
            self._open.pop(number, None)
            raise self._gone() from None
        return msgspec.convert(await future, answer)

    async def run(
        self, operation: str, values: dict[str, Any], *, seed: int = 0, again: bool = False, executor: str = ""
    ) -> wire.Accepted:
        request = wire.Run(
            operation=operation, values=values, seed=seed, again=again, folder=str(Path.cwd()), executor=executor
        )
        return await self.request(request, wire.Accepted)

    async def catalogue(self) -> tuple[OperationInfo, ...]:
        return await self.request(wire.Catalogue(), tuple[OperationInfo, ...])

    async def cancel(self, step: int) -> None:
        await self.request(wire.Cancel(step=step), type(None))

    async def resume(self, step: int) -> wire.Accepted:
        return await self.request(wire.Resume(step=step), wire.Accepted)

    async def rerun(self, step: int) -> tuple[wire.Accepted, ...]:
        return await self.request(wire.Rerun(step=step), tuple[wire.Accepted, ...])

    async def add_note(self, text: str, *, step: int | None = None, artifact: int | None = None) -> Note:
        return await self.request(wire.AddNote(text=text, step=step, artifact=artifact), Note)

    async def remove_note(self, note: int) -> None:
        await self.request(wire.RemoveNote(note=note), type(None))

    async def save_view(self, key: str, value: Any) -> None:
        await self.request(wire.SaveView(key=key, value=value), type(None))

    async def ask(self, topic: wire.Topic) -> dict[str, Any]:
        return await self.request(wire.Ask(topic=topic), dict[str, Any])

    async def look(self, operation: str, values: dict[str, Any]) -> tuple[AnyArtifact, ...]:
        """Ask a live operation; nothing is recorded. Raises what the operation refuses."""
        request = wire.Look(operation=operation, values=values, folder=str(Path.cwd()))
        return (await self.request(request, wire.Looked)).artifacts()

    async def shutdown(self) -> None:
        """End the engine. What runs is interrupted and can be resumed."""
        self._closing = True
        await self.request(wire.Shutdown(), type(None))

    async def close(self) -> None:
        """Leave. The engine goes on with what it does."""
        self._closing = True
        self._writer.close()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError, OSError):
            await self._listening


async def _dial(address: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        return await asyncio.open_unix_connection(address, limit=2**24)
    except OSError:
        return None


def log_path(path: Path) -> Path:
    """Where the engine of that session writes what goes wrong outside any step."""
    return socket_path(path).with_suffix(".log")


def start_engine(path: Path) -> None:
    """Start the engine of `path`, detached from this terminal, and wait until it answers. CallError if it cannot."""
    runtime_folder()
    with log_path(path).open("ab") as log:  # appended to: a second starter must not cut off what the first one writes
        if log.tell() > LONG_LOG:
            log.truncate(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.server.process", os.path.realpath(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    try:
        started = msgspec.json.decode(line, type=wire.Started)
    except msgspec.MsgspecError:
        process.wait()
        tail = log_path(path).read_text(errors="replace").strip().splitlines()[-1:]
        raise IwbError(
            f"the engine ended while starting ({' '.join(tail)})", str(path), f"see {log_path(path)}"
        ) from None
    if started.error is not None:
        process.wait()
        error = started.error
        raise LockedError(error.what, error.where, error.remedy) if started.locked else error.error()


def comes_up(path: Path, seconds: float = STARTING_SECONDS) -> bool:
    """Wait until an engine that already holds the file answers. False when none does: then something else holds it."""
    deadline = time.monotonic() + seconds
    while not answers(socket_path(path)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
