"""The exact targets of the benchmark's 62 tasks, for training and checking only.

Source: arXiv:2402.05110 and its data scripts (mips_benchmark, section 1). A target maps (sequence, position, input)
integers to (sequence, position, output) integers, causally; elements before the start count as 0. Written over whole
sequences (windows, cumulative sums); the specifications that proofs use are written as loops, apart from these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Sequences = np.ndarray[Any, np.dtype[np.int64]]
Target = Callable[[Sequences], Sequences]


def numbers(values: Any) -> Sequences:
    """Truth values and numbers as integers."""
    found: Sequences = np.asarray(values).astype(np.int64)
    return found


def lagged(x: Sequences, back: int) -> Sequences:
    """The elements `back` positions earlier, 0 before the start."""
    return np.pad(x, ((0, 0), (back, 0), (0, 0)))[:, : x.shape[1]]


def recurrent(step: Callable[[Sequences, Sequences], tuple[Sequences, Sequences]], state: int = 1) -> Target:
    """The target of `state, y = step(state, x)` from state 0: (sequence, state), (sequence, input)."""

    def target(x: Sequences) -> Sequences:
        now = np.zeros((len(x), state), dtype=np.int64)
        ys = []
        for t in range(x.shape[1]):
            now, y = step(now, x[:, t])
            ys.append(y)
        return np.stack(ys, axis=1)

    return target


def addition(base: int) -> Target:
    """Digits of the sum, least significant first; the last carry is dropped."""

    def step(carry: Sequences, x: Sequences) -> tuple[Sequences, Sequences]:
        total = x.sum(axis=1, keepdims=True) + carry
        return total // base, total % base

    return recurrent(step)


def bitwise(operation: Callable[[Sequences, Sequences], Sequences]) -> Target:
    return lambda x: operation(x[:, :, :1], x[:, :, 1:])


def bit_not(x: Sequences) -> Sequences:
    return 1 - x


def sum_last(count: int) -> Target:
    return lambda x: np.sum([lagged(x, back) for back in range(count)], axis=0)


def parity_last(count: int) -> Target:
    return lambda x: sum_last(count)(x) % 2


def counted(condition: Callable[[Sequences], Sequences]) -> Target:
    """How many elements so far meet the condition."""
    return lambda x: np.cumsum(condition(x).astype(np.int64), axis=1)


def modulo(target: Target, base: int) -> Target:
    return lambda x: target(x) % base


def running_sum(x: Sequences) -> Sequences:
    return np.cumsum(x, axis=1)


def previous(back: int) -> Target:
    return lambda x: lagged(x, back)


def equals_previous(x: Sequences) -> Sequences:
    return numbers(x == lagged(x, 1))


def difference(x: Sequences) -> Sequences:
    return x - lagged(x, 1)


def absolute_difference(x: Sequences) -> Sequences:
    return np.abs(difference(x))


def absolute(x: Sequences) -> Sequences:
    return np.abs(x)


def difference_of_absolutes(x: Sequences) -> Sequences:
    return difference(np.abs(x))


def smallest_seen(x: Sequences) -> Sequences:
    return np.minimum.accumulate(x, axis=1)


def largest_seen(x: Sequences) -> Sequences:
    return np.maximum.accumulate(x, axis=1)


def majority(values: int) -> Target:
    """The most frequent value so far, the smallest of those that tie."""

    def target(x: Sequences) -> Sequences:
        counts = np.cumsum(x == np.arange(values), axis=1)  # (sequence, position, value)
        leading: Sequences = counts.argmax(axis=2)[:, :, None].astype(np.int64)
        return leading

    return target


def one_of(values: tuple[int, ...]) -> Target:
    return lambda x: np.isin(x, values).astype(np.int64)


def even(x: Sequences) -> Sequences:
    return numbers(x % 2 == 0)


def palindromes(x: Sequences) -> Sequences:
    bits = x[:, :, 0]
    found = [(bits[:, :t] == bits[:, :t][:, ::-1]).all(axis=1) for t in range(1, bits.shape[1] + 1)]
    return numbers(np.stack(found, axis=1))[:, :, None]


def balanced(x: Sequences) -> Sequences:
    """0 opens, 1 closes; a negative depth is never left."""
    depth = np.cumsum(1 - 2 * x, axis=1)
    alive = np.minimum.accumulate(depth, axis=1) >= 0
    return numbers((depth == 0) & alive)


def clock_parity(x: Sequences) -> Sequences:
    """0, 1, 0, 1, ... whatever the input."""
    return np.broadcast_to(np.arange(x.shape[1])[None, :, None] % 2, x.shape).astype(np.int64)


def alternating(count: int) -> Target:
    """1 if the last `count` bits alternate."""

    def target(x: Sequences) -> Sequences:
        pairs = [lagged(x, back) != lagged(x, back + 1) for back in range(count - 1)]
        return numbers(np.all(pairs, axis=0))

    return target


def dot_product_mod2(x: Sequences) -> Sequences:
    return numbers(np.cumsum(x.prod(axis=2, keepdims=True), axis=1) % 2)


def division(divisor: int) -> Target:
    """Quotient bits of long division, most significant first."""

    def step(remainder: Sequences, x: Sequences) -> tuple[Sequences, Sequences]:
        value = 2 * remainder + x
        return value % divisor, value // divisor

    return recurrent(step)


def dithering(x: Sequences) -> Sequences:
    whole = np.cumsum(x, axis=1) // 15
    return whole - lagged(whole, 1)


def freebody(x: Sequences) -> Sequences:
    return np.cumsum(np.cumsum(x, axis=1), axis=1)


def gravity(x: Sequences) -> Sequences:
    return freebody(x - 1)


def spring(x: Sequences) -> Sequences:
    def step(state: Sequences, force: Sequences) -> tuple[Sequences, Sequences]:
        speed = state[:, :1] + force - state[:, 1:]
        position = state[:, 1:] + speed
        return np.concatenate([speed, position], axis=1), position

    return recurrent(step, 2)(x)


def magnetic(x: Sequences) -> Sequences:
    def step(state: Sequences, force: Sequences) -> tuple[Sequences, Sequences]:
        vx, vy = state[:, 0], state[:, 1]
        speed = np.stack([vx + force[:, 0] - vy, vy + force[:, 1] + vx], axis=1)
        position = state[:, 2:] + speed
        return np.concatenate([speed, position], axis=1), position

    return recurrent(step, 4)(x)
