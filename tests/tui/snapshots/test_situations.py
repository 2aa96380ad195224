"""How the workbench looks while something runs, when something went wrong, and with something over the views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.tui.fake import FakeFile
from tests.tui.snapshots import content
from tests.tui.snapshots.conftest import Bench, Opened, at_rest
from tests.tui.snapshots.test_views import CHOSEN, SIZES

Compare = Callable[[Any], None]
SWEEP = {"model": "@1", "prompts": "@2", "ablation": "mean"}


async def half_a_sweep(bench: Bench) -> None:
    """A sweep that has done 90 of 156 parts."""
    accepted = await bench.engine.run("circuits.head_sweep", dict(SWEEP))
    bench.engine.progress(accepted.step, 90, 156, content.sweep(90))


@pytest.mark.parametrize("size", SIZES)
async def test_running(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(content.loaded(), SIZES[size], **CHOSEN["sweep"]) as (bench, pilot):
        await half_a_sweep(bench)
        await at_rest(pilot, "3")
        same_picture(bench.app)


@pytest.mark.parametrize("key", ["1", "5", "7", "J"])
async def test_elsewhere_while_running(opened: Opened, same_picture: Compare, key: str) -> None:
    async with opened(content.loaded(), **CHOSEN["sweep"]) as (bench, pilot):
        await half_a_sweep(bench)
        await at_rest(pilot, key)
        same_picture(bench.app)


async def test_cancelled(opened: Opened, same_picture: Compare) -> None:
    async with opened(content.loaded(), **CHOSEN["sweep"]) as (bench, pilot):
        await half_a_sweep(bench)
        await at_rest(pilot, "3", "x")
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_failed_step(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(content.failed(), SIZES[size], model=1, step=10) as (bench, pilot):
        await at_rest(pilot, "7")
        same_picture(bench.app)


async def test_an_interrupted_step(opened: Opened, same_picture: Compare) -> None:
    async with opened(content.failed(), model=1, step=9) as (bench, pilot):
        await at_rest(pilot, "7")
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_the_engine_is_lost(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(content.investigation(), SIZES[size], **CHOSEN["sweep"]) as (bench, pilot):
        await at_rest(pilot, "3")
        bench.engine.die()
        await at_rest(pilot)
        same_picture(bench.app)


async def test_a_file_that_cannot_be_read(opened: Opened, same_picture: Compare) -> None:
    file = FakeFile()
    file.broken = "this is not an iwb session file (no SQLite header)"
    async with opened(file) as (bench, _):
        same_picture(bench.app)


@pytest.mark.parametrize("over", ["palette", "palette-found", "help", "form", "form-mistake", "note", "export", "log"])
async def test_over_a_view(opened: Opened, same_picture: Compare, over: str) -> None:
    keys = {
        "palette": [":"],
        "palette-found": [":", *"sweep"],
        "help": ["question_mark"],
        "form": ["r"],
        "form-mistake": ["r", "tab", "tab", "tab", "tab", *"many", "ctrl+j"],
        "note": ["m"],
        "export": ["E"],
        "log": ["D"],
    }[over]
    async with opened(content.investigation(), **CHOSEN["sweep"]) as (bench, pilot):
        await at_rest(pilot, "3", *keys)
        same_picture(bench.app)


@pytest.mark.parametrize("over", ["palette", "help", "form"])
async def test_over_a_wide_view(opened: Opened, same_picture: Compare, over: str) -> None:
    key = {"palette": ":", "help": "question_mark", "form": "r"}[over]
    async with opened(content.investigation(), SIZES["120x40"], **CHOSEN["sweep"]) as (bench, pilot):
        await at_rest(pilot, "3", key)
        same_picture(bench.app)


async def test_replay(opened: Opened, same_picture: Compare) -> None:
    async with opened(content.investigation(), **CHOSEN["sweep"]) as (bench, pilot):
        bench.app.start_replay()
        assert bench.app.replay is not None
        bench.app.replay.jump(3)  # which also stops the clock
        await at_rest(pilot)
        same_picture(bench.app)


async def test_too_small(opened: Opened, same_picture: Compare) -> None:
    async with opened(content.investigation(), (50, 14)) as (bench, _):
        same_picture(bench.app)


async def test_large(opened: Opened, same_picture: Compare) -> None:
    """The panes beside the view, with the inspector's numbers."""
    async with opened(content.investigation(), (200, 60), **CHOSEN["circuit"]) as (bench, pilot):
        await at_rest(pilot, "5")
        same_picture(bench.app)
