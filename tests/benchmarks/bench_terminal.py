"""What a person at a slow line feels, measured on a pseudo-terminal: bytes and times, beside the budgets.

The budgets are those of the interaction guide, section 12. Times are of this machine as it is now: other work on it
only ever adds to them, so a first paint is the fastest of a few, and a bare Textual application stands beside it.
"""

from __future__ import annotations

import asyncio
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engine.server.client import EngineClient
from engine.server.protocol import Event, StepChanged
from sessions.steps import FINISHED
from tests.tui.terminal import Terminal, end_engine, open_at, private_engines, workbench, write_session

FIRST_PAINT_S, IDLE_BYTES, STEP_BYTES, PAINT_MS = 0.5, 1000, 2000, 50.0
LONG = 6  # the artifact that the second prompts.make leaves: a sweep leaves three before it
PLACE = r"^ Sweep ▸ (\S+)"  # where the cursor is, in the status line
IDLE_SECONDS, STARTS, PRESSES = 10.0, 5, 120
MOST_PIECES = 20  # between two keys, should the screen never come to rest
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("bare 0 .")
    def on_key(self, event):
        self.pressed = getattr(self, "pressed", 0) + 1
        self.query_one(Static).update(f"bare {self.pressed} .")
Bare().run()
"""


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, private_engines(Path(folder)):
        session = write_session(Path(folder, "finished.iwb"), steps=100)
        return [
            *_first_paints(Path(folder), session),
            *_bytes(session, (148, 74)),
            *_bytes(session, (80, 24)),
            _key_to_paint(Path(folder, "busy.iwb")),
        ]


def _row(name: str, ours: float, budget: float, unit: str, note: str, peer_name: str = "budget") -> dict[str, Any]:
    ratio = budget / max(ours, 1e-9 if unit != "B" else 1.0)
    row = {"name": name, "ours": ours, "peer": budget, "ratio": ratio, "unit": unit}
    return row | {"peer_name": peer_name, "note": note}


def _first_paints(folder: Path, session: Path) -> Iterator[dict[str, Any]]:
    """From the start of the process to the frame that has the tab strip."""

    def start(terminal: Terminal, sign: str) -> float:
        with terminal:
            return terminal.wait_for(lambda text: sign in text) - terminal.started

    fresh, known, bare = [], [], []
    for index in range(STARTS):
        bare.append(start(Terminal("-c", BARE), "bare"))
        new = folder / f"new{index}.iwb"
        fresh.append(start(workbench(new), "1 Model"))
        known.append(start(workbench(session), "1 Model"))
    note = f"fastest of {STARTS}; median {{:.2f}} s. A bare Textual application: {min(bare):.2f} s"
    yield _row("first paint, new session", min(fresh), FIRST_PAINT_S, "s", note.format(np.median(fresh)))
    yield _row("first paint, session with results", min(known), FIRST_PAINT_S, "s", note.format(np.median(known)))


@contextmanager
def _shown(session: Path, view: str, size: tuple[int, int]) -> Iterator[Terminal]:
    """The workbench at rest in that view, its engine ready; the engine ends with it."""
    open_at(session, view, query=70, key=70)
    try:
        with workbench(session, columns=size[0], rows=size[1]) as terminal:
            terminal.wait_for(lambda text: "ready" in text)
            terminal.settle(1.0)
            yield terminal
    finally:
        asyncio.run(end_engine(session))


def _bytes(session: Path, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    where = f"{size[0]}x{size[1]}"
    with _shown(session, "attention", size) as terminal:
        idle = terminal.sent_within(IDLE_SECONDS)
        steps = [terminal.sent_for(way) for way in ("right", "down", "left", "up") * 3]
        note = f"144x144 noise, truecolour; the dearest of {len(steps)} steps, mean {np.mean(steps):,.0f} B"
        yield _row(f"idle {IDLE_SECONDS:.0f} s, {where}", idle, IDLE_BYTES, "B", "")
        yield _row(f"cursor step in a heatmap, {where}", max(steps), STEP_BYTES, "B", note)
    for view, what in (("data", "2,000 prompts"), ("history", "102 steps")):
        with _shown(session, view, size) as terminal:
            pages = [terminal.sent_for(key) for key in ("pagedown", "pagedown", "pageup", "pageup")]
            frame = terminal.sent_for("ctrl+l")
            yield _row(
                f"page turn in {view}, {where}", max(pages), frame, "B", f"{what}; dearest of 4", "one full frame"
            )


def _key_to_paint(session: Path) -> dict[str, Any]:
    """Cursor keys in the Sweep view while its sweep computes: from the key to the painted status line."""
    asyncio.run(_start_sweep(session))
    with Terminal("-c", BARE) as terminal:
        terminal.wait_for(lambda text: "bare" in text)
        bare = _presses(terminal, r"bare (\d+)")
    with workbench(session) as terminal:
        terminal.wait_for(lambda text: "head_sweep" in text and "busy" in text)
        terminal.press("3")
        terminal.wait_for(lambda text: "layer 0 · head 0 = " in text)  # the finished sweep is drawn
        terminal.settle(0.2)
        taken = _presses(terminal, PLACE)
        if "head_sweep" not in terminal.text:
            raise AssertionError("the sweep ended too early to be in the way")
    p95 = float(np.percentile(taken, 95))
    note = (
        f"{PRESSES} cursor keys in Sweep while a head sweep computes; median {np.median(taken):.0f} ms. "
        f"A bare Textual application meanwhile: p95 {np.percentile(bare, 95):.0f} ms, median {np.median(bare):.0f} ms"
    )
    return _row("key to paint p95, engine busy", p95, PAINT_MS, "ms", note)


def _presses(terminal: Terminal, place: str) -> list[float]:
    """Milliseconds from each of many cursor keys to the painted frame in which `place` has changed."""

    def now(text: str) -> str:
        found = re.search(place, text, re.MULTILINE)
        return found.group(1) if found else ""

    taken: list[float] = []
    pause = random.Random(0)
    for index in range(PRESSES):
        terminal.sent_within(pause.uniform(0.02, 0.15))
        before = now(terminal.text)
        at = terminal.press("right" if index % 2 == 0 else "left")
        # What comes is looked at afterwards: reading the screen takes longer than painting it.
        pieces = []
        while (piece := terminal.receive(0.15)) is not None and len(pieces) < MOST_PIECES:
            pieces.append(piece)
        painted = None
        for came, data in pieces:
            terminal.show(data)
            if painted is None and now(terminal.text) not in ("", before):
                painted = came
        if painted is None:
            painted = terminal.wait_for(lambda text, before=before: now(text) not in ("", before))
        taken.append(1000 * (painted - at))
    return taken


async def _start_sweep(session: Path) -> None:
    """A finished head sweep to look at, and one that runs for minutes, in an engine of its own."""
    ended: asyncio.Queue[str] = asyncio.Queue()

    def heard(event: Event) -> None:
        if isinstance(event, StepChanged) and event.step.status in FINISHED:
            ended.put_nowait(event.step.status)

    client = await EngineClient.connect(session, on_event=heard)
    for operation, values in (
        ("models.load", {"source": "zoo:tpp"}),
        ("prompts.make", {"task": "tpp", "n": 20}),
        ("circuits.head_sweep", {"model": "@1", "prompts": "@2"}),
        ("prompts.make", {"task": "tpp", "n": 100000}),
    ):
        await client.run(operation, values)
        assert await ended.get() == "done"
    await client.run("circuits.head_sweep", {"model": "@1", "prompts": f"@{LONG}", "batch": 200})
    await client.close()
