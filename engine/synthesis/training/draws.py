"""Training sequences where uniform ones seldom show what matters. Bits and symbols as the task has them."""

from __future__ import annotations

import numpy as np

from engine.synthesis.tasks.benchmark import Task
from engine.synthesis.tasks.targets import Sequences


def brackets(task: Task, size: int, length: int, rng: np.random.Generator) -> Sequences:
    """Bits with a bias of their own per sequence; in half of the sequences most closings at depth 0 become openings.

    Of uniform sequences almost none is still without an error at the end.
    """
    x = (rng.random((size, length, 1)) < rng.uniform(0.2, 0.8, (size, 1, 1))).astype(np.int64)
    depth = np.zeros(size // 2, dtype=np.int64)
    for t in range(length):
        fatal = (depth == 0) & (x[: size // 2, t, 0] == 1) & (rng.random(size // 2) < 0.9)
        x[: size // 2, t, 0][fatal] = 0
        depth = np.where(depth < 0, -1, depth + 1 - 2 * x[: size // 2, t, 0])
    return x


def ties(task: Task, size: int, length: int, rng: np.random.Generator) -> Sequences:
    """Uniform in half of the sequences; in the others half of the symbols are drawn among those that are behind the
    most frequent one, so that the lead changes often."""
    symbols = task.high - task.low + 1
    x = rng.integers(0, symbols, (size, length, 1))
    half = size // 2
    counts, rows = np.zeros((half, symbols), dtype=np.int64), np.arange(half)
    for t in range(length):
        behind = counts < counts.max(axis=1, keepdims=True)
        chosen = (rng.random((half, symbols)) * behind).argmax(axis=1)
        used = behind.any(axis=1) & (rng.random(half) < 0.5)
        x[:half, t, 0] = np.where(used, chosen, x[:half, t, 0])
        counts[rows, x[:half, t, 0]] += 1
    return x + task.low


def borders(task: Task, size: int, length: int, rng: np.random.Generator) -> Sequences:
    """Uniform in half of the sequences; in the others half of the elements bring the running sum to a multiple of the
    highest value or leave it one short of it, where a remainder is easily taken for the next."""
    x = rng.integers(task.low, task.high + 1, (size, length, 1))
    half = size // 2
    total = np.zeros(half, dtype=np.int64)
    for t in range(length):
        missing = task.high - total % task.high - rng.integers(0, 2, half)
        x[:half, t, 0] = np.where(rng.random(half) < 0.5, missing, x[:half, t, 0])
        total += x[:half, t, 0]
    return x


DRAWS = {"brackets": brackets, "ties": ties, "borders": borders}
