"""What is proved of a program beside a specification: for every length, and for the benchmark's length.

A difference that a run shows refutes both. Else induction is tried (`induction`); what holds at every length holds at
that one. Where it fails, the length is unrolled and given to the solver (`unrolled`).
"""

from __future__ import annotations

from typing import NamedTuple

from engine.synthesis.checks.induction import Induction, Pair, difference, every_length, pair_of
from engine.synthesis.checks.transitions import NotCoveredError
from engine.synthesis.checks.unrolled import unrolled
from engine.synthesis.domain import Domain
from sessions.artifacts import Proof

LARGE = 2**20  # sequences up to which testing them all is a proof


class Proved(NamedTuple):
    """The two claims, and for an export the pair of programs with the relation, where an induction was found."""

    every_length: Proof
    its_length: Proof
    pair: Pair | None = None
    induction: Induction | None = None

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return self.its_length, self.every_length


def prove(program: str, specification: str, domain: Domain, seconds: float = 20.0) -> Proved:
    """Whether the program's outputs are the specification's on all inputs low..high.

    `seconds` is what unrolling may take where the induction fails.
    """
    everywhere = f"equal to the specification on every sequence of {_numbers(domain)}, of every length"
    at_length = f"equal to the specification on every sequence of {domain.length} elements"
    try:
        pair = pair_of(program, specification, domain)
        counterexample = difference(pair)
        if counterexample:
            return Proved(
                Proof(claim=everywhere, status="refuted", every_length=True, counterexample=counterexample),
                Proof(claim=at_length, status="refuted", counterexample=counterexample),
                pair,
            )
        found = every_length(pair)
    except NotCoveredError as error:
        return Proved(
            Proof(claim=everywhere, status="not proved", every_length=True, reason=str(error)),
            Proof(claim=at_length, status="not proved", reason=str(error)),
        )
    if found.proved:
        return Proved(
            Proof(claim=everywhere, status="proved", every_length=True, method=found.method),
            Proof(claim=at_length, status="proved", method="holds at every length"),
            pair,
            found,
        )
    return Proved(
        Proof(claim=everywhere, status="not proved", every_length=True, reason=found.reason),
        _at_length(pair, at_length, seconds),
        pair,
        found,
    )


def _at_length(pair: Pair, claim: str, seconds: float) -> Proof:
    if pair.domain.size <= LARGE and not _differs_somewhere(pair):
        return Proof(claim=claim, status="proved", method=f"all {pair.domain.size:,} sequences were run")
    answer, counterexample = unrolled(pair, seconds)
    if answer == "proved":
        return Proof(claim=claim, status="proved", method="unrolled and given to z3")
    if answer == "refuted":
        return Proof(claim=claim, status="refuted", counterexample=counterexample)
    return Proof(claim=claim, status="not proved", reason=f"z3 gave no answer within {seconds:g} seconds")


def _differs_somewhere(pair: Pair) -> bool:
    return any(difference(pair, x=x) for x in pair.domain.chunks())


def _numbers(domain: Domain) -> str:
    numbers = f"{domain.low}..{domain.high}"
    return numbers if domain.inputs == 1 else f"{domain.inputs}-tuples of {numbers}"
