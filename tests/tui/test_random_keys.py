"""Whatever is pressed, on whatever size of terminal, nothing raises and the status line stays whole."""

from __future__ import annotations

import random

import pytest

from tests.tui.fake import FakeBench, FakeFile, a_program, a_sweep, investigation, settle
from tui.actions import ACTIONS

SIZES = [(40, 10), (60, 16), (61, 17), (80, 24), (119, 35), (120, 40), (180, 50), (300, 90)]
TEXT = list("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHJKLMNRSTVWXYZ.,:;/<>[]{}+-=*'\"?!$")
EXTRA = ["delete", "insert", "ctrl+z", "f12", "ctrl+k", "ctrl+w", "shift+left"]
KEYS = sorted({key for action in ACTIONS for key in action.keys} | set(TEXT) | set(EXTRA))
# These leave the program, which would end the test early rather than fail it.
LEAVE = {"q", "ctrl+q"}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_random_keys_never_raise(seed: int) -> None:
    random_keys = random.Random(seed)
    bench = FakeBench(investigation() if seed % 2 else FakeFile())  # a full investigation, and an empty one
    app = bench.app
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        choice = [key for key in KEYS if key not in LEAVE] + list("12345678") * 4 + ["enter", "j", "l"] * 3
        pressed: list[str] = []
        been: set[str] = set()
        for turn in range(170):
            over = app.screen is not app.main_screen
            key = "escape" if over and random_keys.random() < 0.25 else random_keys.choice(choice)
            pressed.append(key)
            been |= {app.view_id, type(app.screen).__name__}
            await pilot.press(key)
            if turn % 15 == 0:
                await pilot.resize_terminal(*SIZES[turn // 15 % len(SIZES)])
            if turn % 37 == 36 and bench.engines and app.investigation.store.engine.state != "lost":
                _engine_does_something(bench, random_keys)
            if turn % 10 == 0:
                await settle(pilot)
            assert app._exception is None, pressed
            assert not app.mistakes, pressed
        await settle(pilot)
        assert app._exception is None, pressed
        assert app.is_running
        assert len(been) >= 10, f"the keys only reached {been}"


def _engine_does_something(bench: FakeBench, random_keys: random.Random) -> None:
    running = [s.id for s in bench.file.steps.values() if s.status == "running"]
    match random_keys.choice(["progress", "finish", "die", "fail"]):
        case "progress" if running:
            bench.engine.progress(running[0], 5, 24, a_sweep(5))
        case "finish" if running:
            bench.engine.finish(running[0], a_program())
        case "fail" if running:
            bench.engine.finish(running[0], status="failed")
        case "die":
            bench.engine.die()
