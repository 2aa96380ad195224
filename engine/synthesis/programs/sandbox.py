"""A process of its own for interpreting programs, with limits of time and memory. Nothing of the program is executed.

The parent writes the source and then batches of sequences to the child's standard input, as length-prefixed msgpack;
the child answers each with the outputs, or with the error in words. A child that takes too long is killed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
import subprocess
import sys
import threading
from types import TracebackType
from typing import IO, Any

import msgspec
import numpy as np

from engine.synthesis.programs.evaluator import Column, evaluate, parse, trace
from sessions.errors import ErrorRecord, IwbError

MEMORY = 4 * 2**30  # bytes of address space; a chunk of 65,536 sequences needs far less
SECONDS = 60.0  # for one batch


class Block(msgspec.Struct, frozen=True):
    """An array on the wire."""

    shape: tuple[int, ...]
    data: bytes
    dtype: str = "int64"

    @classmethod
    def of(cls, values: Column) -> Block:
        # Most sequences are bits or digits: the smallest type that holds them keeps the pipe short.
        small = np.min_scalar_type(int(np.abs(values).max(initial=0)) * -1 - 1)
        return cls(values.shape, np.ascontiguousarray(values, dtype=small).tobytes(), str(small))

    def array(self) -> Column:
        return np.frombuffer(self.data, dtype=self.dtype).reshape(self.shape).astype(np.int64)


class Batch(msgspec.Struct, frozen=True):
    x: Block
    trace: bool = False


class Answer(msgspec.Struct, frozen=True):
    y: Block | None = None
    turns: list[dict[str, list[int]]] = []
    error: ErrorRecord | None = None


class Sandbox:
    """A child process that knows one program. Use as a context manager.

    Raises CallError when the program is refused (at the first batch) and IwbError when it fails or takes too long.
    """

    def __init__(self, source: str, *, seconds: float = SECONDS) -> None:
        self.source, self.seconds = source, seconds

    def __enter__(self) -> Sandbox:
        # -P: a folder named engine/ in the user's working directory must not shadow ours.
        self.child = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.synthesis.programs.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.to, self.back = self.child.stdin, self.child.stdout
        with contextlib.suppress(BrokenPipeError):
            _write(self.to, self.source)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.child.kill()
        for pipe in (self.to, self.back):
            with contextlib.suppress(OSError):
                pipe.close()
        self.child.wait()

    def outputs(self, x: Column) -> Column:
        """The program's outputs, (sequence, position, output), on (sequence, position, input)."""
        return self._ask(Batch(Block.of(x)))[0]

    def trace(self, x: Column) -> tuple[Column, list[dict[str, list[int]]]]:
        """The outputs, and the variables after each turn of the loop: name -> one number per sequence."""
        return self._ask(Batch(Block.of(x), trace=True))

    def _ask(self, batch: Batch) -> tuple[Column, list[dict[str, list[int]]]]:
        clock = threading.Timer(self.seconds, self.child.kill)
        clock.start()
        try:
            _write(self.to, batch)
            frame = _read(self.back)
        except OSError:
            frame = None
        finally:
            late = not clock.is_alive()
            clock.cancel()
        if frame is None:
            raise IwbError(
                f"the program did not finish within {self.seconds:g} seconds"
                if late
                else "the program used too much memory or time",
                "sandbox",
                "give it fewer or shorter sequences",
            )
        answer = msgspec.msgpack.decode(frame, type=Answer)
        if answer.error is not None or answer.y is None:
            raise (answer.error or ErrorRecord("the program gave no answer")).error()
        return answer.y.array(), answer.turns


def _write(pipe: IO[bytes], value: Any) -> None:
    frame = msgspec.msgpack.encode(value)
    pipe.write(struct.pack(">Q", len(frame)) + frame)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """The next frame, None when the other side is gone."""
    head = pipe.read(8)
    if len(head) < 8:
        return None
    (size,) = struct.unpack(">Q", head)
    frame = pipe.read(size)
    return frame if len(frame) == size else None


def serve() -> None:
    """The child's side: answer batches until the parent goes away."""
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a system may not know a limit, or have a lower one already
            resource.setrlimit(what, (most, most))
    into, out = sys.stdin.buffer, sys.stdout.buffer
    frame = _read(into)
    source = msgspec.msgpack.decode(frame, type=str) if frame is not None else ""
    while (frame := _read(into)) is not None:
        batch = msgspec.msgpack.decode(frame, type=Batch)
        try:
            parse(source)
            x = batch.x.array()
            y, turns = trace(source, x) if batch.trace else (evaluate(source, x), [])
            answer = Answer(Block.of(y), turns)
        except IwbError as error:
            answer = Answer(error=ErrorRecord.of(error))
        except MemoryError:
            answer = Answer(error=ErrorRecord("the program needs too much memory", "sandbox"))
        _write(out, answer)


if __name__ == "__main__":
    serve()
