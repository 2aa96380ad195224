"""How RASP looks on the screen: written, mistaken, run, compiled, read back; small and large, and with few colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui import fake
from tests.tui.fake import FakeEngine, FakeFile
from tests.tui.panes import rasp_content as content
from tests.tui.snapshots.conftest import Bench, Opened, at_rest
from tests.tui.snapshots.painted import painted
from themes.screen import NAMES
from tui.keymap import Config
from tui.panes.rasp import RaspPane

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "160x50": (160, 50)}
Compare = Callable[[Any], None]


@pytest.fixture(autouse=True)
def _the_engine_knows_rasp(monkeypatch: pytest.MonkeyPatch, _nothing_varies: None) -> None:
    monkeypatch.setattr(fake, "CATALOGUE", (*fake.CATALOGUE, *content.OPERATIONS))
    before = FakeEngine.__init__

    def knows(self: FakeEngine, *given: Any) -> None:
        before(self, *given)
        self.looks["rasp.check"] = content.checked

    async def ask(self: FakeEngine, topic: str) -> dict[str, Any]:
        return content.LIBRARY if topic == "rasp" else {"models": []}

    monkeypatch.setattr(FakeEngine, "__init__", knows)
    monkeypatch.setattr("tests.tui.snapshots.conftest.Engine.ask", ask)


def session(text: str = content.TEXT, part: str = "variables") -> FakeFile:
    """A program compiled, run, read back from its weights, and others drawn at random; the draft is `text`."""
    file = FakeFile()
    given = {"program": content.TEXT, "vocab": "a,b", "max_len": 3}
    step = file.add_step("rasp.compile", parameters=given)
    for artifact in content.compiled():
        file.add(step, artifact)
    asked = {"program": content.TEXT, "vocab": "a,b", "inputs": "[a,b,a]", "model": "@1"}
    step = file.add_step("rasp.trace", parameters=asked, inputs={"model": 1})
    for artifact in content.traced():
        file.add(step, artifact)
    step = file.add_step("rasp.decompile", parameters={"model": "@1"}, inputs={"model": 1})
    file.add(step, content.program(decompiled=True))
    file.add(file.add_step("rasp.sample", parameters={"n": 30}), content.sampled())
    draft = {"text": text, "vocab": "a,b", "max_len": "3", "causal": "false", "inputs": "[a,b,a]"}
    file.view_state = {"view.rasp": {"part": part, "draft": draft}}
    return file


async def checked(bench: Bench, pilot: Pilot[Any], *keys: str) -> None:
    """In the RASP view, when the engine has said what it thinks of the text."""
    await at_rest(pilot, "8")
    pane = bench.app.panes["rasp"]
    assert isinstance(pane, RaspPane)
    async with asyncio.timeout(10):
        while pane.writing.waiting:
            await pilot.pause(0.01)
    await at_rest(pilot, *keys)


@pytest.mark.parametrize("size", SIZES)
async def test_written(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(session(), SIZES[size]) as (bench, pilot):
        await checked(bench, pilot, "e")
        same_picture(bench.app)


@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_mistaken(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(session(content.WRONG), SIZES[size]) as (bench, pilot):
        await checked(bench, pilot, "e")
        same_picture(bench.app)


async def test_values(opened: Opened, same_picture: Compare) -> None:
    async with opened(session(part="values")) as (bench, pilot):
        await checked(bench, pilot)
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_matrices(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(session(part="matrices"), SIZES[size]) as (bench, pilot):
        await checked(bench, pilot, "j", "l")
        same_picture(bench.app)


async def test_nothing_written_yet(opened: Opened, same_picture: Compare) -> None:
    async with opened(FakeFile()) as (bench, pilot):
        await at_rest(pilot, "8")
        same_picture(bench.app)


async def test_library(opened: Opened, same_picture: Compare) -> None:
    async with opened(session()) as (bench, pilot):
        await checked(bench, pilot, "o")
        same_picture(bench.app)


@pytest.mark.parametrize("size", ["80x24", "160x50"])
async def test_read_back(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(session(), SIZES[size], model=1, layer=0, head=None) as (bench, pilot):
        await at_rest(pilot, "6")
        same_picture(bench.app)


async def test_compiled_with_its_true_circuit(opened: Opened, same_picture: Compare) -> None:
    async with opened(session(), SIZES["160x50"], model=1, shown={"program": 2}) as (bench, pilot):
        await at_rest(pilot, "6")
        same_picture(bench.app)


async def test_sampled(opened: Opened, same_picture: Compare) -> None:
    async with opened(session()) as (bench, pilot):
        stored = bench.app.investigation.store.artifacts[-1]
        await bench.app.show_artifact(stored)
        await at_rest(pilot, "j")
        same_picture(bench.app)


@pytest.mark.parametrize("part", ["variables", "matrices"])
async def test_in_ascii(opened: Opened, same_picture: Compare, part: str) -> None:
    async with opened(session(content.WRONG, part), config=Config({}, ascii=True)) as (bench, pilot):
        await checked(bench, pilot)
        assert all(cell.text.isascii() for row in painted(bench.app) for cell in row)
        same_picture(bench.app)


async def test_in_a_light_theme(opened: Opened, same_picture: Compare) -> None:
    light = next(name for name in NAMES if "light" in name)
    async with opened(session(content.WRONG), config=Config({}, theme=light)) as (bench, pilot):
        await checked(bench, pilot, "e")
        same_picture(bench.app)


async def test_without_colour(opened: Opened, same_picture: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IWB_COLOUR")
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(session(part="matrices")) as (bench, pilot):
        await checked(bench, pilot)
        colours = {colour for row in painted(bench.app) for cell in row for colour in (cell.ink, cell.paper)}
        assert all(colour == "default" or colour[1:3] == colour[3:5] == colour[5:7] for colour in colours)
        same_picture(bench.app)
