"""The engine process: `python -P -m engine.server.process FILE.iwb`.

Started detached by the first client; it outlives that client and its terminal. The event loop only carries frames; the
worker computes in a thread of its own. It ends by itself when nothing runs and no client has been there for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from engine.catalogue import OPERATIONS
from engine.operations import describe
from engine.server import protocol as wire
from engine.server.environment import iwb_version
from engine.server.facts import facts
from engine.server.frames import FrameError, frame, read_request
from engine.server.places import RunningEngine, socket_path
from engine.server.worker import Worker
from sessions.errors import ErrorRecord, IwbError, LockedError
from sessions.file import SessionFile
from sessions.steps import FINISHED

IDLE_SECONDS = float(os.environ.get("IWB_IDLE_SECONDS", "60"))
STATUS_SECONDS = 1.0
DEAF = 2**26  # bytes that a client has left unread


class Front:
    """The side of the engine that clients see."""

    def __init__(self, session: SessionFile) -> None:
        self.session = session
        self._loop = asyncio.get_running_loop()
        self.worker = Worker(session, self._emit)
        self.ended = asyncio.Event()
        self._watchers: set[asyncio.StreamWriter] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._last_words: dict[tuple[int, type[wire.Progress | wire.Partial]], bytes] = {}
        self._clients = 0
        self._address: Path | None = None
        self._listener: asyncio.Server | None = None
        self._leaving = False
        self._started = time.time()
        self._last_client = time.monotonic()

    # ---- events ---------------------------------------------------------------------------------------------------

    def _emit(self, event: wire.Event) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
            self._loop.call_soon_threadsafe(self._broadcast, event)

    def _broadcast(self, event: wire.Event) -> None:
        try:
            data = frame(event)
        except FrameError:  # a picture of unfinished work too large to send; the finished one is read from the file
            return
        self._remember(event, data)
        for writer in list(self._watchers):
            if writer.transport.get_write_buffer_size() > DEAF:  # stopped or hung: it may come back and ask again
                self._watchers.discard(writer)
                writer.transport.abort()
                continue
            # A client that does not read must not make the engine grow: pictures of unfinished work may be dropped.
            if isinstance(event, wire.Partial | wire.Progress) and writer.transport.get_write_buffer_size() > 2**22:
                continue
            writer.write(data)

    def _remember(self, event: wire.Event, data: bytes) -> None:
        """The last word on each running step, for clients that come while it runs."""
        match event:
            case wire.Progress() | wire.Partial():
                self._last_words[event.step, type(event)] = data
            case wire.StepChanged() if event.step.status in FINISHED:
                for kind in (wire.Progress, wire.Partial):
                    self._last_words.pop((event.step.id, kind), None)
            case _:
                pass

    # ---- one connection -------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reason = ""
        self._clients += 1
        try:
            if _peer_uid(writer) != os.getuid():
                reason = "this engine belongs to another user"
                return
            first = await read_request(reader, limit=2**16)
            if first is None:
                return
            if not isinstance(first, wire.Hello):
                reason = "the first message must be hello"
                return
            if first.protocol != wire.PROTOCOL:
                reason = (
                    f"this engine speaks protocol {wire.PROTOCOL}, not {first.protocol}: use the same iwb on both sides"
                )
                return
            welcome = wire.Welcome(
                protocol=wire.PROTOCOL, file=str(self.session.path), pid=os.getpid(), iwb=iwb_version()
            )
            writer.write(frame(wire.Reply(number=first.number, value=msgspec.to_builtins(welcome))))
            if first.watch:
                for data in self._last_words.values():
                    writer.write(data)
                self._watchers.add(writer)
                self.worker.report()
            while (request := await read_request(reader)) is not None:
                if isinstance(request, wire.Hello):
                    reason = "hello came twice"
                    return
                # Answered on a task of its own: a request that waits for a model to load must not hold up the next.
                task = asyncio.ensure_future(self._answer(request, writer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        except FrameError as error:
            reason = str(error)
        except asyncio.CancelledError:
            reason = "the engine ends"
        finally:
            self._clients -= 1
            self._last_client = time.monotonic()
            self._watchers.discard(writer)
            with contextlib.suppress(ConnectionError, OSError):
                if reason:
                    writer.write(frame(wire.Goodbye(reason=reason)))
                    await writer.drain()
                writer.close()

    async def _answer(self, request: wire.AnyRequest, writer: asyncio.StreamWriter) -> None:
        message: wire.Reply | wire.Refused
        try:
            value = await self._handle(request)
            plain = msgspec.to_builtins(value, builtin_types=(bytes,))  # msgpack carries bytes as they are
            message = wire.Reply(number=request.number, value=plain)
        except IwbError as error:
            message = wire.Refused(number=request.number, error=ErrorRecord.of(error))
        except Exception as error:
            record = ErrorRecord(what=f"this is a bug in iwb: {type(error).__name__}: {error}", where="engine")
            message = wire.Refused(number=request.number, error=record)
        with contextlib.suppress(ConnectionError, OSError):
            writer.write(frame(message))
            await writer.drain()

    async def _handle(self, request: wire.AnyRequest) -> Any:
        aside = asyncio.to_thread  # the file and the locks may wait; the loop must not
        match request:
            case wire.Catalogue():
                return tuple(describe(operation) for operation in OPERATIONS)
            case wire.Run():
                future = await aside(
                    self.worker.submit,
                    request.operation,
                    request.values,
                    seed=request.seed,
                    again=request.again,
                    folder=request.folder,
                    executor=request.executor,
                )
                return await asyncio.wrap_future(future)
            case wire.Resume():
                return await aside(self.worker.resume, request.step)
            case wire.Rerun():
                return await aside(self.worker.rerun, request.step)
            case wire.Cancel():
                return await aside(self.worker.cancel, request.step)
            case wire.AddNote():
                note = await aside(
                    lambda: self.session.add_note(request.text, step=request.step, artifact=request.artifact)
                )
                self._broadcast(wire.NotesChanged(notes=self.session.notes()))
                return note
            case wire.RemoveNote():
                await aside(self.session.remove_note, request.note)
                self._broadcast(wire.NotesChanged(notes=self.session.notes()))
                return None
            case wire.SaveView():
                return await aside(self.session.save_view, request.key, request.value)
            case wire.Ask():
                return await aside(facts, request.topic)
            case wire.Look():
                looking = await aside(self.worker.look, request.operation, request.values, folder=request.folder)
                return await asyncio.wrap_future(looking)
            case wire.Shutdown():
                self.leave()
                self._loop.call_later(0.05, self.ended.set)  # after the answer has gone out
                return None
            case _:
                raise IwbError(f"this engine does not know the request {type(request).__name__}")

    # ---- its life -------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Be found under the session's address."""
        self._address = socket_path(self.session.path)
        self._address.unlink(missing_ok=True)
        self._listener = await asyncio.start_unix_server(self.serve, path=self._address, limit=2**20)
        engine = RunningEngine(file=str(self.session.path), pid=os.getpid(), started=self._started)
        self._address.with_suffix(".json").write_bytes(msgspec.json.encode(engine))

    def leave(self) -> None:
        """Be found no more: whoever comes now needs the next engine. Connections that are open stay."""
        self._leaving = True
        self._hide()

    def _hide(self) -> None:
        if self._listener is not None and self._address is not None:
            self._listener.close()
            self._address.with_suffix(".json").unlink(missing_ok=True)
            self._address.unlink(missing_ok=True)
            self._listener = self._address = None

    async def _stay_found(self) -> None:
        """Systems clear a user's runtime folder at the last logout, while the work goes on: listen anew where a client
        that logs in again will look."""
        try:
            if self._leaving:
                return
            if self._address is None or socket_path(self.session.path) != self._address or not self._address.exists():
                self._hide()
                await self.listen()
        except (IwbError, OSError) as error:
            print(f"cannot listen: {error}", file=sys.stderr)

    async def watch_over(self) -> None:
        """Report while busy; end when idle with no client for a while, or when the file has been taken away."""
        while not self.ended.is_set():
            await asyncio.sleep(min(STATUS_SECONDS, IDLE_SECONDS))
            if not self.session.still_there:
                self._broadcast(wire.Goodbye(reason="the session file was moved or deleted"))
                self.ended.set()
                return
            await self._stay_found()
            if not self.worker.idle:
                if self._watchers:
                    self.worker.report()
                self._last_client = time.monotonic()
            elif self._clients == 0 and time.monotonic() - self._last_client > IDLE_SECONDS:
                self.ended.set()


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    """The user on the other side of a Unix socket, as the kernel knows it."""
    peer: socket.socket = writer.get_extra_info("socket")
    if hasattr(socket, "SO_PEERCRED"):
        _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(uid)
    return os.getuid()  # elsewhere the folder's mode (0700) keeps others out


