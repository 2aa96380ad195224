"""How a program looks: each stage opened, an input stepped through, two programs compared, a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.tui import fake
from tests.tui.fake import FakeFile
from tests.tui.panes import program_content as made
from tests.tui.snapshots import content
from tests.tui.snapshots.conftest import Opened, at_rest
from tests.tui.snapshots.painted import painted
from tui.keymap import Config

SIZES = {"80x24": (80, 24), "160x50": (160, 50)}
Compare = Callable[[Any], None]


@pytest.fixture(autouse=True)
def _the_engine_steps(monkeypatch: pytest.MonkeyPatch, _nothing_varies: None) -> None:
    monkeypatch.setattr(fake, "CATALOGUE", (*content.OPERATIONS, made.STEP))


def session(*, walked: bool = False, without: str = "", wrong_from: int | None = None) -> FakeFile:
    """Two programs of one network, the second with its stages; an input stepped through it."""
    file = content.loaded()
    file.add(file.add_step("models.load", parameters={"source": "zoo:rnn/Binary_Addition"}), content.network())
    of: dict[str, Any] = {"parameters": {"model": "@3"}, "inputs": {"model": 3}, "environment": content.HERE}
    file.add(file.add_step("synthesis.extract", **of), made.program(made.OTHER, "not proved"))
    step = file.add_step("synthesis.extract", **of)
    why = {"stage reasons": {without: "no finite machine: the states keep growing with the input"}}
    stored = [file.add(step, a) for a in made.extracted(without, **({"facts": why} if without else {}))]
    program = next(s.id for s in stored if s.title.startswith("Program"))
    if walked:
        at = {"program": f"@{program}", "inputs": [list(made.FIRST), list(made.SECOND)]}
        step = file.add_step("synthesis.step", parameters=at, inputs={"program": program})
        file.add(step, made.side_by_side(wrong_from))
    return file


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stage", ["weights", "normal form", "states", "machine", "formulas", "program", "proof"])
async def test_stage(opened: Opened, same_picture: Compare, stage: str, size: str) -> None:
    file = session()
    file.view_state = {"view.program": {"part": stage}}
    async with opened(file, SIZES[size], model=3) as (bench, pilot):
        await at_rest(pilot, "6")
        same_picture(bench.app)


async def test_an_absent_stage(opened: Opened, same_picture: Compare) -> None:
    file = session(without="machine")
    file.view_state = {"view.program": {"part": "machine"}}
    async with opened(file, model=3) as (bench, pilot):
        await at_rest(pilot, "6")
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_an_input_stepped_through(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(session(walked=True), SIZES[size], model=3) as (bench, pilot):
        await at_rest(pilot, "6", "full_stop")
        same_picture(bench.app)


async def test_the_states_of_an_input(opened: Opened, same_picture: Compare) -> None:
    file = session(walked=True, wrong_from=3)
    file.view_state = {"view.program": {"part": "states"}}
    async with opened(file, model=3) as (bench, pilot):
        await at_rest(pilot, "6", *["full_stop"] * 4)
        bench.app.panes["program"].query_one("StepRibbon").focus()
        await at_rest(pilot)
        same_picture(bench.app)


async def test_an_input_is_asked_for(opened: Opened, same_picture: Compare) -> None:
    async with opened(session(), model=3) as (bench, pilot):
        await at_rest(pilot, "6", "a", "0", "space", "1")
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_two_programs(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(session(), SIZES[size], model=3) as (bench, pilot):
        await at_rest(pilot, "6", "d", "enter")
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_benchmark(opened: Opened, same_picture: Compare, size: str) -> None:
    file = content.loaded()
    file.add(file.add_step("synthesis.benchmark", environment=content.HERE), made.benchmark())
    async with opened(file, SIZES[size]) as (bench, pilot):
        await at_rest(pilot, "6", "j")
        same_picture(bench.app)


@pytest.mark.parametrize("part", ["states", "machine", "program"])
async def test_in_ascii(opened: Opened, same_picture: Compare, part: str) -> None:
    file = session(walked=True)
    file.view_state = {"view.program": {"part": part}}
    async with opened(file, config=Config({}, ascii=True), model=3) as (bench, pilot):
        await at_rest(pilot, "6", "full_stop")
        assert all(cell.text.isascii() for row in painted(bench.app) for cell in row)
        same_picture(bench.app)


async def test_without_colour(opened: Opened, same_picture: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IWB_COLOUR")
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(session(walked=True), SIZES["160x50"], model=3) as (bench, pilot):
        await at_rest(pilot, "6", "full_stop")
        colours = {colour for row in painted(bench.app) for cell in row for colour in (cell.ink, cell.paper)}
        assert all(colour == "default" or colour[1:3] == colour[3:5] == colour[5:7] for colour in colours)
        same_picture(bench.app)
