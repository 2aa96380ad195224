"""How the seven views look: filled, empty, and where there is little colour or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.tui.fake import FakeFile
from tests.tui.snapshots import content
from tests.tui.snapshots.conftest import Opened, at_rest
from tests.tui.snapshots.painted import painted
from themes.screen import NAMES
from tui.keymap import Config
from tui.views import VIEWS

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
KEYS = {view.id: view.key for view in VIEWS if view.id != "rasp"}  # that one is in test_rasp.py
Compare = Callable[[Any], None]

# What is selected in each view: a telling head, its pair of tokens, the step that made the circuit.
CHOSEN: dict[str, dict[str, Any]] = {
    "model": {"model": 1},
    "data": {"model": 1, "row": 1},
    "sweep": {"model": 1, "layer": 9, "head": 6},
    "attention": {"model": 1, "row": 0, "layer": 1, "head": 1, "query": 10, "key": 1, "shown": {"attention": 6}},
    "circuit": {"model": 1, "layer": 5, "head": 1},
    "program": {"model": 9},
    "history": {"model": 1, "step": 6},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", KEYS)
async def test_view(opened: Opened, same_picture: Compare, view: str, size: str) -> None:
    async with opened(content.investigation(), SIZES[size], **CHOSEN[view]) as (bench, pilot):
        await at_rest(pilot, KEYS[view])
        same_picture(bench.app)


@pytest.mark.parametrize("view", KEYS)
async def test_empty(opened: Opened, same_picture: Compare, view: str) -> None:
    async with opened(FakeFile()) as (bench, pilot):
        await at_rest(pilot, KEYS[view])
        same_picture(bench.app)


@pytest.mark.parametrize("view", ["sweep", "circuit", "program"])
async def test_nothing_done_yet(opened: Opened, same_picture: Compare, view: str) -> None:
    async with opened(content.loaded()) as (bench, pilot):
        await at_rest(pilot, KEYS[view])
        same_picture(bench.app)


@pytest.mark.parametrize("view", KEYS)
async def test_without_colour(
    opened: Opened, same_picture: Compare, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    monkeypatch.delenv("IWB_COLOUR")
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(content.investigation(), **CHOSEN[view]) as (bench, pilot):
        await at_rest(pilot, KEYS[view])
        colours = {colour for row in painted(bench.app) for cell in row for colour in (cell.ink, cell.paper)}
        assert all(colour == "default" or colour[1:3] == colour[3:5] == colour[5:7] for colour in colours)
        same_picture(bench.app)


@pytest.mark.parametrize("view", ["data", "sweep", "attention", "circuit", "program"])
async def test_in_ascii(opened: Opened, same_picture: Compare, view: str) -> None:
    async with opened(content.investigation(), config=Config({}, ascii=True), **CHOSEN[view]) as (bench, pilot):
        await at_rest(pilot, KEYS[view])
        assert all(cell.text.isascii() for row in painted(bench.app) for cell in row)
        same_picture(bench.app)


@pytest.mark.parametrize("view", ["sweep", "attention", "circuit", "program"])
async def test_in_a_light_theme(opened: Opened, same_picture: Compare, view: str) -> None:
    light = next(name for name in NAMES if "light" in name)
    async with opened(content.investigation(), config=Config({}, theme=light), **CHOSEN[view]) as (bench, pilot):
        await at_rest(pilot, KEYS[view])
        same_picture(bench.app)


@pytest.mark.parametrize("depth", ["256", "16"])
async def test_with_few_colours(
    opened: Opened, same_picture: Compare, monkeypatch: pytest.MonkeyPatch, depth: str
) -> None:
    monkeypatch.setenv("IWB_COLOUR", depth)
    async with opened(content.investigation(), **CHOSEN["sweep"]) as (bench, pilot):
        await at_rest(pilot, KEYS["sweep"])
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_all_heads(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(content.investigation(), SIZES[size], **CHOSEN["attention"]) as (bench, pilot):
        await at_rest(pilot, KEYS["attention"], "t")
        same_picture(bench.app)


async def test_clean_minus_corrupt(opened: Opened, same_picture: Compare) -> None:
    async with opened(content.investigation(), **CHOSEN["attention"]) as (bench, pilot):
        await at_rest(pilot, KEYS["attention"])
        bench.app.investigation.selection.show("attention", 7)
        await at_rest(pilot)
        same_picture(bench.app)


@pytest.mark.parametrize("level", ["grid", "boxes", "one-node", "matrix"])
async def test_circuit_in_other_detail(opened: Opened, same_picture: Compare, level: str) -> None:
    keys = {"grid": ["-"], "boxes": ["+"], "one-node": ["+", "+"], "matrix": ["M"]}[level]
    async with opened(content.investigation(), SIZES["120x40"], **CHOSEN["circuit"]) as (bench, pilot):
        await at_rest(pilot, KEYS["circuit"], *("minus" if k == "-" else "plus" if k == "+" else k for k in keys))
        same_picture(bench.app)


@pytest.mark.parametrize("part", ["automaton", "states"])
async def test_other_parts_of_a_program(opened: Opened, same_picture: Compare, part: str) -> None:
    async with opened(content.investigation(), **CHOSEN["program"]) as (bench, pilot):
        await at_rest(pilot, KEYS["program"], *{"states": "v", "automaton": "vv"}[part])
        same_picture(bench.app)
