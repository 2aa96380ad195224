"""Two programs equal at every length: a relation between their states that holds at the start, that every input keeps,
and under which the outputs are the same.

Two ways to one. Where the pair of states takes few values, all of them are visited with every input: that is the
relation, and a proof by itself. Else relations are guessed from runs (linear equations, bounds, remainders,
comparisons, also within one case of another variable), those that the solver finds not to be kept are dropped until the
rest is, and the outputs are proved equal from it (Houdini: Flanagan and Leino 2001).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import z3
from jaxtyping import Int

from engine.synthesis.checks.agreement import spelled
from engine.synthesis.checks.relations import Relation, guessed
from engine.synthesis.checks.terms import Terms
from engine.synthesis.checks.transitions import NotCoveredError, Numbers, Transition, transition, turn
from engine.synthesis.domain import Domain

MOST_PAIRS = 4_000  # pairs of states that are visited
MOST_MET = 1_500  # pairs met on sampled runs beyond which they are not all visited
MOST_VISITS = 400_000  # pairs times inputs
MILLISECONDS = 4_000  # a question to the solver may take
ROUNDS = 200

Columns = Int[np.ndarray[Any, Any], "sequence pos variable"]


class Pair(NamedTuple):
    """A program and its specification, with their state variables renamed apart: p_NAME and s_NAME."""

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


class Induction(NamedTuple):
    """`proved`: with what relation. Else why not, or the first difference that a run showed."""

    proved: bool
    method: str = ""
    reason: str = ""
    relations: tuple[Relation, ...] = ()
    width: int = 1


def pair_of(program: str, specification: str, domain: Domain) -> Pair:
    one, other = transition(program), transition(specification)
    if len(one.inputs) != domain.inputs or len(other.inputs) != domain.inputs:
        raise NotCoveredError("the two read different numbers of inputs")
    return Pair(one, other, domain)


def every_length(pair: Pair) -> Induction:
    """Whether the two give the same outputs on every input sequence over the domain's range, however long."""
    runs = sample(pair)
    met = len(np.unique(runs.reshape(-1, runs.shape[2]), axis=0)) if runs.shape[2] else 1
    visited = visit(pair) if met <= MOST_MET else None
    if visited is not None:
        return visited
    relations = guessed(runs, tuple(pair.start), pair.domain)
    reason = "no relation between the states was found that every input keeps"
    for width in (1, 8):
        found = _kept(pair, relations, width)
        if found.proved:
            return found
        reason = found.reason
        if not found.width:  # no & | ^ in either: another width changes nothing
            break
    return Induction(False, reason=reason)


def visit(pair: Pair) -> Induction | None:
    """All reachable pairs of states with every input; None where there are too many to visit."""
    symbols = pair.domain.alphabet() if pair.domain.symbols <= MOST_PAIRS else ()
    if not symbols:
        return None
    names = tuple(pair.start)
    inputs = [np.array([symbol[k] for symbol in symbols]) for k in range(pair.domain.inputs)]
    numbers = Numbers()
    seen = {tuple(pair.start.values())}
    waiting = list(seen)
    while waiting:
        if len(seen) > MOST_PAIRS or len(seen) * len(symbols) > MOST_VISITS:
            return None
        now = waiting.pop()
        state = {name: np.full(len(symbols), value) for name, value in zip(names, now)}
        after, given, wanted = pair.step(state, inputs, numbers)
        for one, other in zip(given, wanted):
            if np.any(np.broadcast_to(one, len(symbols)) != np.broadcast_to(other, len(symbols))):
                return Induction(False, reason="they differ")
        for key in set(zip(*(np.broadcast_to(after[name], len(symbols)).tolist() for name in names))):
            if key not in seen:
                seen.add(key)
                waiting.append(key)
    several = "1 pair" if len(seen) == 1 else f"{len(seen):,} pairs"
    return Induction(True, f"{several} of states, each visited with each of {len(symbols):,} inputs")


def sample(pair: Pair, runs: int = 240, length: int = 24, seed: int = 11) -> Columns:
    """States along random runs: (run, position, variable), the start first."""
    rng = np.random.default_rng(seed)
    domain = pair.domain
    x = rng.integers(domain.low, domain.high + 1, (runs, length, domain.inputs))
    third = runs // 3
    x[:third] = x[:third, :1]  # constant
    pool = rng.integers(domain.low, domain.high + 1, (third, 2, domain.inputs))
    x[third : 2 * third] = np.take_along_axis(pool, rng.integers(0, 2, (third, length, 1)), axis=1)
    state: dict[str, Any] = {name: np.full(runs, value) for name, value in pair.start.items()}
    rows = [np.stack([state[name] for name in pair.start], axis=1) if state else np.zeros((runs, 0), dtype=np.int64)]
    for t in range(length):
        state, _, _ = pair.step(state, [x[:, t, k] for k in range(domain.inputs)], Numbers())
        state = {name: np.broadcast_to(value, runs) for name, value in state.items()}
        rows.append(np.stack([state[name] for name in pair.start], axis=1) if state else rows[0])
    return np.stack(rows, axis=1).astype(np.int64)


class Obligations(NamedTuple):
    """One step of both in the solver's terms, from any state."""

    state: dict[str, Any]
    inputs: list[Any]
    within: Any  # the inputs' range
    after: dict[str, Any]
    same: Any  # equal outputs
    required: list[Any]


