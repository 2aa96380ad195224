"""What a network does, seen from outside: its rounded outputs on chosen sequences, and the network to ask for more.

The sequences are all there are, where they are few. Otherwise: uniform ones, ones from two or three values only (so
that the same situations come back), runs, and mostly quiet ones. Every route's loop is held against all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.checks.agreement import network_outputs, spelled
from engine.synthesis.domain import Domain
from engine.synthesis.programs.loop import Loop

Sequences = Int[np.ndarray[Any, Any], "sequence pos value"]
WHOLE = 4096  # up to so many sequences are all looked at; of more, so many


class Behaviour(NamedTuple):
    """Inputs (sequence, position, input), the network's rounded outputs there, its hidden states after each input."""

    domain: Domain
    x: Sequences
    y: Sequences
    hidden: Float[np.ndarray[Any, Any], "sequence pos hidden"]
    whole: bool
    ask: Callable[[Sequences], Sequences]

    @property
    def inputs(self) -> int:
        return int(self.x.shape[2])

    @property
    def outputs(self) -> int:
        return int(self.y.shape[2])

    def with_more(self, x: Sequences) -> Behaviour:
        """The same with further sequences looked at (their hidden states are not kept)."""
        return self._replace(x=np.concatenate([self.x, x]), y=np.concatenate([self.y, self.ask(x)]), whole=self.whole)

    def difference(self, loop: Loop) -> str:
        """The first sequence on which a loop departs from the network, in words; empty where it never does."""
        try:
            y = loop.run(self.x)[1]
        except ZeroDivisionError:
            return "divides by zero"
        wrong = (y != self.y).any(axis=2)
        if not wrong.any():
            return ""
        one = int(np.flatnonzero(wrong.any(axis=1))[0])
        at = int(np.flatnonzero(wrong[one])[0])
        return f"{spelled(self.x[one])} at position {at + 1}: {y[one, at].tolist()}, network {self.y[one, at].tolist()}"


def observe(model: RecurrentModel, domain: Domain, rng: np.random.Generator) -> Behaviour:
    """The network's behaviour on all sequences of the domain, or on `WHOLE` of them."""

    def ask(x: Sequences) -> Sequences:
        return network_outputs(model, x)

    whole = domain.size <= WHOLE
    x = domain.numbered(np.arange(domain.size)) if whole else varied(domain, WHOLE, rng)
    hidden = model.run(torch.tensor(x, dtype=torch.float32))[0].to("cpu", torch.float64).numpy()
    return Behaviour(domain, x, ask(x), hidden, whole, ask)


def varied(domain: Domain, count: int, rng: np.random.Generator) -> Sequences:
    """Random sequences in equal parts: uniform; from 2 values; from 3 values; runs; mostly one value."""
    part = -(-count // 5)
    uniform = domain.sample(part, rng)
    kinds = [uniform]
    for values in (2, 3):
        pool = rng.integers(domain.low, domain.high + 1, (part, values, domain.inputs))
        chosen = rng.integers(0, values, (part, domain.length, domain.inputs))
        kinds.append(np.take_along_axis(pool, chosen, axis=1))
    runs = domain.sample(part, rng)
    stay = rng.random((part, domain.length, 1)) < 0.6
    for t in range(1, domain.length):
        runs[:, t] = np.where(stay[:, t], runs[:, t - 1], runs[:, t])
    quiet = domain.sample(part, rng)
    rest = domain.sample(part, rng)[:, :1]
    kinds += [runs, np.where(rng.random((part, domain.length, 1)) < 0.7, rest, quiet)]
    found: Sequences = np.concatenate(kinds)[:count].astype(np.int64)
    return found
