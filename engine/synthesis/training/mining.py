"""The last mistakes of a network that is nearly right: it is trained on with the sequences that it does worst.

A network that misses one sequence in a million never meets it in a random batch. Each round looks at many sequences,
keeps the worst of them beside the worst so far, and trains some steps on half of those and half fresh ones, with a loss
that minds errors beyond a fifth most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.models.rnn import unroll
from engine.synthesis.tasks.benchmark import Task

LOOKED_AT, HARDEST, KEPT = 50_000, 1_024, 6_000  # sequences: per look, added by each, and kept in all
STEPS, BATCH = 150, 640  # training steps per round, sequences in each
MINDED = 0.2  # an error up to which only the plain loss counts
ENOUGH = 0.25  # the largest error of a whole look at which it is done

Sequences = Int[np.ndarray[Any, Any], "sequence pos input"]


def mined(
    weights: dict[str, Tensor],
    task: Task,
    *,
    rounds: int,
    lr: float,
    seed: int,
    report: Callable[[int, float], None] = lambda number, worst: None,
) -> dict[str, Tensor]:
    """The network trained on for up to so many rounds; sooner where no sequence looked at is off by more than ENOUGH.

    `report(round, largest error)` is called before each round's training.
    """
    rng = np.random.default_rng(seed)
    trained = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(trained.values(), lr=lr)
    hardest = np.zeros((0, task.length, task.inputs), dtype=np.int64)
    for number in range(rounds):
        x = varied(task, LOOKED_AT, rng)
        errors = _largest_errors(trained, task, x)
        hardest = np.concatenate([hardest, x[np.argsort(-errors)[:HARDEST]]])
        again = _largest_errors(trained, task, hardest)
        hardest = hardest[np.argsort(-again)[:KEPT]]
        worst = max(float(errors.max()), float(again.max()))
        report(number, worst)
        if worst < ENOUGH:
            break
        optimizer.param_groups[0]["lr"] = lr * (1 - number / rounds) + 1e-5
        for _ in range(STEPS):
            batch = np.concatenate([hardest[rng.integers(0, len(hardest), BATCH // 2)], varied(task, BATCH // 2, rng)])
            error = _errors(trained, task, batch)
            loss = (error**2).mean() + 20 * (torch.relu(error.abs() - MINDED) ** 2).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(list(trained.values()), 1.0)
            optimizer.step()
    return {name: w.detach() for name, w in trained.items()}


def varied(task: Task, count: int, rng: np.random.Generator) -> Sequences:
    """A quarter of two values, a quarter with many ends of the range, the rest uniform."""
    x = rng.integers(task.low, task.high + 1, (count, task.length, task.inputs))
    part = count // 4
    pairs = rng.integers(task.low, task.high + 1, (part, 2, task.inputs))
    x[:part] = np.take_along_axis(pairs, rng.integers(0, 2, (part, task.length, 1)), axis=1)
    ends = rng.choice([task.low, task.high], (part, task.length, 1))
    x[part : 2 * part] = np.where(rng.random((part, task.length, 1)) < 0.5, ends, x[part : 2 * part])
    return x.astype(np.int64)


def _errors(weights: dict[str, Tensor], task: Task, x: Sequences) -> Float[Tensor, "sequence pos output"]:
    wanted = torch.tensor(task.target(x), dtype=torch.float32)
    return unroll(weights, torch.tensor(x, dtype=torch.float32))[1] - wanted


@torch.no_grad()
def _largest_errors(weights: dict[str, Tensor], task: Task, x: Sequences) -> Float[np.ndarray[Any, Any], " sequence"]:
    found: Float[np.ndarray[Any, Any], " sequence"] = _errors(weights, task, x).abs().flatten(1).amax(dim=1).numpy()
    return found
