"""How exact a network is: on all inputs where these are few, else on many fresh ones and on ones made to be awkward.

The paper calls a network perfect when one batch of 65,536 test sequences comes out right; that leaves errors on one in
a hundred thousand unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from engine.models.rnn import Weights, unroll
from engine.synthesis.domain import Domain
from engine.synthesis.tasks.benchmark import Task
from engine.synthesis.tasks.targets import Sequences

MOST = 2**20  # all sequences, if there are no more
FRESH = 2**18
CHUNK = 2**14


class Judged(NamedTuple):
    """Sequences whose outputs are all right after rounding, those tested, whether these are all there are, and the
    largest output error before rounding."""

    right: int
    tested: int
    exhaustive: bool
    worst: float

    @property
    def exact(self) -> bool:
        return self.right == self.tested

    def __str__(self) -> str:
        which = "all there are" if self.exhaustive else "a sample, not all"
        return f"{self.right:,} of {self.tested:,} sequences right ({which}), largest error {self.worst:.2g}"


def judge(
    weights: Weights,
    task: Task,
    seed: int,
    *,
    give_up: bool = False,
    fresh: int = FRESH,
    tick: Callable[[], None] | None = None,
) -> Judged:
    """Judge one network. `give_up`: stop after the first chunk with a mistake. `fresh`: random sequences, if there are
    too many to try all. `tick` is called between chunks."""
    right, tested, worst = 0, 0, 0.0
    with torch.no_grad():
        for x in trials(task, seed, fresh):
            y = unroll(weights, torch.tensor(x, dtype=torch.float32))[1].numpy()
            error = np.abs(y - task.target(x)).reshape(len(x), -1).max(axis=1)
            right += int((error < 0.5).sum())
            tested += len(x)
            worst = max(worst, float(np.nan_to_num(error, nan=np.inf).max()))
            if tick is not None:
                tick()
            if give_up and right < tested:
                break
    return Judged(right, tested, task.domain <= MOST, worst)


def trials(task: Task, seed: int, fresh: int = FRESH) -> Iterator[Sequences]:
    """The sequences to judge on, in chunks; fresh ones have seeds of their own."""
    if task.domain <= MOST:
        yield from Domain(task.inputs, task.low, task.high, task.length).chunks(CHUNK)
        return
    yield awkward(task, seed)
    for chunk in range(-(-fresh // CHUNK)):
        yield task.sequences(CHUNK, 1_000_003 * (seed + 1) + chunk)


def awkward(task: Task, seed: int) -> Sequences:
    """Sequences that uniform drawing all but never gives: constants, alternations, steps, single pulses, and random
    ones of the two extremes only, of few other values in between, of a slowly changing value."""
    shape, low, high = (task.length, task.inputs), task.low, task.high
    values = np.unique(np.rint(np.linspace(low, high, min(high - low + 1, 24))).astype(np.int64)).tolist()
    found = []
    for a in values:
        for b in values:
            found.append(np.where(np.arange(task.length)[:, None] % 2 == 0, a, np.full(shape, b)))
    ends = sorted({low, high, min(max(0, low), high), min(max(1, low), high)})
    for a in ends:
        for b in ends:
            for at in range(task.length):
                found.append(np.where(np.arange(task.length)[:, None] < at, a, np.full(shape, b)))
                found.append(np.where(np.arange(task.length)[:, None] == at, a, np.full(shape, b)))
    rng, many = np.random.default_rng([seed, 7]), (2048, *shape)
    extremes = rng.choice([low, high], many)
    fresh = rng.integers(low, high + 1, many)
    sparse = np.where(rng.random(many) < 0.15, fresh, rng.choice([low, high], (2048, 1, 1)))
    slow = np.clip(fresh[:, :1] + np.cumsum(rng.integers(-1, 2, many), axis=1), low, high)
    return np.concatenate([np.stack(found), extremes, sparse, slow]).astype(np.int64)
