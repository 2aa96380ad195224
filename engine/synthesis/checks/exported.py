"""An induction as it is written down for another tool: the pair, the relation and one step, in the solver's terms."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import z3

from engine.synthesis.checks.induction import WIDTHS, Induction, Obligations, by_relations, obligations
from engine.synthesis.checks.pairs import Pair, states, varied
from engine.synthesis.checks.relations import guessed
from engine.synthesis.domain import Domain
from sessions.errors import IwbError

MOST_STATES = 2_000  # visited pairs of states that are listed
SECONDS = 10.0  # for a relation where states were only visited


class Exported(NamedTuple):
    """`parts`: the conditions whose conjunction is the relation, each in words and as a term over `step.state`."""

    pair: Pair
    step: Obligations
    parts: tuple[tuple[str, Any], ...]

    @property
    def relation(self) -> Any:
        return z3.And(*[term for _, term in self.parts])

    @property
    def outputs(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The program's and the specification's, of the state before the turn and the input."""
        return self.step.given, self.step.wanted


def exported(pair: Pair, induction: Induction) -> Exported:
    """IwbError where more states were visited than anyone would list, and no shorter relation is found."""
    if not induction.relations and induction.visited:
        # A relation says more than a list of states, where there is one.
        runs = states(pair, varied(pair.domain, 24, 240, seed=11))
        found = by_relations(pair, guessed(runs, tuple(pair.start), pair.domain), time.monotonic() + SECONDS)
        if not found.proved:
            return _listed(pair, induction)
        induction = found
    step = obligations(pair, induction.width)
    return Exported(pair, step, tuple((one.words, one.term(step.state)) for one in induction.relations))


def _listed(pair: Pair, induction: Induction) -> Exported:
    """The relation is that the pair of states is one of those visited."""
    if len(induction.visited) > MOST_STATES:
        raise IwbError(
            f"the proof visits {len(induction.visited):,} pairs of states",
            "export",
            f"at most {MOST_STATES:,} are listed",
        )
    for width in WIDTHS:
        step = obligations(pair, width)
        rows = [
            z3.And(*[variable == value for variable, value in zip(step.state.values(), state)])
            for state in induction.visited
        ]
        words = f"the states are one of the {len(rows):,} pairs that can be reached"
        solver = z3.Solver()
        solver.set("timeout", int(SECONDS * 1000))
        solver.add(step.within, z3.Or(*rows), z3.Not(step.equal))
        if solver.check() == z3.unsat:
            return Exported(pair, step, ((words, z3.Or(*rows)),))
    raise IwbError("the solver does not confirm the visited states in time", "export", "give it more time")


def described(domain: Domain) -> str:
    return f"inputs {domain.low}..{domain.high}, sequences of every length"