async def serve_forever(path: Path) -> None:
    """Hold `path`, answer clients, compute, until told to stop or idle for long."""
    session = SessionFile.open(path, create=True)
    os.chdir("/")  # names start at the client's folder: one that stands here by chance must not be taken for another
    front = Front(session)
    try:
        await front.listen()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, front.ended.set)
        thread = threading.Thread(target=front.worker.work, name="worker", daemon=True)
        thread.start()
        _say(wire.Started())
        watching = asyncio.ensure_future(front.watch_over())
        await front.ended.wait()
        watching.cancel()
        front.leave()
        front.worker.stop()
        await asyncio.to_thread(thread.join, 20)
    finally:
        front.leave()
        session.close()


def _say(started: wire.Started) -> None:
    """Tell the starter, then let go of its pipe: whatever is printed later goes to the log (standard error)."""
    os.write(1, msgspec.json.encode(started) + b"\n")
    os.dup2(2, 1)


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go; the work goes on
    try:
        asyncio.run(serve_forever(Path(sys.argv[1])))
    except IwbError as error:
        _say(wire.Started(error=ErrorRecord.of(error), locked=isinstance(error, LockedError)))
        sys.exit(2)
    os._exit(0)  # a computing thread that did not stop in time must not keep the process


if __name__ == "__main__":
    main()
