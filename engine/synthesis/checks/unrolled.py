"""Two programs equal on every input of one length: both loops unrolled, position by position, given to z3."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import z3

from engine.synthesis.checks.agreement import spelled
from engine.synthesis.checks.pairs import Pair, replayed
from engine.synthesis.checks.terms import Terms

WIDTH = 8  # bits of the operands of & | ^

Answer = tuple[Literal["proved", "refuted", "unknown"], str]


def unrolled(pair: Pair, seconds: float) -> Answer:
    """Whether the outputs are equal at every position of the domain's length. With a sequence on which they differ, or
    with why there is no answer."""
    domain = pair.domain
    solver = z3.Solver()
    state: dict[str, Any] = {name: z3.IntVal(value) for name, value in pair.start.items()}
    read: list[list[Any]] = []
    until = time.monotonic() + seconds
    for t in range(domain.length):
        left = until - time.monotonic()
        if left <= 0:
            return "unknown", f"z3 reached position {t} of {domain.length} in {seconds:.0f} seconds"
        inputs = [z3.Int(f"x{k + 1}_{t + 1}") for k in range(domain.inputs)]
        read.append(inputs)
        solver.add(*[z3.And(x >= domain.low, x <= domain.high) for x in inputs])
        terms = Terms(WIDTH)
        after, given, wanted = pair.step(state, inputs, terms)
        same = z3.And(*[terms.compare("==", one, other) for one, other in zip(given, wanted)], *terms.required)
        solver.push()
        solver.add(z3.Not(same))
        solver.set("timeout", max(int(left * 1000), 1))
        answer = solver.check()
        if answer == z3.sat:
            return _shown(pair, read, solver.model())
        if answer == z3.unknown:
            return "unknown", f"z3 gave up at position {t + 1} of {domain.length}"
        solver.pop()
        solver.add(same)  # known from here on
        state = {}
        for name, value in after.items():  # new names keep the terms small
            state[name] = z3.Int(f"{name}_{t + 1}")
            solver.add(state[name] == value)
    return "proved", ""


def _shown(pair: Pair, read: list[list[Any]], model: z3.ModelRef) -> Answer:
    """The model's sequence, run through both programs: a difference counts only if they really show it."""
    x = np.array([[model.eval(one, model_completion=True).as_long() for one in inputs] for inputs in read])
    shown = replayed(pair, x)
    return ("refuted", shown) if shown else ("unknown", f"{spelled(x)} leads outside of what the proof covers")
