"""The benchmark's 62 tasks as data: name, inputs, range, length, how sequences are drawn, and the exact target.

Source: arXiv:2402.05110 and its data scripts (mips_benchmark, section 1). For training and checking only: no method
that extracts a program may look at a target or at a task's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from engine.synthesis.tasks import targets
from engine.synthesis.tasks.targets import Sequences, Target
from sessions.errors import CallError, nearest

Draw = Callable[["Task", int, np.random.Generator], Sequences]


class Task(NamedTuple):
    """One task. Elements are independent and uniform over low..high unless `draw` says otherwise; all outputs count."""

    name: str
    inputs: int
    low: int
    high: int
    length: int
    target: Target
    outputs: int = 1
    draw: Draw | None = None

    @property
    def number(self) -> int:
        """Its place in the benchmark's table, 1..62."""
        return 1 + [known.name for known in TASKS].index(self.name)

    @property
    def domain(self) -> int:
        """How many input sequences there are."""
        return int((self.high - self.low + 1) ** (self.inputs * self.length))

    def sequences(self, count: int, seed: int = 42) -> Sequences:
        """`count` random input sequences, (sequence, position, input)."""
        rng = np.random.default_rng(seed)
        return self.draw(self, count, rng) if self.draw is not None else uniform(self, count, rng)

    def data(self, count: int, seed: int = 42) -> tuple[Sequences, Sequences]:
        """Random input sequences and their targets. The same seed gives the same data."""
        x = self.sequences(count, seed)
        return x, self.target(x)


def uniform(task: Task, count: int, rng: np.random.Generator) -> Sequences:
    return rng.integers(task.low, task.high + 1, (count, task.length, task.inputs)).astype(np.int64)


def without_duplicates(task: Task, count: int, rng: np.random.Generator) -> Sequences:
    """Sequences drawn, duplicates removed, shuffled (note a)."""
    found = np.unique(uniform(task, count, rng), axis=0)
    while len(found) < min(count, task.domain):
        found = np.unique(np.concatenate([found, uniform(task, count, rng)]), axis=0)
    return found[rng.permutation(len(found))][:count]


def begins_as_palindrome(task: Task, count: int, rng: np.random.Generator) -> Sequences:
    """A palindrome of uniform length 2..10, then uniform bits (note b)."""
    x = uniform(task, count, rng)
    lengths = rng.integers(2, task.length + 1, count)
    for length in range(2, task.length + 1):
        rows = np.flatnonzero(lengths == length)
        half = length // 2
        x[rows, length - half : length] = x[rows, :half][:, ::-1]
    return x


BITS, DIGITS, HUNDRED, SIGNED, FORCES = (0, 1), (0, 9), (0, 99), (-100, 99), (-10, 10)


def _one(name: str, span: tuple[int, int], target: Target, length: int = 10, draw: Draw | None = None) -> Task:
    return Task(name, 1, *span, length, target, draw=draw)


def _two(name: str, span: tuple[int, int], target: Target, outputs: int = 1) -> Task:
    return Task(name, 2, *span, 10, target, outputs)


TASKS: tuple[Task, ...] = (
    _two("Binary_Addition", BITS, targets.addition(2)),
    *(_two(f"Base_{base}_Addition", (0, base - 1), targets.addition(base)) for base in range(3, 8)),
    _two("Bitwise_Xor", BITS, targets.bitwise(np.bitwise_xor)),
    _two("Bitwise_Or", BITS, targets.bitwise(np.bitwise_or)),
    _two("Bitwise_And", BITS, targets.bitwise(np.bitwise_and)),
    _one("Bitwise_Not", BITS, targets.bit_not),
    *(_one(f"Parity_Last{count}", BITS, targets.parity_last(count)) for count in (2, 3, 4)),
    _one("Parity_All", BITS, targets.modulo(targets.running_sum, 2)),
    _one("Parity_Zeros", BITS, targets.modulo(targets.counted(lambda x: x == 0), 2)),
    _one("Evens_Counter", DIGITS, targets.counted(lambda x: x % 2 == 0)),
    _one("Sum_All", HUNDRED, targets.running_sum),
    *(_one(f"Sum_Last{count}", HUNDRED, targets.sum_last(count), 10 if count < 5 else 20) for count in range(2, 8)),
    _one("Current_Number", HUNDRED, targets.previous(0)),
    *(_one(f"Prev{back}", HUNDRED, targets.previous(back), 10 if back < 5 else 20) for back in range(1, 6)),
    _one("Previous_Equals_Current", (0, 7), targets.equals_previous, draw=without_duplicates),
    _one("Diff_Last2", SIGNED, targets.difference),
    _one("Abs_Diff", SIGNED, targets.absolute_difference),
    _one("Abs_Current", SIGNED, targets.absolute),
    _one("Diff_Abs_Values", SIGNED, targets.difference_of_absolutes),
    _one("Min_Seen", DIGITS, targets.smallest_seen),
    _one("Max_Seen", HUNDRED, targets.largest_seen),
    *(_one(f"Majority_0_{high}", (0, high), targets.majority(high + 1)) for high in (1, 2, 3)),
    _one("Evens_Detector", DIGITS, targets.even),
    _one("Perfect_Square_Detector", (0, 19), targets.one_of((0, 1, 4, 9, 16))),
    _one("Bit_Palindrome", BITS, targets.palindromes, draw=begins_as_palindrome),
    _one("Balanced_Parenthesis", BITS, targets.balanced),
    _one("Parity_Bits_Mod2", BITS, targets.clock_parity),
    *(_one(f"Alternating_Last{count}", BITS, targets.alternating(count)) for count in (3, 4)),
    _one("Bit_Shift_Right", BITS, targets.previous(1)),
    _two("Bit_Dot_Prod_Mod2", BITS, targets.dot_product_mod2),
    *(_one(f"Div_{divisor}", BITS, targets.division(divisor)) for divisor in (3, 5, 7)),
    *(_one(f"Add_Mod_{m}", (0, m - 1), targets.modulo(targets.running_sum, m)) for m in range(3, 9)),
    _one("Dithering", (0, 15), targets.dithering),
    _one("Newton_Freebody", FORCES, targets.freebody),
    _one("Newton_Gravity", FORCES, targets.gravity),
    _one("Newton_Spring", FORCES, targets.spring),
    _two("Newton_Magnetic", FORCES, targets.magnetic, outputs=2),
)


def task(name: str) -> Task:
    """The task of that name. CallError with the nearest known one."""
    for known in TASKS:
        if known.name == name:
            return known
    raise CallError(f"'{name}' is not a task of the benchmark", remedy=nearest(name, [t.name for t in TASKS]))
