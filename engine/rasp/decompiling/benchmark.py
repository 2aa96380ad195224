"""How many compiled programs are read back, by what was done to their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.compression import compressed
from engine.rasp.decompiling.decompiler import decompile
from engine.rasp.language import SOp
from engine.rasp.model import to_config, to_labels
from engine.rasp.printing import to_text
from engine.rasp.rotation import rotated

KEEPS = (1.0, 0.9, 0.8, 0.7)


class Outcome(NamedTuple):
    """One model, read back."""

    faithful: bool  # its own outputs survived what was done to it, on more than 99 % of inputs
    found: bool  # there is a program
    verified: bool  # with the same outputs on every input tried
    exact: bool  # with the same weights when it is compiled again
    same_text: bool  # word for word as it was
    milliseconds: float


class Row(NamedTuple):
    """Shares are of `models`. A verified program has the same weights when it is compiled again (`exact`), or the same
    outputs on every input tried (`behaves`, the exact ones among them)."""

    condition: str  # sparse, rotated, or which share of the directions was kept
    models: int
    faithful: float  # models whose own outputs survived on more than 99 % of inputs; 1 where nothing was taken away
    exact: float
    behaves: float
    behaves_of_faithful: float
    same_text: float  # the program as it was, word for word
    partial: float  # a program was found, but is not verified
    nothing: float  # no program
    median_ms: float
    slowest_ms: float


def benchmark(
    programs: Sequence[SOp],
    domain: Domain,
    rng: np.random.Generator,
    keeps: Sequence[float] = KEEPS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Decompiles every program's model as compiled, rotated, and rotated with a share of its directions kept.

    `progress(done, total)` after every model. CallError: a program that does not compile for the domain.
    """
    rows = []
    conditions: list[float | None] = [None, 1.0, *keeps]
    done, total = 0, len(conditions) * len(programs)
    for number, keep in enumerate(conditions):
        found: list[Outcome] = []
        for program in programs:
            found += outcomes([program], domain, keep, rng, whole=number == 1)
            done += 1
            progress(done, total)
        if found:
            rows.append(summary(condition_name(keep, whole=number == 1), found))
    return rows


def condition_name(keep: float | None, *, whole: bool = False) -> str:
    """In words: None is the model as compiled; `whole` a rotated one that keeps everything, unprojected."""
    return "sparse" if keep is None else "rotated" if whole else f"{keep:.0%} of directions kept"


def outcomes(
    programs: Sequence[SOp], domain: Domain, keep: float | None, rng: np.random.Generator, *, whole: bool = False
) -> list[Outcome]:
    """Each program compiled, changed, and read back. Independent of each other but for the generator's state."""
    found = []
    for program in programs:
        model, faithful = compile_program(program, domain), True
        if whole:
            model = rotated(model, rng)
        elif keep is not None:
            model, fidelity = compressed(rotated(model, rng), float(keep), rng)
            faithful = fidelity.inputs_same > 0.99
        read = decompile(to_config(model), model.state, to_labels(model), rng=rng)
        verified = read.verification.holds
        found.append(
            Outcome(
                faithful,
                read.program is not None,
                verified,
                verified and read.verification.kind == "weights",
                read.program is not None and to_text(read.program) == to_text(program),
                read.milliseconds,
            )
        )
    return found


def summary(condition: str, found: Sequence[Outcome]) -> Row:
    """Shares of what became of the models."""
    kept = [o.verified for o in found if o.faithful]
    times = [o.milliseconds for o in found]
    return Row(
        condition,
        len(found),
        float(np.mean([o.faithful for o in found])),
        float(np.mean([o.exact for o in found])),
        float(np.mean([o.verified for o in found])),
        float(np.mean(kept)) if kept else 0.0,
        float(np.mean([o.same_text for o in found])),
        float(np.mean([o.found and not o.verified for o in found])),
        float(np.mean([not o.found for o in found])),
        float(np.median(times)),
        max(times),
    )
