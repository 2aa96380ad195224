"""How many compiled programs are read back, by what was done to their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from engine.rasp.compiled import Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.compression import compressed
from engine.rasp.decompiling.decompiler import Decompiled, decompile
from engine.rasp.language import SOp
from engine.rasp.model import to_config, to_labels
from engine.rasp.printing import to_text
from engine.rasp.rotation import rotated

KEEPS = (1.0, 0.9, 0.8, 0.7)


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
    models = [(program, compile_program(program, domain)) for program in programs]
    conditions = ["sparse", "rotated", *(f"{keep:.0%} of directions kept" for keep in keeps)]
    rows = []
    done, total = 0, len(conditions) * len(models)
    for condition, changed in zip(conditions, [_as_is, _rotated, *map(_kept, keeps)], strict=True):
        found: list[tuple[SOp, Decompiled, bool]] = []
        for program, compiled in models:
            model, faithful = changed(compiled, rng)
            found.append((program, decompile(to_config(model), model.state, to_labels(model), rng=rng), faithful))
            done += 1
            progress(done, total)
        if found:
            rows.append(_row(condition, found))
    return rows


def _as_is(compiled: Compiled, rng: np.random.Generator) -> tuple[Compiled, bool]:
    return compiled, True


def _rotated(compiled: Compiled, rng: np.random.Generator) -> tuple[Compiled, bool]:
    return rotated(compiled, rng), True


def _kept(keep: float) -> Callable[[Compiled, np.random.Generator], tuple[Compiled, bool]]:
    def changed(compiled: Compiled, rng: np.random.Generator) -> tuple[Compiled, bool]:
        model, fidelity = compressed(rotated(compiled, rng), float(keep), rng)
        return model, fidelity.inputs_same > 0.99

    return changed


def _row(condition: str, found: Sequence[tuple[SOp, Decompiled, bool]]) -> Row:
    verified = [d.verification.holds for _, d, _ in found]
    kept = [v for v, (_, _, faithful) in zip(verified, found) if faithful]
    programs = [d.program for _, d, _ in found]
    times = [d.milliseconds for _, d, _ in found]

    def share(of: Iterator[bool]) -> float:
        return float(np.mean(list(of)))

    return Row(
        condition,
        len(found),
        share(faithful for _, _, faithful in found),
        share(d.verification.holds and d.verification.kind == "weights" for _, d, _ in found),
        share(iter(verified)),
        float(np.mean(kept)) if kept else 0.0,
        share(p is not None and to_text(p) == to_text(program) for p, (program, _, _) in zip(programs, found)),
        share(p is not None and not v for p, v in zip(programs, verified)),
        share(p is None for p in programs),
        float(np.median(times)),
        max(times),
    )
