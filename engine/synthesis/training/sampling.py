"""What a network is trained on: sequences of a task, drawn once, from which each step takes a batch."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engine.synthesis.domain import Domain
from engine.synthesis.tasks.benchmark import Task
from engine.synthesis.training.batched import Batch

POOL = 2**17
ALL = 4096  # so many sequences at most are all taken, as the prefixes they share
WIDE = 10  # a range of more values than this is also sampled near 0


def every_sequence(task: Task) -> bool:
    """Whether a batch may be all sequences there are."""
    return task.inputs == 1 and task.domain <= ALL


def batches(task: Task, size: int, seed: int, *, whole: bool, near_zero: float = 0.25) -> Batch:
    """Batches of the task; `whole`: every sequence each time, in counting order.

    Of a wide range (0..99, say) the share `near_zero` of the sequences is drawn from a narrower one, a random width for
    each sequence: uniform ones hardly ever hold two small numbers in a row.
    """
    if whole:
        domain = Domain(task.inputs, task.low, task.high, task.length)
        x = domain.numbered(np.arange(domain.size))
    else:
        x = task.sequences(POOL, seed)
        if task.high - task.low + 1 > WIDE and task.draw is None:
            rng = np.random.default_rng([seed, 1])
            some = round(near_zero * POOL)
            narrower = np.rint(x[:some] * rng.random((some, 1, 1)) ** 2).astype(np.int64)
            x[:some] = np.clip(narrower, task.low, task.high)
    inputs, wanted = (torch.tensor(part, dtype=torch.float32) for part in (x, task.target(x)))

    def batch(
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "batch pos inputs"], Float[Tensor, "batch pos outputs"]]:
        if whole:
            return inputs, wanted
        rows = torch.randint(0, len(inputs), (size,), generator=generator)
        return inputs[rows], wanted[rows]

    return batch
