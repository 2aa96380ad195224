"""Two programs equal at every length: a relation between their states that holds at the start, that every input keeps,
and under which the outputs are the same.

Two ways to one. Where the pair of states takes few values, all of them are visited with every input (`visiting`). Else
relations are guessed from runs (linear equations, bounds, remainders, comparisons, also within one case of another
variable), those that the solver finds not to be kept are dropped until the rest is, and the outputs are proved equal
from it (Houdini: Flanagan and Leino 2001).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import z3

from engine.synthesis.checks.pairs import Pair, states, varied
from engine.synthesis.checks.relations import Relation, guessed
from engine.synthesis.checks.terms import Terms
from engine.synthesis.checks.transitions import NotCoveredError
from engine.synthesis.checks.visiting import State, visit

MILLISECONDS = 4_000  # that a question to the solver may take
MOST_SHORTENINGS = 100
MOST_MET = 1_500  # pairs met on sampled runs beyond which they are not all visited
WIDTHS = (1, 8)  # bits of the operands of & | ^ that are tried


class Induction(NamedTuple):
    """`proved`: with what relation, or with which visited states. Else why not, or a difference."""

    proved: bool
    method: str = ""
    reason: str = ""
    difference: str = ""
    relations: tuple[Relation, ...] = ()
    visited: tuple[State, ...] = ()
    width: int = 1


def every_length(pair: Pair, seconds: float = 10.0) -> Induction:
    """Whether the two give the same outputs on every input sequence over the domain's range, however long."""
    until = time.monotonic() + seconds
    runs = states(pair, varied(pair.domain, 24, 240, seed=11))
    met = np.unique(runs.reshape(-1, runs.shape[2]), axis=0) if runs.shape[2] else runs[0, :1]
    sooner = np.unique(runs[:, :-6].reshape(-1, runs.shape[2]), axis=0) if runs.shape[2] else met
    few = len(met) <= MOST_MET
    if few and len(sooner) == len(met) and (found := _by_visiting(pair)) is not None:
        return found
    related = by_relations(pair, guessed(runs, tuple(pair.start), pair.domain), until)
    if related.proved or not few or len(sooner) == len(met):
        return related
    return _by_visiting(pair) or related


def _by_visiting(pair: Pair) -> Induction | None:
    found = visit(pair)
    if found is None:
        return None
    if found.difference:
        return Induction(False, difference=found.difference)
    several = "1 pair" if len(found.states) == 1 else f"{len(found.states):,} pairs"
    method = f"{several} of states, each visited with each of {pair.domain.symbols:,} inputs"
    return Induction(True, method, visited=found.states)


class Obligations(NamedTuple):
    """One step of both in the solver's terms, from any state."""

    state: dict[str, Any]
    inputs: list[Any]
    within: Any  # the inputs' range
    after: dict[str, Any]
    given: tuple[Any, ...]
    wanted: tuple[Any, ...]
    equal: Any  # the outputs are, and the terms mean what Python means


def obligations(pair: Pair, width: int) -> Obligations:
    terms = Terms(width)
    state = {name: z3.Int(name) for name in pair.start}
    inputs = [z3.Int(f"x{k + 1}") for k in range(pair.domain.inputs)]
    after, given, wanted = pair.step(state, inputs, terms)
    after = {name: z3.IntVal(value) if isinstance(value, int) else value for name, value in after.items()}
    low, high = pair.domain.low, pair.domain.high
    within = z3.And(*[z3.And(x >= low, x <= high) for x in inputs])
    same = [terms.compare("==", one, other) for one, other in zip(given, wanted)]
    return Obligations(state, inputs, within, after, given, wanted, z3.And(*same, *terms.required))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A relation as a term on the state before a step and on the state after it."""

    relation: Relation
    before: Any
    after: Any


def by_relations(pair: Pair, relations: Sequence[Relation], until: float) -> Induction:
    """Drop what is not kept; then prove that the rest gives equal outputs."""
    reason = ""
    start = {name: z3.IntVal(value) for name, value in pair.start.items()}
    held = [one for one in relations if z3.is_true(z3.simplify(one.term(start)))]
    for width in WIDTHS:
        try:
            step = obligations(pair, width)
        except NotCoveredError as error:
            return Induction(False, reason=str(error))
        kept = _kept(step, [Candidate(one, one.term(step.state), one.term(step.after)) for one in held], until)
        if kept is None:
            return Induction(False, reason="the solver gave up on a step")
        answer = _gives(step, kept, until)
        if answer == z3.unsat:
            needed = tuple(one.relation for one in _needed(step, kept, until))
            words = " and ".join(one.words for one in needed) or "none is needed"
            return Induction(True, f"induction; relation: {words}", relations=needed, width=width)
        reason = (
            "the solver gave up on the outputs"
            if answer == z3.unknown
            else "the relation found does not give equal outputs"
        )
    return Induction(False, reason=reason)


def _solver(step: Obligations, candidates: Sequence[Candidate], until: float, most: int = MILLISECONDS) -> z3.Solver:
    solver = z3.Solver()
    left = (until - time.monotonic()) * 1000
    solver.set("timeout", max(1, int(min(left, most))))
    solver.add(step.within, *[one.before for one in candidates])
    return solver


def _kept(step: Obligations, candidates: Sequence[Candidate], until: float) -> list[Candidate] | None:
    """The largest part that every step keeps; None where the solver gives up."""
    kept = list(candidates)
    while kept:
        solver = _solver(step, kept, until)
        solver.add(z3.Not(z3.And(*[one.after for one in kept])))
        answer = solver.check()
        if answer == z3.unsat:
            return kept
        if answer == z3.sat:
            model = solver.model()
            still = [one for one in kept if z3.is_true(model.eval(one.after, model_completion=True))]
        else:
            still = [one for one in kept if _is_kept(step, kept, one, until)]
        if len(still) == len(kept) or time.monotonic() > until:
            return None
        kept = still
    return kept


def _is_kept(step: Obligations, candidates: Sequence[Candidate], one: Candidate, until: float) -> bool:
    solver = _solver(step, candidates, until, MILLISECONDS // 8)
    solver.add(z3.Not(one.after))
    return bool(solver.check() == z3.unsat)


def _gives(step: Obligations, candidates: Sequence[Candidate], until: float) -> z3.CheckSatResult:
    """unsat where the candidates give equal outputs."""
    solver = _solver(step, candidates, until)
    solver.add(z3.Not(step.equal))
    return solver.check()


def _needed(step: Obligations, candidates: Sequence[Candidate], until: float) -> list[Candidate]:
    """A smaller relation that does: parts are left out, and what is not kept without them, where the rest still does.

    Long ones go first; where a part cannot go as a whole its halves are tried.
    """
    needed = list(candidates)
    waiting = [sorted(candidates, key=lambda c: len(c.relation.words))]
    for _ in range(MOST_SHORTENINGS):
        if not waiting:
            break
        part = [one for one in waiting.pop() if one in needed]
        fewer = _kept(step, [one for one in needed if one not in part], until)
        if fewer is not None and _gives(step, fewer, until) == z3.unsat:
            needed = fewer
        elif len(part) > 1:
            half = len(part) // 2
            waiting += [part[:half], part[half:]]
    return needed
