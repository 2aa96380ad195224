"""Loops that remember the last inputs, or the last outputs: shift registers and autoregressive forms.

How far back the network looks is asked of the network: sequences that end alike and begin differently must give the
same last output. Where no window of inputs is enough, the network's own last outputs are tried as the state. Which
values stand before the first input is found by trying (zero first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from engine.synthesis.formulas.expressions import Expression
from engine.synthesis.formulas.regression import contradicts, regress_all
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.names import input_names, output_names
from engine.synthesis.programs.schedule import variables
from engine.synthesis.routes.behaviour import Behaviour, Sequences
from engine.synthesis.routes.candidate import Candidate, Refused, candidate

LONGEST = 8  # inputs looked back at
ENDINGS, BEGINNINGS = 64, 24  # how many endings are tried, each after so many beginnings
FEEDBACK = ((1, 0), (1, 1), (2, 0), (2, 1))  # outputs and inputs looked back at


class Window(NamedTuple):
    """What is remembered: this many outputs, and inputs this far back (only those listed are used)."""

    outputs: int
    inputs: tuple[tuple[int, int], ...]  # (which input, how far back)


def memory(behaviour: Behaviour, rng: np.random.Generator) -> int | None:
    """The smallest b such that the last output depends on the last b + 1 inputs only; None above LONGEST."""
    domain = behaviour.domain
    for back in range(min(LONGEST, domain.length - 2) + 1):
        endings = behaviour.x[rng.integers(0, len(behaviour.x), ENDINGS), -1 - back :]
        first = domain.sample(ENDINGS * BEGINNINGS, rng)[:, : domain.length - back - 1]
        x = np.concatenate([first, endings.repeat(BEGINNINGS, axis=0)], axis=1)
        last = behaviour.ask(x)[:, -1].reshape(ENDINGS, BEGINNINGS, -1)
        if (last == last[:, :1]).all():
            return back
    return None


def relevant(behaviour: Behaviour, back: int, rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """The (input, how far back) whose change alone changes an output somewhere."""
    found = []
    for k, lag in product(range(behaviour.inputs), range(1, back + 1)):
        x = behaviour.x[rng.integers(0, len(behaviour.x), 512)].copy()
        before = behaviour.ask(x)[:, -1]
        x[:, -1 - lag, k] = behaviour.domain.sample(len(x), rng)[:, 0, k]
        if (behaviour.ask(x)[:, -1] != before).any():
            found.append((k, lag))
    return tuple(found)


def input_loops(behaviour: Behaviour, rng: np.random.Generator) -> Iterator[Candidate | Refused]:
    """A program whose state is the last inputs, agreeing with the network on all that was observed."""
    back = memory(behaviour, rng)
    if back is None:
        yield Refused("last inputs", f"what the network says depends on inputs more than {LONGEST} steps back")
        return
    found = _fitted(behaviour, Window(0, relevant(behaviour, back, rng)))
    yield found or Refused("last inputs", f"no formula of the last {back + 1} inputs was found")


def output_loops(behaviour: Behaviour, lags: Sequence[tuple[int, int]] = FEEDBACK) -> Iterator[Candidate | Refused]:
    """A program whose state is the last outputs, and inputs: so many of each as `lags` says, the first that does."""
    for outputs, inputs in lags:
        if outputs + inputs < behaviour.domain.length:
            read = tuple(product(range(behaviour.inputs), range(1, inputs + 1)))
            found = _fitted(behaviour, Window(outputs, read))
            if found is not None:
                yield found
                return
    looked = " or ".join(_in_words(outputs, inputs) for outputs, inputs in lags)
    yield Refused("last outputs", f"no formula of the last {looked} was found")


def _in_words(outputs: int, inputs: int) -> str:
    said = "output" if outputs == 1 else f"{outputs} outputs"
    return said + (" and input" if inputs else "")


def _rows(behaviour: Behaviour, window: Window) -> tuple[Sequences, Sequences]:
    """Current input, remembered inputs and outputs; and the wanted outputs: at positions whose window lies inside."""
    first = max([window.outputs, *(lag for _, lag in window.inputs)])
    length = behaviour.x.shape[1]
    parts = [behaviour.x[:, first:]]
    parts += [behaviour.x[:, first - lag : length - lag, k : k + 1] for k, lag in window.inputs]
    parts += [behaviour.y[:, first - lag : length - lag] for lag in range(1, window.outputs + 1)]
    rows = np.concatenate(parts, axis=2)
    return rows.reshape(-1, rows.shape[2]), behaviour.y[:, first:].reshape(-1, behaviour.outputs)


def _fitted(behaviour: Behaviour, window: Window) -> Candidate | None:
    rows, wanted = _rows(behaviour, window)
    if not len(rows) or any(contradicts(rows, wanted[:, k]) for k in range(wanted.shape[1])):
        return None
    read = input_names(behaviour.inputs)
    lagged = [_delayed(behaviour, k, lag) for k, lag in window.inputs]
    given = output_names(behaviour.outputs)
    past = [[name.replace("y", "yzw"[lag]) for name in given] for lag in range(window.outputs)]
    names = (*read, *lagged, *(name for level in past for name in level))
    found = regress_all(rows, names, wanted.T, constants=constants(behaviour))
    if any(f is None for f in found):
        return None
    formulas = tuple(f.expression for f in found if f is not None)
    return _feedback(behaviour, formulas, past) if window.outputs else _shift_register(behaviour, formulas)


def constants(behaviour: Behaviour) -> tuple[int, ...]:
    """0, 1, 2, and the ends of what is read and written, with the number of values read."""
    low, high = behaviour.domain.low, behaviour.domain.high
    ends = {low, high, high + 1, high - low + 1, int(behaviour.y.min()), int(behaviour.y.max())}
    return tuple(sorted({0, 1, 2} | {abs(v) for v in ends if abs(v) <= 1000}))


def _shift_register(behaviour: Behaviour, formulas: tuple[Expression, ...]) -> Candidate | None:
    state, update = _delays(behaviour, formulas)

    def loop(start: tuple[int, ...]) -> Loop:
        return Loop(input_names(behaviour.inputs), state, start * len(state), update, formulas)

    return _started(behaviour, loop, 1, "last inputs", _remembering(len(state)))


def _feedback(behaviour: Behaviour, formulas: tuple[Expression, ...], past: list[list[str]]) -> Candidate | None:
    delays, delayed = _delays(behaviour, formulas)
    used = set().union(*(variables(e) for e in formulas))
    kept = [level for level in past[1:] if used & set(level)]
    state = (*past[0], *(name for level in kept for name in level), *delays)
    older = tuple(("var", past[0][k]) for level in kept for k in range(len(level)))
    update = (*formulas, *older, *delayed)
    given = tuple(("var", name) for name in past[0])
    outputs = len(state) - len(delays)

    def loop(start: tuple[int, ...]) -> Loop:
        return Loop(
            input_names(behaviour.inputs),
            state,
            start[:1] * outputs + start[1:] * len(delays),
            update,
            given,
            from_new=True,
        )

    return _started(behaviour, loop, 1 + bool(delays), "last outputs", "The state is the last outputs.")


def _delayed(behaviour: Behaviour, k: int, lag: int) -> str:
    """The name of input k, `lag` steps back: x1, p2; with three inputs and more x1_2."""
    return f"{input_names(behaviour.inputs)[k]}{'' if behaviour.inputs <= 2 else '_'}{lag}"


def _delays(behaviour: Behaviour, formulas: tuple[Expression, ...]) -> tuple[tuple[str, ...], tuple[Expression, ...]]:
    """State variables that hold earlier inputs, as far back as the formulas use, and their updates."""
    read = input_names(behaviour.inputs)
    used = set().union(*(variables(e) for e in formulas))
    names: list[str] = []
    update: list[Expression] = []
    for k, name in enumerate(read):
        chain = [_delayed(behaviour, k, lag) for lag in range(1, LONGEST + 1)]
        far = max((lag for lag, one in enumerate(chain, 1) if one in used), default=0)
        names += chain[:far]
        update += [("var", one) for one in (name, *chain[: far - 1])][:far]
    return tuple(names), tuple(update)


def _started(
    behaviour: Behaviour, loop: Callable[[tuple[int, ...]], Loop], free: int, route: str, about: str
) -> Candidate | None:
    """The loop with the first starting values under which it agrees with the network from the first position on."""
    low, high = behaviour.domain.low, behaviour.domain.high
    tried = list(dict.fromkeys((0, 1, low, high, int(behaviour.y.min()), int(behaviour.y.max()), -1, high + 1)))
    for start in sorted(product(tried, repeat=free), key=lambda s: sum(tried.index(v) for v in s)):
        built = loop(start)
        if not behaviour.difference(built):
            return candidate(route, built, about)
    return None


def _remembering(count: int) -> str:
    return "No memory." if not count else f"The state is the last {'input' if count == 1 else f'{count} inputs'}."
