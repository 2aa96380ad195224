"""`iwb` on a pseudo-terminal of its own: what it sends is counted and read as a terminal would read it.

And session files that have much to show, written without computing anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyte

from engine.server.client import EngineClient
from sessions.artifacts import AnyArtifact, Axis, Matrix, Model, PromptRow, Prompts
from sessions.errors import CallError, IwbError
from sessions.file import SessionFile
from sessions.steps import Environment

READ = 2**16
PATIENCE_S = 60.0  # for what must come; never what is measured
SYNCHRONISED = b"\x1b[?2026$p"  # "do you know synchronised updates?"
# Keyboard protocol and queries: nothing of them is painted, and pyte would print the letters of some.
UNPAINTED = re.compile(rb"\x1b\[[<>=?][0-9;]*(?:u|\$p)|\x1b_G[^\x1b]*\x1b\\\\|\x1b\[[0-9;]*t")
KEYS = {
    "escape": b"\x1b", "left": b"\x1b[D", "right": b"\x1b[C", "up": b"\x1b[A", "down": b"\x1b[B",
    "pagedown": b"\x1b[6~", "pageup": b"\x1b[5~", "enter": b"\r", "ctrl+l": b"\x0c", "ctrl+q": b"\x11",
}  # fmt: skip


def workbench(session: Path, *, columns: int = 120, rows: int = 40) -> Terminal:
    """`iwb SESSION` on a terminal of that size."""
    return Terminal("-m", "cli.main", str(session), columns=columns, rows=rows)


class Terminal:
    """A terminal of `columns` x `rows` characters, truecolour, in which Python runs `words` from `started` on."""

    def __init__(self, *words: str, columns: int = 120, rows: int = 40) -> None:
        self.bytes = 0  # sent by the app so far
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "IWB_COLOUR", "COLUMNS", "LINES")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONSAFEPATH": "1"}
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that closing our end hangs it up
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self._screen.display)

    @property
    def painted(self) -> tuple[Any, ...]:
        """Every character on the screen with its colours and attributes."""
        lines, columns = range(self._screen.lines), range(self._screen.columns)
        return tuple(tuple(self._screen.buffer[y][x] for x in columns) for y in lines)

    def receive(self, seconds: float) -> tuple[float, bytes] | None:
        """What comes within that time, at most one piece, and when it came; it is not on the screen until `show`n."""
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return None
        try:
            data = os.read(self._master, READ)
        except OSError:  # Linux says so when the other end is closed
            data = b""
        came = time.perf_counter()
        if not data:
            raise AssertionError(f"iwb ended:\n{self.text}")
        self.bytes += len(data)
        if SYNCHRONISED in data:
            os.write(self._master, b"\x1b[?2026;2$y")  # "yes, off now", as terminals of today answer
        return came, data

    def show(self, data: bytes) -> None:
        """Put what was received on the screen. Slow, as it is Python."""
        self._stream.feed(UNPAINTED.sub(b"", data))

    def read(self, seconds: float) -> float | None:
        """Receive and show one piece; when it came, or None."""
        received = self.receive(seconds)
        if received is None:
            return None
        self.show(received[1])
        return received[0]

    def press(self, key: str) -> float:
        """Press a key by its name; when that was."""
        at = time.perf_counter()
        os.write(self._master, KEYS.get(key, key.encode()))
        return at

    def wait_for(self, there: Callable[[str], bool]) -> float:
        """Read until the screen's text satisfies `there`; when the bytes came that made it so."""
        end = time.perf_counter() + PATIENCE_S
        came = time.perf_counter()
        while not there(self.text):
            if time.perf_counter() > end:
                raise AssertionError(f"this did not come in {PATIENCE_S:.0f} s; the screen shows:\n{self.text}")
            came = self.read(1.0) or came
        return came

    def settle(self, quiet: float = 0.4) -> None:
        """Read until nothing has come for that many seconds."""
        end = time.perf_counter() + PATIENCE_S
        while self.read(quiet) is not None:
            if time.perf_counter() > end:
                raise AssertionError(f"it does not come to rest:\n{self.text}")

    def sent_within(self, seconds: float) -> int:
        """How many bytes come in that time."""
        before, end = self.bytes, time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)
        return self.bytes - before

    def sent_for(self, key: str, *, quiet: float = 0.4) -> int:
        """How many bytes a key costs, all that follows from it included."""
        before = self.bytes
        self.press(key)
        self.settle(quiet)
        return self.bytes - before


