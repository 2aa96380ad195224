"""Two programs equal on every input of one length: both loops unrolled, position by position, given to z3."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import z3

from engine.synthesis.checks.agreement import spelled
from engine.synthesis.checks.induction import Pair, difference
from engine.synthesis.checks.terms import Terms

WIDTH = 8  # bits of the operands of & | ^


def unrolled(pair: Pair, seconds: float) -> tuple[Literal["proved", "refuted", "unknown"], str]:
    """Whether the outputs are equal at every position of the domain's length; else a sequence on which they differ."""
    domain = pair.domain
    solver = z3.Solver()
    state: dict[str, Any] = {name: z3.IntVal(value) for name, value in pair.start.items()}
    read: list[list[Any]] = []
    end = time.monotonic() + seconds
    for t in range(domain.length):
        left = end - time.monotonic()
        if left <= 0:
            return "unknown", ""
        inputs = [z3.Int(f"x{k + 1}_{t + 1}") for k in range(domain.inputs)]
        read.append(inputs)
        solver.add(*[z3.And(x >= domain.low, x <= domain.high) for x in inputs])
        terms = Terms(WIDTH)
        after, given, wanted = pair.step(state, inputs, terms)
        solver.push()
        same = z3.And(*[one == other for one, other in zip(given, wanted)])
        solver.add(z3.Not(z3.And(same, *terms.required)))
        solver.set("timeout", max(int(left * 1000), 1))
        answer = solver.check()
        if answer == z3.sat:
            return _shown(pair, read, solver.model())
        if answer == z3.unknown:
            return "unknown", ""
        solver.pop()
        # New names for the state keep the terms small.
        state = {}
        for name, value in after.items():
            state[name] = z3.Int(f"{name}_{t + 1}")
            solver.add(state[name] == value)
    return "proved", ""


def _shown(
    pair: Pair, read: list[list[Any]], model: z3.ModelRef
) -> tuple[Literal["proved", "refuted", "unknown"], str]:
    """The model's sequence, run through both programs: a difference counts only if they really show it."""
    found = [[model.eval(x, model_completion=True).as_long() for x in inputs] for inputs in read]
    rest = pair.domain.length - len(found)
    x = np.array([found + [[pair.domain.low] * pair.domain.inputs] * rest], dtype=np.int64)
    shown = difference(pair, x=x)
    return ("refuted", shown) if shown else ("unknown", f"{spelled(x[0])} only breaks a side condition")
