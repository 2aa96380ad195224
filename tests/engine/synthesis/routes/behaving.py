"""Networks that are plain functions of the whole sequence: what they do is known, how they do it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engine.synthesis.domain import Domain
from engine.synthesis.routes.behaviour import Behaviour, observe
from sessions.artifacts import Model

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Function = Callable[[Numbers], Numbers]


class Behaving:
    """Gives a function's outputs; its hidden state is its output, which only pictures look at."""

    def __init__(self, function: Function, domain: Domain, outputs: int = 1) -> None:
        self.handle = Model(title="made", source="", family="rnn", architecture="made")
        self.function, self.task, self.hidden, self.inputs, self.outputs = function, "", 1, domain.inputs, outputs
        self.low, self.high, self.length = domain.low, domain.high, domain.length

    def step(self, h: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError("only whole sequences")

    def readout(self, h: Tensor) -> Tensor:
        raise NotImplementedError("only whole sequences")

    def run(
        self, x: Float[Tensor, "batch pos inputs"]
    ) -> tuple[Float[Tensor, "batch pos hidden"], Float[Tensor, "batch pos outputs"]]:
        y = torch.tensor(self.function(x.long().numpy()), dtype=torch.float32)
        return y[..., :1].clone(), y


def behaviour_of(function: Function, domain: Domain, outputs: int = 1, seed: int = 0) -> Behaviour:
    return observe(Behaving(function, domain, outputs), domain, np.random.default_rng(seed))


def lagged(x: Numbers, back: int) -> Numbers:
    """The inputs `back` steps earlier, 0 before the first."""
    return np.pad(x, ((0, 0), (back, 0), (0, 0)))[:, : x.shape[1]]


def stepwise(step: Callable[..., tuple[Any, list[Any]]], start: Any) -> Function:
    """The function of `state, outputs = step(state, *inputs)`, sequence by sequence in plain Python."""

    def function(x: Numbers) -> Numbers:
        rows = []
        for sequence in x.tolist():
            state, row = start, []
            for inputs in sequence:
                state, outputs = step(state, *inputs)
                row.append(outputs)
            rows.append(row)
        return np.array(rows, dtype=np.int64)

    return function
