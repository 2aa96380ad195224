"""What `iwb` sends to a real pseudo-terminal: bytes beside the budgets of the interaction guide, and that it is right.

Counting waits for the screen to come to rest, so a slow machine makes these tests slower and never changes the count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal, open_at, private_engines, workbench, write_session

STEP_BYTES, IDLE_BYTES_10_S = 2000, 1000


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Path]:
    with private_engines(tmp_path):
        yield write_session(tmp_path / "a.iwb", rows=500)


def at_rest(terminal: Terminal) -> Terminal:
    terminal.wait_for(lambda text: "ready" in text)
    terminal.settle(0.6)
    return terminal


def test_a_heatmap_is_quiet_at_rest_and_a_cursor_step_is_small(session: Path) -> None:
    open_at(session, "attention", query=70, key=70)
    with workbench(session) as terminal:
        at_rest(terminal)
        assert terminal.sent_within(3.0) < IDLE_BYTES_10_S * 3 / 10
        for way in ("right", "down", "left", "up"):
            before = readout(terminal)
            assert 0 < terminal.sent_for(way) < STEP_BYTES
            assert readout(terminal) != before
        assert_the_screen_is_right(terminal)


def test_a_page_turn_costs_less_than_a_frame(session: Path) -> None:
    open_at(session, "data")
    with workbench(session) as terminal:
        at_rest(terminal)
        assert "row 1 of 500" in terminal.text
        pages = [terminal.sent_for(key) for key in ("pagedown", "pagedown", "pageup")]
        assert "row 1 of 500" not in terminal.text
        frame = terminal.sent_for("ctrl+l")
        assert max(pages) < frame
        for key in ["7", "j", "4", "l", "?", "escape", ":", "u", "escape"]:
            terminal.press(key)
            terminal.settle(0.2)
        assert_the_screen_is_right(terminal)


def readout(terminal: Terminal) -> str:
    found = re.search(r"query \d+ .* = [\d.]+", terminal.text)
    assert found is not None, terminal.text
    return found.group()


def assert_the_screen_is_right(terminal: Terminal) -> None:
    """What the small updates left on the terminal is what painting everything anew gives, colours included."""
    terminal.press("ctrl+l")  # once before, because any key takes the last message away
    terminal.settle()
    for key in ("right", "left", "right"):
        terminal.press(key)
        terminal.settle(0.3)
    text, shown = terminal.text, terminal.painted
    assert terminal.sent_for("ctrl+l") > 3000
    differing = [y for y, (a, b) in enumerate(zip(shown, terminal.painted, strict=True)) if a != b]
    assert differing == [], f"{text}\n\nbecame\n\n{terminal.text}"
