"""Pictures that come out the same on every machine, and their comparison with the ones kept beside the tests."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.pilot import Pilot

from engine.server.protocol import EngineStatus, Event, Topic
from sessions.errors import CallError
from tests.tui import fake
from tests.tui.fake import FakeBench, FakeEngine, FakeFile, settle
from tests.tui.snapshots import content
from tests.tui.snapshots.painted import as_svg, as_text, painted
from tui.keymap import Config

ROUNDS = 20


class ScreenText(SingleFileSnapshotExtension):
    """One readable file for each picture."""

    _write_mode = WriteMode.TEXT
    _file_extension = "txt"

    def serialize(self, data: Any, **_: Any) -> str:
        return str(data)


class Engine(FakeEngine):
    """The scripted engine, with a machine's facts that never change."""

    async def ask(self, topic: Topic) -> dict[str, Any]:
        return content.MODELS

    async def cancel(self, step: int) -> None:
        """Stopped after the batch in which 90 parts of 156 were done."""
        self.file.steps[step] = msgspec.structs.replace(self.file.steps[step], done=90, total=156)
        await super().cancel(step)


class Bench(FakeBench):
    def __init__(self, file: FakeFile, config: Config | None = None) -> None:
        super().__init__(file, Path("case.iwb"), config)
        self.app.animation_level = "none"

    async def _connect(self, path: Path, *, on_event: Callable[[Event], None]) -> FakeEngine:
        if self.file.broken:  # an engine cannot open it either
            raise CallError(self.file.broken, str(path))
        self.engines.append(Engine(self.file, on_event))
        return self.engine


@pytest.fixture(autouse=True)
def _nothing_varies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The operations, the colours and the clock's zone of the pictures."""
    monkeypatch.setattr(fake, "CATALOGUE", content.OPERATIONS)
    monkeypatch.setenv("IWB_COLOUR", "truecolor")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


Opened = Callable[..., AbstractAsyncContextManager[tuple[Bench, Pilot[Any]]]]


@pytest.fixture
def opened() -> Opened:
    """`async with opened(file, (80, 24), model=1, ...)`: the app at rest with that selection, and its pilot."""

    @contextlib.asynccontextmanager
    async def open_it(
        file: FakeFile, size: tuple[int, int] = (80, 24), *, config: Config | None = None, **selected: Any
    ) -> AsyncIterator[tuple[Bench, Pilot[Any]]]:
        bench = Bench(file, config)
        async with bench.app.run_test(size=size) as pilot:
            await settle(pilot)
            if bench.engines:
                bench.engine.say(EngineStatus(state="ready", device="cpu", memory_bytes=734 * 2**20))
            for stored in bench.app.investigation.store.artifacts:  # no view then waits for a thread that reads
                await bench.app.investigation.fetch(stored.id)
            if selected:
                bench.app.investigation.selection.change(**selected)
            await at_rest(pilot)
            yield bench, pilot

    return open_it


async def at_rest(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, each when the one before has had its effect, and wait until the screen no longer changes."""
    for key in keys:
        await pilot.press(key)
        await _done(pilot)
    before = None
    for _ in range(ROUNDS):
        await _done(pilot)
        now = painted(pilot.app)
        if now == before:
            return
        before = now
    pytest.fail("the screen does not come to rest")


async def _done(pilot: Pilot[Any]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


@pytest.fixture
def same_picture(snapshot: SnapshotAssertion, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Compare what an app paints with the picture kept. An SVG to look at lies in the test's temporary folder.

    With IWB_PICTURES=FOLDER the SVGs are gathered there: to be looked at before a changed picture is accepted.
    """
    kept = snapshot.use_extension(ScreenText)
    folder = Path(os.environ.get("IWB_PICTURES") or tmp_path)

    def compare(app: Any) -> None:
        screen = painted(app)
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{request.node.name.replace('[', '_').replace(']', '')}.svg"
        picture.write_text(as_svg(screen))
        assert kept == as_text(screen), f"the screen looks different now: {picture}"

    return compare
