"""What a route hands in: a program, or the reason why it has none."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.synthesis.programs.emission import description_length, emit_loop
from engine.synthesis.programs.loop import Loop

# Of equally short programs: first those whose state is the network's own, then what only its outputs tell.
ROUTES = ("linear", "automaton", "last inputs", "last outputs", "counts", "one register", "two registers")


class Candidate(NamedTuple):
    """A program that agrees with the network wherever the route looked."""

    route: str
    source: str
    length: int  # description length in tokens
    loop: Loop | None  # None where a table is looked up
    about: str
    facts: dict[str, Any]

    @property
    def table(self) -> bool:
        return self.loop is None

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Formulas before tables, then the shortest; of equal ones those that were read off the hidden states."""
        return self.table, self.length, ROUTES.index(self.route.split(",")[0])


class Refused(NamedTuple):
    """A route that found nothing, and why."""

    route: str
    reason: str


def candidate(route: str, loop: Loop, about: str, **facts: Any) -> Candidate:
    source = emit_loop(loop, about)
    return Candidate(route, source, description_length(source), loop, about, facts)
