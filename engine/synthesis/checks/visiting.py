"""Two programs equal at every length, where their states take few values together: all reachable pairs of states are
visited with every input. That is a proof by itself, and a difference is found with a shortest input that shows it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.checks.numbers import Numbers, TooLargeError
from engine.synthesis.checks.pairs import Pair, replayed

MOST_PAIRS = 20_000
MOST_VISITS = 1_000_000  # pairs times inputs
MOST_LEVELS = 2_000

State = tuple[int, ...]


class Visited(NamedTuple):
    """All reachable states of both (variables as in `Pair.start`), or a difference in words."""

    states: tuple[State, ...]
    difference: str = ""


def visit(pair: Pair) -> Visited | None:
    """None where there are too many pairs of states to visit them all."""
    if pair.domain.symbols > MOST_PAIRS:
        return None
    symbols = np.array(pair.domain.alphabet(), dtype=np.int64)
    start = tuple(pair.start.values())
    came: dict[State, tuple[State, int] | None] = {start: None}  # the state before, and the number of the input
    level = [start]
    for _ in range(MOST_LEVELS):
        if not level:
            return Visited(tuple(came))
        if len(came) > MOST_PAIRS or len(came) * len(symbols) > MOST_VISITS:
            return None
        rows = np.array(level, dtype=np.int64).reshape(len(level), len(start)).repeat(len(symbols), axis=0)
        read = np.tile(symbols, (len(level), 1))
        try:
            after, given, wanted = pair.step(dict(zip(pair.start, rows.T)), list(read.T), Numbers())
        except TooLargeError:
            return None
        for one, other in zip(given, wanted):
            wrong = np.flatnonzero(np.broadcast_to(np.not_equal(one, other), len(rows)))
            if len(wrong):
                at, symbol = divmod(int(wrong[0]), len(symbols))
                return _differing(pair, came, level[at], symbol, symbols)
        reached = [np.broadcast_to(value, len(rows)).tolist() for value in after.values()]
        following: list[State] = []
        for number, state in enumerate(zip(*reached)):
            if state not in came:
                came[state] = (level[number // len(symbols)], number % len(symbols))
                following.append(state)
        level = following
    return None


def _differing(
    pair: Pair,
    came: dict[State, tuple[State, int] | None],
    state: State,
    symbol: int,
    symbols: Int[np.ndarray[Any, Any], "symbol input"],
) -> Visited | None:
    """The inputs from the start to that state, and then the one that shows the difference."""
    numbers = [symbol]
    while (before := came[state]) is not None:
        state = before[0]
        numbers.append(before[1])
    shown = replayed(pair, symbols[numbers[::-1]])
    return Visited((), shown) if shown else None