@contextmanager
def private_engines(folder: Path) -> Iterator[None]:
    """Engines that this process and its children start meet nobody else's; those of `folder`'s sessions end with it."""
    before = os.environ.get("IWB_RUNTIME_DIR")
    with tempfile.TemporaryDirectory(prefix="iwb-") as runtime:  # a path short enough for sockets
        os.environ["IWB_RUNTIME_DIR"] = runtime
        try:
            yield
        finally:
            for session in folder.glob("*.iwb"):
                with contextlib.suppress(IwbError):
                    asyncio.run(end_engine(session))
            if before is None:
                del os.environ["IWB_RUNTIME_DIR"]
            else:
                os.environ["IWB_RUNTIME_DIR"] = before


async def end_engine(session: Path) -> None:
    """End the engine of that session file and wait until it has let go of it. IwbError when none runs."""
    client = await EngineClient.connect(session, start=False)
    await client.shutdown()
    await client.close()
    end = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < end:
        try:
            SessionFile.open(session).close()
            return
        except CallError:  # it still holds the lock
            await asyncio.sleep(0.05)
    raise AssertionError(f"the engine of {session} does not end")


# ---- session files


def write_session(path: Path, *, tokens: int = 144, steps: int = 1, rows: int = 2000) -> Path:
    """A finished investigation: a model, `rows` prompts, attention over `tokens` tokens, and `steps` sweeps.

    The patterns are noise, the worst case: no two neighbouring cells of the heatmap share a colour.
    """
    layers, heads = 2, 2
    words = tuple(f"w{i}" for i in range(tokens))
    noise = np.random.default_rng(0).random((1, layers, heads, tokens, tokens), dtype=np.float32)
    sweep = np.random.default_rng(1).normal(size=(layers, heads)).astype(np.float32)
    layer_axis, head_axis = Axis("layer", ("L0", "L1")), Axis("head", ("H0", "H1"))
    model = Model(
        title="Model made up",
        source="zoo:made-up",
        family="transformer",
        architecture="none",
        sha256="0" * 64,
        config={"n_layers": layers, "n_heads": heads, "d_model": 8, "n_ctx": tokens},
        parameters=1,
    )
    first = PromptRow(clean=" ".join(words), answers=("w0",), clean_tokens=words)
    others = (PromptRow(clean=f"w{i} w{i + 1} w{i + 2}", answers=("w0",)) for i in range(1, rows))
    patterns = Matrix(
        title="Attention patterns, clean, prompt 1",
        summary="noise",
        facts={"side": "clean", "first": 1, "n": 1, "average": False, "tokens": [list(words)]},
        values=noise,
        axes=(Axis("prompt", ("1",)), layer_axis, head_axis, Axis("query", words), Axis("key", words)),
        unit="attention weight",
    )
    effects = Matrix(
        title="Zero ablation of every head",
        values=sweep,
        axes=(layer_axis, head_axis),
        unit="logits",
        scale="diverging",
    )
    inputs = {"model": 1, "prompts": 2}
    asked = {"model": "@1", "prompts": "@2"}
    with SessionFile.open(path, create=True) as session:
        _add(session, "models.load", {"source": "zoo:made-up"}, {}, model)
        _add(
            session,
            "prompts.make",
            {"task": "made up"},
            {},
            Prompts(title="Words", task="words", rows=(first, *others)),
        )
        _add(session, "circuits.attention_patterns", {**asked, "first": 1, "count": 1}, inputs, patterns)
        for seed in range(steps):
            _add(session, "circuits.head_sweep", asked, inputs, effects, seed=seed)
    return path


def _add(
    session: SessionFile,
    operation: str,
    parameters: dict[str, Any],
    inputs: dict[str, int],
    artifact: AnyArtifact,
    seed: int = 0,
) -> None:
    key = f"{operation} {seed}"
    step = session.add_step(operation=operation, version=1, parameters=parameters, seed=seed, key=key, inputs=inputs)
    session.finish(step.id, [artifact], seconds=0.1, environment=Environment())


def open_at(path: Path, view: str, **selection: Any) -> None:
    """Let the next `iwb` open that session file in that view, with that selection."""
    from tui.selection import Selection, saved

    with SessionFile.open(path) as session:
        session.save_view("view", view)
        session.save_view("selection", saved(Selection(model=1, prompts=2, **selection)))