def obligations(pair: Pair, width: int) -> Obligations:
    terms = Terms(width)
    state = {name: z3.Int(name) for name in pair.start}
    inputs = [z3.Int(f"x{k + 1}") for k in range(pair.domain.inputs)]
    after, given, wanted = pair.step(state, inputs, terms)
    within = z3.And(*[z3.And(x >= pair.domain.low, x <= pair.domain.high) for x in inputs])
    same = z3.And(*[one == other for one, other in zip(given, wanted)])
    return Obligations(state, inputs, within, after, same, terms.required)


def _kept(pair: Pair, relations: list[Relation], width: int) -> Induction:
    """Drop what is not kept; then prove that the rest gives equal outputs."""
    try:
        step = obligations(pair, width)
    except NotCoveredError as error:
        return Induction(False, reason=str(error), width=0)
    uses_bits = width if step.required else 0
    start = {name: z3.IntVal(value) for name, value in pair.start.items()}
    relations = [one for one in relations if z3.is_true(z3.simplify(one.term(start)))]
    for _ in range(ROUNDS):
        solver = z3.Solver()
        solver.set("timeout", MILLISECONDS)
        solver.add(step.within, *[one.term(step.state) for one in relations])
        nexts = [one.term(step.after) for one in relations]
        solver.add(z3.Not(z3.And(*nexts)))
        answer = solver.check()
        if answer == z3.unsat:
            break
        if answer == z3.unknown:
            kept = _one_by_one(step, relations)
            if len(kept) == len(relations):
                return Induction(False, reason="the solver gave up on a step", width=uses_bits)
        else:
            model = solver.model()
            kept = [one for one, after in zip(relations, nexts) if z3.is_true(model.eval(after, model_completion=True))]
        relations = kept
    else:
        return Induction(False, reason=f"no relation was kept after {ROUNDS} rounds", width=uses_bits)
    solver = z3.Solver()
    solver.set("timeout", MILLISECONDS)
    solver.add(step.within, *[one.term(step.state) for one in relations])
    solver.add(z3.Not(z3.And(step.same, *step.required)))
    answer = solver.check()
    if answer == z3.unsat:
        needed = _needed(pair, step, relations)
        words = " and ".join(one.words for one in needed) or "none is needed"
        return Induction(True, f"induction; relation: {words}", relations=tuple(needed), width=width)
    reason = (
        "the solver gave up on the outputs"
        if answer == z3.unknown
        else "the relation found does not give equal outputs"
    )
    return Induction(False, reason=reason, width=uses_bits)


def _one_by_one(step: Obligations, relations: list[Relation]) -> list[Relation]:
    """Those relations that the solver shows to be kept, each asked for itself."""
    kept = []
    for one in relations:
        solver = z3.Solver()
        solver.set("timeout", MILLISECONDS // 8)
        solver.add(step.within, *[other.term(step.state) for other in relations], z3.Not(one.term(step.after)))
        if solver.check() == z3.unsat:
            kept.append(one)
    return kept


def _needed(pair: Pair, step: Obligations, relations: list[Relation]) -> list[Relation]:
    """A smaller relation that does: each part is left out where the rest is kept and still gives equal outputs."""
    needed = list(relations)
    for one in sorted(relations, key=lambda r: -len(r.words)):
        fewer = [other for other in needed if other is not one]
        solver = z3.Solver()
        solver.set("timeout", MILLISECONDS // 4)
        solver.add(step.within, *[other.term(step.state) for other in fewer])
        solver.add(z3.Not(z3.And(step.same, *step.required, *[other.term(step.after) for other in fewer])))
        if solver.check() == z3.unsat:
            needed = fewer
    return needed


def difference(pair: Pair, x: Columns | None = None, seed: int = 3) -> str:
    """A sequence on which the two differ, in words, found by running both on `x` (many random ones, where None); empty
    where none was found."""
    x = _varied(pair.domain, seed) if x is None else x
    state: dict[str, Any] = {name: np.full(len(x), value) for name, value in pair.start.items()}
    for t in range(x.shape[1]):
        state, given, wanted = pair.step(state, [x[:, t, k] for k in range(x.shape[2])], Numbers())
        state = {name: np.broadcast_to(value, len(x)) for name, value in state.items()}
        for one, other in zip(given, wanted):
            wrong = np.flatnonzero(np.broadcast_to(one, len(x)) != np.broadcast_to(other, len(x)))
            if len(wrong):
                first = int(wrong[0])
                got, asked = (int(np.broadcast_to(v, len(x))[first]) for v in (one, other))
                return f"{spelled(x[first, : t + 1])} at position {t + 1}: program {got}, specification {asked}"
    return ""


def _varied(domain: Domain, seed: int, runs: int = 4096) -> Columns:
    """Sequences of the domain's length: all, where there are few; else uniform ones and ones of two values."""
    if domain.size <= runs:
        return domain.numbered(np.arange(domain.size))
    rng = np.random.default_rng(seed)
    x = domain.sample(runs, rng)
    few = rng.integers(domain.low, domain.high + 1, (runs // 2, 2, domain.inputs))
    x[: runs // 2] = np.take_along_axis(few, rng.integers(0, 2, (runs // 2, domain.length, 1)), axis=1)
    return x
