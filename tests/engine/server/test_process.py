"""The engine process as a client meets it: started once, private, patient with nonsense, gone when idle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil
import pytest

from engine.server.client import EngineClient, start_engine
from engine.server.frames import frame
from engine.server.places import answers, running, runtime_folder, socket_path
from engine.server.protocol import (
    MAX_FRAME,
    AddNote,
    EngineStatus,
    Event,
    Goodbye,
    Hello,
    NotesChanged,
    Progress,
    StepChanged,
    Welcome,
)
from sessions.errors import CallError, IwbError
from sessions.file import SessionFile
from sessions.steps import FINISHED


@pytest.fixture(autouse=True)
def _own_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IWB_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("IWB_IDLE_SECONDS", "30")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my.iwb"


@pytest.fixture
async def client(path: Path) -> AsyncIterator[EngineClient]:
    connected = await EngineClient.connect(path)
    yield connected
    with contextlib.suppress(IwbError):
        await connected.shutdown()
    await connected.close()


async def until(condition: object, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_two_clients_share_one_engine_and_both_hear_of_changes(client: EngineClient, path: Path) -> None:
    heard: list[Event] = []
    second = await EngineClient.connect(path, on_event=heard.append)
    assert [engine.file for engine in running()] == [os.path.realpath(path)]
    note = await client.add_note("look")
    await until(lambda: any(isinstance(e, NotesChanged) for e in heard))
    with SessionFile.open(path, readonly=True) as session:
        assert session.notes() == (note,)
    await second.close()


async def test_the_sockets_folder_is_private(client: EngineClient, path: Path) -> None:
    assert stat.S_IMODE(runtime_folder().stat().st_mode) == 0o700
    assert answers(socket_path(path))


async def test_refusals_arrive_as_the_errors_they_are(client: EngineClient) -> None:
    with pytest.raises(CallError, match=r"unknown operation 'models\.laod'; did you mean 'models\.load'"):
        await client.run("models.laod", {})
    with pytest.raises(CallError, match="parameter 'source' is missing"):
        await client.run("models.load", {})
    with pytest.raises(CallError, match="no step 9"):
        await client.cancel(9)


async def test_an_operation_runs_and_its_step_is_told(client: EngineClient, path: Path) -> None:
    heard: list[Event] = []
    watcher = await EngineClient.connect(path, on_event=heard.append)
    accepted = await client.run("models.load", {"source": "zoo:rnn/Parity_All"})
    await until(lambda: any(isinstance(e, StepChanged) and e.step.status == "done" for e in heard))
    done = next(e for e in heard if isinstance(e, StepChanged) and e.step.status == "done")
    assert done.step.id == accepted.step
    assert [a.kind for a in done.artifacts] == ["model"]
    await watcher.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack(">I", MAX_FRAME + 1), "is larger than"),
        (struct.pack(">I", 3) + b"\xc1\xc1\xc1", "not a request"),
        (frame(AddNote(text="x")), "the first message must be hello"),
        (frame(Hello(protocol=999)), "speaks protocol"),
        (frame(Hello()) + frame(Hello()), "hello came twice"),
        (frame(Hello()) + struct.pack(">I", 2**31), "is larger than"),
        (frame(Hello()) + struct.pack(">I", 9) + b"\x81\xa4type\xa2\xff\xfe", "not a request"),
    ],
)
async def test_nonsense_closes_that_connection_with_a_reason_and_harms_nothing_else(
    client: EngineClient, path: Path, data: bytes, reason: str
) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path(path))
    writer.write(data)
    said = b""
    async with asyncio.timeout(20):
        while chunk := await reader.read(2**16):
            said += chunk
    assert reason in said.decode(errors="replace")
    writer.close()
    assert await client.add_note("still here")


async def test_a_killed_engine_is_noticed_and_a_new_one_takes_over(path: Path) -> None:
    heard: list[Event] = []
    client = await EngineClient.connect(path, on_event=heard.append)
    os.kill(running()[0].pid, signal.SIGKILL)
    await until(lambda: any(isinstance(e, EngineStatus) and e.state == "lost" for e in heard))
    with pytest.raises(IwbError, match="the engine is gone"):
        await client.add_note("too late")
    again = await EngineClient.connect(path)
    assert await again.add_note("in time")
    await again.shutdown()


async def test_the_engine_outlives_its_client_and_ends_when_idle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IWB_IDLE_SECONDS", "0.3")
    client = await EngineClient.connect(path)
    engine = psutil.Process(running()[0].pid)
    await asyncio.sleep(0.8)
    assert engine.is_running()  # a client is there, doing nothing
    await client.close()
    await until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)
    assert running() == []
    SessionFile.open(path).close()  # nobody holds the lock


async def test_an_engine_that_cannot_start_says_why(path: Path) -> None:
    path.write_text("not a session")
    with pytest.raises(CallError, match="not an iwb session file"):
        await EngineClient.connect(path)
    path.unlink()
    with SessionFile.open(path, create=True), pytest.raises(CallError, match="written by another iwb"):
        start_engine(path)


async def test_goodbye_is_an_event(path: Path, client: EngineClient) -> None:
    heard: list[Event] = []
    other = await EngineClient.connect(path, on_event=heard.append)
    with pytest.raises(IwbError, match="the engine is gone"):
        await other.request(Hello(), Welcome)
    await until(lambda: any(isinstance(e, Goodbye) for e in heard))


async def test_a_frame_survives_the_wire() -> None:
    assert struct.unpack(">I", frame(Hello())[:4])[0] == len(frame(Hello())) - 4
    assert msgspec.msgpack.decode(frame(Hello(number=3))[4:])["number"] == 3


async def test_an_engine_whose_file_was_taken_away_ends_and_says_so(path: Path) -> None:
    heard: list[Event] = []
    client = await EngineClient.connect(path, on_event=heard.append)
    path.rename(path.with_name("elsewhere.iwb"))
    await until(lambda: any(isinstance(e, Goodbye) and "moved or deleted" in e.reason for e in heard))
    await until(lambda: running() == [])
    await client.close()


async def test_clients_that_start_at_the_same_instant_share_one_engine(path: Path) -> None:
    clients = await asyncio.gather(*(EngineClient.connect(path) for _ in range(3)))
    assert [(await c.add_note("here")).id for c in clients] == [1, 2, 3]
    assert len(running()) == 1
    await clients[0].shutdown()
    for client in clients:
        await client.close()


async def test_an_engine_whose_socket_was_cleared_away_is_found_again(client: EngineClient, path: Path) -> None:
    (engine,) = running()
    socket_path(path).unlink()
    second = await EngineClient.connect(path)  # as after a logout that emptied the runtime folder, and a new login
    assert [e.pid for e in running()] == [engine.pid]
    await second.close()


async def test_an_ending_engine_leaves_its_address_to_the_next(path: Path) -> None:
    client = await EngineClient.connect(path)
    (first,) = running()
    await client.shutdown()
    second = await EngineClient.connect(path)
    assert [e.pid for e in running()] != [first.pid]
    await second.shutdown()
    for leaving in (client, second):
        await leaving.close()


async def test_an_engine_does_not_take_files_of_the_folder_it_was_started_in(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("prompt,answer\na b,c\n")
    (tmp_path / "engine").mkdir()
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    client = await EngineClient.connect(path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    accepted = await client.run("prompts.open", {"path": "mine.csv"})
    with SessionFile.open(path, readonly=True) as session:
        await until(lambda: session.step(accepted.step).status in FINISHED)
        assert session.step(accepted.step).status == "failed"
    await client.shutdown()
    await client.close()


async def test_a_runtime_folder_too_long_for_a_socket_is_one_sentence(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IWB_RUNTIME_DIR", str(tmp_path / ("x" * 100)))
    with pytest.raises(IwbError, match="set IWB_RUNTIME_DIR to a shorter path"):
        await EngineClient.connect(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")
def test_a_runtime_folder_left_by_su_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IWB_RUNTIME_DIR")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(theirs))
    assert theirs not in runtime_folder().parents


async def test_a_client_that_comes_while_a_step_runs_is_told_how_far_it_is(path: Path) -> None:
    client = await EngineClient.connect(path)
    await client.run("prompts.make", {"task": "induction", "n": 3000, "model": "zoo:induction"})
    await until_prompts(path)
    await client.run("circuits.head_sweep", {"model": "@1", "prompts": "@last", "metric": "loss", "batch": 20})
    first: list[Event] = []
    watcher = await EngineClient.connect(path, on_event=first.append)
    await until(lambda: any(isinstance(e, Progress) and e.done > 0 for e in first))
    late: list[Event] = []
    newcomer = await EngineClient.connect(path, on_event=late.append)
    await until(lambda: bool(late))
    assert any(isinstance(e, Progress) for e in late[:3])  # at once, not with the next batch
    for connected in (newcomer, watcher):
        await connected.close()
    await client.shutdown()
    await client.close()


async def until_prompts(path: Path) -> None:
    def made() -> bool:
        with SessionFile.open(path, readonly=True) as session:
            return any(a.kind == "prompts" for a in session.artifacts())

    await until(made)
