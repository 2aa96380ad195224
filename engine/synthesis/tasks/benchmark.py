"""The benchmark's tasks as data: name, inputs, range, length, and the exact target function, for checking only.

Source: arXiv:2402.05110 and its data scripts. A target maps (sequence, position, input) to (sequence, position,
output), integers to integers, causally. No extraction method may look at a target or at a task's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sessions.errors import CallError, nearest

Sequences = np.ndarray[Any, np.dtype[np.int64]]
Target = Callable[[Sequences], Sequences]


class Task(NamedTuple):
    """One task. Elements are independent and uniform over low..high, both included; all `length` outputs count."""

    name: str
    inputs: int
    low: int
    high: int
    length: int
    target: Target
    outputs: int = 1

    @property
    def domain(self) -> int:
        """How many input sequences there are."""
        return int((self.high - self.low + 1) ** (self.inputs * self.length))

    def sequences(self, count: int, seed: int = 42) -> Sequences:
        """`count` random input sequences, (sequence, position, input)."""
        draw = np.random.default_rng(seed).integers(self.low, self.high + 1, (count, self.length, self.inputs))
        return draw.astype(np.int64)

    def data(self, count: int, seed: int = 42) -> tuple[Sequences, Sequences]:
        """Random input sequences and their targets. The same seed gives the same data."""
        x = self.sequences(count, seed)
        return x, self.target(x)


def _recurrent(
    step: Callable[[Sequences, Sequences], tuple[Sequences, Sequences]], start: tuple[int, ...] = (0,)
) -> Target:
    """The target of `state, y = step(state, x)`: state (sequence, k), x (sequence, input), y (sequence, output)."""

    def target(x: Sequences) -> Sequences:
        state = np.tile(np.array(start, dtype=np.int64), (x.shape[0], 1))
        ys = []
        for t in range(x.shape[1]):
            state, y = step(state, x[:, t])
            ys.append(y)
        return np.stack(ys, axis=1)

    return target


def _addition(base: int) -> Target:
    """Digits of the sum, least significant first; the last carry is dropped."""

    def step(carry: Sequences, x: Sequences) -> tuple[Sequences, Sequences]:
        total = x.sum(axis=1, keepdims=True) + carry
        return total // base, total % base

    return _recurrent(step)


def _division(divisor: int) -> Target:
    """Quotient bits of long division, most significant first."""

    def step(remainder: Sequences, x: Sequences) -> tuple[Sequences, Sequences]:
        v = 2 * remainder + x
        return v % divisor, v // divisor

    return _recurrent(step)


def _balanced(depth: Sequences, x: Sequences) -> tuple[Sequences, Sequences]:
    # 0 opens, 1 closes; a negative depth is never left.
    after = np.where(depth < 0, -1, depth + 1 - 2 * x)
    return after, (after == 0).astype(np.int64)


def _sum_mod2(x: Sequences) -> Sequences:
    return np.cumsum(x, axis=1) % 2


def _parity_last3(x: Sequences) -> Sequences:
    padded = np.pad(x, ((0, 0), (2, 0), (0, 0)))
    return (padded[:, 2:] + padded[:, 1:-1] + padded[:, :-2]) % 2


def _dot_mod2(x: Sequences) -> Sequences:
    return np.cumsum(x.prod(axis=2, keepdims=True), axis=1) % 2


TASKS: tuple[Task, ...] = (
    Task("Binary_Addition", 2, 0, 1, 10, _addition(2)),
    Task("Parity_Last3", 1, 0, 1, 10, _parity_last3),
    Task("Parity_All", 1, 0, 1, 10, _sum_mod2),
    Task("Balanced_Parenthesis", 1, 0, 1, 10, _recurrent(_balanced)),
    Task("Bit_Dot_Prod_Mod2", 2, 0, 1, 10, _dot_mod2),
    Task("Div_3", 1, 0, 1, 10, _division(3)),
)


def task(name: str) -> Task:
    """The task of that name. CallError with the nearest known one."""
    for known in TASKS:
        if known.name == name:
            return known
    raise CallError(f"'{name}' is not a task of the benchmark", remedy=nearest(name, [t.name for t in TASKS]))
