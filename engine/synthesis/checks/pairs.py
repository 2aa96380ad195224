"""A program and its specification side by side: one state of both, one turn of both, runs of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.checks.agreement import spelled
from engine.synthesis.checks.numbers import Numbers, TooLargeError
from engine.synthesis.checks.transitions import NotCoveredError, Transition, transition
from engine.synthesis.checks.turns import turn
from engine.synthesis.domain import Domain
from engine.synthesis.programs.evaluator import evaluate
from sessions.errors import IwbError

Columns = Int[np.ndarray[Any, Any], "sequence pos value"]


class Pair(NamedTuple):
    """The two, with their state variables renamed apart: p_NAME and s_NAME."""

    program: Transition
    specification: Transition
    domain: Domain

    @property
    def start(self) -> dict[str, int]:
        return {f"p_{n}": v for n, v in self.program.start.items()} | {
            f"s_{n}": v for n, v in self.specification.start.items()
        }

    def step(
        self, state: Mapping[str, Any], inputs: Sequence[Any], arithmetic: Any
    ) -> tuple[dict[str, Any], tuple[Any, ...], tuple[Any, ...]]:
        """The next state of both, the program's outputs, the specification's."""
        after: dict[str, Any] = {}
        given = []
        for prefix, one in (("p_", self.program), ("s_", self.specification)):
            own = {name: state[f"{prefix}{name}"] for name in one.state}
            new, outputs = turn(one, own, inputs, arithmetic)
            after |= {f"{prefix}{name}": value for name, value in new.items()}
            given.append(outputs)
        if len(given[0]) != len(given[1]):
            raise NotCoveredError("the two give different numbers of outputs")
        return after, given[0], given[1]


def pair_of(program: str, specification: str, domain: Domain) -> Pair:
    """NotCoveredError where one of them is no plain loop, or reads another number of inputs."""
    one, other = transition(program), transition(specification)
    if len(one.inputs) != domain.inputs or len(other.inputs) != domain.inputs:
        raise NotCoveredError("the two read different numbers of inputs")
    return Pair(one, other, domain)


def varied(domain: Domain, length: int, count: int, seed: int) -> Columns:
    """Random sequences: a quarter constant, a quarter of two values, the others uniform."""
    rng = np.random.default_rng(seed)
    x = domain._replace(length=length).sample(count, rng)
    quarter = count // 4
    x[:quarter] = x[:quarter, :1]
    few = x[quarter : 2 * quarter, :2].repeat(2, axis=1)[:, :2] if length > 1 else x[quarter : 2 * quarter].repeat(2, 1)
    which = rng.integers(0, 2, (quarter, length, 1))
    x[quarter : 2 * quarter] = np.take_along_axis(few, which, axis=1)
    return x


def states(pair: Pair, x: Columns) -> Columns:
    """The states of both along runs: (run, position, variable), the start first; up to where numbers become large."""
    state: dict[str, Any] = {name: np.full(len(x), value) for name, value in pair.start.items()}
    rows = [_stacked(state, len(x))]
    for t in range(x.shape[1]):
        try:
            state, _, _ = pair.step(state, [x[:, t, k] for k in range(x.shape[2])], Numbers())
        except TooLargeError:
            break
        rows.append(_stacked(state, len(x)))
    return np.stack(rows, axis=1)


def _stacked(state: Mapping[str, Any], count: int) -> Int[np.ndarray[Any, Any], "sequence variable"]:
    if not state:
        return np.zeros((count, 0), dtype=np.int64)
    return np.stack([np.broadcast_to(value, count) for value in state.values()], axis=1).astype(np.int64)


def difference(pair: Pair, x: Columns) -> str:
    """The first sequence of `x` on which the two differ, as the evaluator shows it; empty where they are equal on all.

    TooLargeError where numbers become too large to tell.
    """
    state: dict[str, Any] = {name: np.full(len(x), value) for name, value in pair.start.items()}
    for t in range(x.shape[1]):
        state, given, wanted = pair.step(state, [x[:, t, k] for k in range(x.shape[2])], Numbers())
        wrong = np.zeros(len(x), dtype=bool)
        for one, other in zip(given, wanted):
            wrong |= np.not_equal(one, other)
        if wrong.any():
            shown = replayed(pair, x[int(np.flatnonzero(wrong)[0]), : t + 1])
            if not shown:
                raise NotCoveredError("the evaluator refuses to run it")
            return shown
    return ""


def replayed(pair: Pair, x: Int[np.ndarray[Any, Any], "pos input"]) -> str:
    """What the evaluator shows of both texts on one sequence, where they differ in the end; empty where not."""
    try:
        given, wanted = (evaluate(one.source, x[None])[0, -1] for one in (pair.program, pair.specification))
    except IwbError:
        return ""
    if given.tolist() == wanted.tolist():
        return ""
    got, asked = (", ".join(str(v) for v in y.tolist()) for y in (given, wanted))
    return f"{spelled(x)} at position {len(x)}: program {got}, specification {asked}"


def some_difference(pair: Pair, length: int, count: int, seed: int = 3) -> str:
    """A difference on sequences of some length: all, where there are at most `count`; else random ones."""
    domain = pair.domain._replace(length=length)
    x = domain.numbered(np.arange(domain.size)) if domain.size <= count else varied(domain, length, count, seed)
    try:
        return difference(pair, x)
    except TooLargeError:
        return ""
