"""Which networks are tried when nobody says: a short list, the same for every task, in order of size.

It sees data only. First a question to the data that costs a moment: are the outputs affine in the inputs, and how many
numbers must then be remembered? If so, affine networks of that size are all it takes; else one affine network is tried
for a while (rounding forgives much: `or` of two bits is learnt by one), and then all others side by side, of which the
worse half is given up again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.synthesis.tasks.benchmark import Task
from engine.synthesis.tasks.targets import Sequences
from engine.synthesis.training.architectures import Network
from engine.synthesis.training.batched import Recipe


class Entry(NamedTuple):
    """One architecture and how it is trained."""

    network: Network
    recipe: Recipe


class Stage(NamedTuple):
    """Architectures trained in turn, each up to the first milestone (a number of steps), then each up to the next.

    `thin`: after each milestone but the last the worse half of the architectures is given up, and the worse half of
    the networks of each that stays (two stay at least).
    """

    entries: tuple[Entry, ...]
    milestones: tuple[int, ...]
    thin: bool = False


def stages(task: Task, base: Recipe, seed: int) -> list[Stage]:
    """The stages of the portfolio for a task's data; the next is entered when one ends without an exact network."""
    x = task.sequences(4096, seed)
    rank = linear_rank(x, task.target(x))
    affine = base._replace(curriculum=False)
    if rank is not None:
        return [Stage((Entry(Network(n), affine),), (base.steps,)) for n in range(max(1, rank), rank + 3)]
    short = base.steps // 4
    wide = task.high - task.low > 2
    quick = base._replace(lr=2 * base.lr)
    kinks = quick._replace(squared=True)
    others = (
        Entry(Network(1, (6,)), quick),
        Entry(Network(1, (16,)), kinks),
        Entry(Network(1, (32,)), kinks),
        Entry(Network(1, (48,)), kinks._replace(spread=wide)),
        Entry(Network(2, (8,)), quick),
        Entry(Network(2, (16,)), base._replace(spread=wide)),
        Entry(Network(3, (12,)), base),
        Entry(Network(3, (48,)), base._replace(squared=True)),
        Entry(Network(4, (24,)), base),
        Entry(Network(4, (64,)), base._replace(spread=wide)),
        Entry(Network(2, (), (8,)), base),
        Entry(Network(4, (32,), (32, 32)), base._replace(lr=0.6 * base.lr, squared=True, spread=wide)),
    )
    milestones = tuple(base.steps // part for part in (4, 2, 1))
    return [
        Stage((Entry(Network(1), affine._replace(steps=short)),), (short,)),
        Stage(others, milestones, thin=True),
    ]


def linear_rank(x: Sequences, y: Sequences) -> int | None:
    """How many numbers must be remembered, if every output is an affine function of the inputs so far, the same at
    every position; None if it is not. Numbers that do not depend on the inputs (a clock) are not counted.

    It is the rank of the Hankel matrix of the response to a single input (Ho and Kalman), plus what is read at once.
    """
    count, length, inputs = x.shape
    back = x[:, ::-1].reshape(count, -1)  # the newest input first
    fitted = np.linalg.lstsq(np.column_stack([back, np.ones(count)]), y[:, -1].astype(float), rcond=None)[0]
    if count < back.shape[1] + 2:
        return None
    kernel = fitted[:-1].reshape(length, inputs, -1)
    for t in range(length):
        part = kernel[: t + 1].reshape(-1, kernel.shape[2])
        rest = y[:, t] - back[:, (length - 1 - t) * inputs :] @ part
        if np.ptp(rest, axis=0).max() > 1e-6 * max(1.0, float(np.abs(y).max())):
            return None
    half = (length + 1) // 2
    hankel = np.block([[kernel[i + j].T for j in range(length - half + 1)] for i in range(half)])
    return int(np.linalg.matrix_rank(hankel, tol=1e-6 * max(1.0, float(np.abs(hankel).max()))))


def better(scores: Sequence[float]) -> list[int]:
    """Places of the better half, in their order; of equals the earlier, which is the smaller network."""
    ranked = sorted(range(len(scores)), key=lambda place: -scores[place])
    return sorted(ranked[: (len(scores) + 1) // 2])
