"""What is proved of a program beside a specification: for every length, and for the benchmark's length.

A difference that a run shows refutes both. Else induction is tried (`induction`); what holds at every length holds at
that one. Where it fails, the length is unrolled and given to the solver (`unrolled`).
"""

from __future__ import annotations

import time
from typing import NamedTuple

from engine.synthesis.checks.induction import Induction, every_length
from engine.synthesis.checks.pairs import Pair, difference, pair_of, some_difference
from engine.synthesis.checks.transitions import NotCoveredError
from engine.synthesis.checks.unrolled import unrolled
from engine.synthesis.domain import Domain
from sessions.artifacts import Proof

LARGE = 2**20  # sequences up to which running them all is a proof
RUNS = 4096  # sequences that are run first
LONG = 8  # times the domain's length: runs that look for a difference beyond it


class Proved(NamedTuple):
    """The two claims, and for an export the pair of programs with the relation, where an induction was found."""

    every_length: Proof
    its_length: Proof
    pair: Pair | None = None
    induction: Induction | None = None

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return self.its_length, self.every_length


def prove(
    program: str, specification: str, domain: Domain, seconds: float = 20.0, *, name: str = "the specification"
) -> Proved:
    """Whether the program's outputs are the specification's on all inputs low..high.

    `seconds`: what induction and unrolling may take, half each at least. `name`: what the claims call the second one.
    """
    until = time.monotonic() + seconds
    everywhere = Proof(
        claim=f"equal to {name} on every sequence of {_numbers(domain)}, of every length",
        status="not proved",
        every_length=True,
    )
    at_length = Proof(claim=f"equal to {name} on every sequence of {domain.length} elements", status="not proved")
    try:
        pair = pair_of(program, specification, domain)
        shown = some_difference(pair, domain.length, RUNS)
        if shown:
            return Proved(_refuted(everywhere, shown), _refuted(at_length, shown), pair)
        found = every_length(pair, seconds / 2)
        if found.proved:
            return Proved(_proved(everywhere, found.method), _proved(at_length, "holds at every length"), pair, found)
        longer = found.difference or some_difference(pair, LONG * domain.length, RUNS // 16)
        every = _refuted(everywhere, longer) if longer else _open(everywhere, found.reason)
        return Proved(every, _at_length(pair, at_length, max(until - time.monotonic(), seconds / 2)), pair, found)
    except NotCoveredError as error:
        return Proved(_open(everywhere, str(error)), _open(at_length, str(error)))


def _at_length(pair: Pair, claim: Proof, seconds: float) -> Proof:
    if pair.domain.size <= LARGE:
        shown = next((found for x in pair.domain.chunks() if (found := difference(pair, x))), "")
        return _refuted(claim, shown) if shown else _proved(claim, f"all {pair.domain.size:,} sequences were run")
    answer, words = unrolled(pair, seconds)
    if answer == "proved":
        return _proved(claim, f"{pair.domain.length} turns of both loops given to z3")
    return _refuted(claim, words) if answer == "refuted" else _open(claim, words)


def _proved(claim: Proof, method: str) -> Proof:
    return Proof(claim=claim.claim, every_length=claim.every_length, status="proved", method=method)


def _refuted(claim: Proof, counterexample: str) -> Proof:
    return Proof(claim=claim.claim, every_length=claim.every_length, status="refuted", counterexample=counterexample)


def _open(claim: Proof, reason: str) -> Proof:
    return Proof(claim=claim.claim, every_length=claim.every_length, status="not proved", reason=reason)


def _numbers(domain: Domain) -> str:
    numbers = f"{domain.low}..{domain.high}"
    return numbers if domain.inputs == 1 else f"{domain.inputs}-tuples of {numbers}"
