"""The whole road from a network to a program: every route is asked, the simplest program is taken.

Simplest: programs of formulas before those with a table, then the fewest tokens. A program is a candidate only if it
agrees with the network on all sequences that were observed. The registers, which cost most, are tried only where no
other route found formulas, or when asked for. Neither the task's name nor its target is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from engine.models.protocols import RecurrentModel
from engine.synthesis.checks.agreement import compare
from engine.synthesis.domain import Domain
from engine.synthesis.routes.automaton import Automaton, automaton_program, find_automaton
from engine.synthesis.routes.behaviour import Behaviour, observe, varied
from engine.synthesis.routes.candidate import Candidate, Refused
from engine.synthesis.routes.counts import count_loops
from engine.synthesis.routes.lattice import lattice_loops
from engine.synthesis.routes.linear import LatticeUsed
from engine.synthesis.routes.registers import register_loops
from engine.synthesis.routes.windows import FEEDBACK, input_loops, output_loops
from sessions.errors import IwbError

STAGES = ("observe", "linear", "inputs", "counts", "automaton", "outputs", "registers", "again")
FEW_SYMBOLS = 64  # different inputs up to which an automaton is looked for even where formulas were found
AGAIN = 8192  # further sequences the chosen program is held against before it is taken

Progress = Callable[[str, int, int], None]


class Extraction(NamedTuple):
    """The candidates, the best first, the routes that found nothing, and what the pictures are drawn from."""

    behaviour: Behaviour
    candidates: tuple[Candidate, ...]
    refused: tuple[Refused, ...]
    automaton: Automaton | None
    lattice: LatticeUsed | None
    seconds: dict[str, float]  # by stage

    @property
    def best(self) -> Candidate:
        return self.candidates[0]


def extract(
    model: RecurrentModel,
    domain: Domain,
    *,
    rng: np.random.Generator,
    tolerance: float | None = None,
    most_states: int = 256,
    every_route: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Extraction:
    """The simplest program found for a network on inputs of that domain, with everything it came from.

    `progress(stage, done, total)` counts within each stage. Raises IwbError when no route finds a program.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        progress(name, 0, 1)
        start = time.perf_counter()
        yield
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start

    with stage("observe"):
        behaviour = observe(model, domain, rng)
    found: list[Candidate] = []
    refused: list[Refused] = []

    def gather(handed_in: Iterable[Candidate | Refused]) -> None:
        for one in handed_in:
            if isinstance(one, Refused):
                refused.append(one)
            else:
                found.append(one)

    with stage("linear"):
        lattice, linear = lattice_loops(model, behaviour, bent=every_route)
        gather(linear)
    with stage("inputs"):
        gather(input_loops(behaviour, rng))
    with stage("counts"):
        gather(count_loops(behaviour, rng))
    with stage("outputs"):
        gather(output_loops(behaviour, FEEDBACK[:1]))
    automaton = None
    with stage("automaton"):
        known = any(not one.table for one in found) and not every_route
        try:
            if known and domain.symbols > FEW_SYMBOLS:
                raise IwbError(f"not tried: {domain.symbols:,} different inputs, and formulas were found already")
            automaton = find_automaton(
                model,
                domain,
                tolerance=tolerance,
                most_states=most_states,
                merge=not known,
                rng=rng,
                progress=progress,
            )
            automaton, program = automaton_program(
                automaton, model.hidden, lambda done, total: progress("automaton", done, total)
            )
            found.append(program)
        except IwbError as error:
            refused.append(Refused("automaton", error.what))
    if every_route or all(one.table for one in found):
        with stage("outputs"):
            gather(output_loops(behaviour, FEEDBACK[1:]))
    if every_route or all(one.table for one in found):
        with stage("registers"):
            gather(register_loops(behaviour, rng, lambda: progress("registers", 0, 1)))
    else:
        refused.append(Refused("registers", "not tried: formulas were found already"))
    with stage("again"):
        found, wrong = _held_again(found, behaviour, rng)
    refused += wrong
    if not found:
        reasons = "; ".join(f"{one.route}: {one.reason}" for one in refused)
        raise IwbError(f"no program was found ({reasons})", "synthesis", "look at more or shorter sequences")
    ranked = tuple(sorted(found, key=lambda one: one.rank))
    return Extraction(behaviour, ranked, tuple(refused), automaton, lattice, seconds)


def _held_again(
    found: list[Candidate], behaviour: Behaviour, rng: np.random.Generator
) -> tuple[list[Candidate], list[Refused]]:
    """Those that agree with the network on further sequences too, and why the others do not."""
    if behaviour.whole:
        return found, []
    x = np.concatenate([varied(behaviour.domain, AGAIN // 2, rng), behaviour.domain.sample(AGAIN // 2, rng)])
    y = behaviour.ask(x)
    kept, wrong = [], []
    for one in found:
        agreement = compare(x, one.loop.run(x)[1], y, "network") if one.loop is not None else None
        if agreement is None or agreement.agreed == agreement.tested:
            kept.append(one)
        else:
            wrong.append(Refused(one.route, f"departs from the network on further sequences: {agreement.difference}"))
    return kept, wrong
