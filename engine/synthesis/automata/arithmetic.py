"""Labels that make a machine's update one formula: `(2 * k + x) % 7`, `(k + x) // 3`, found by trying formulas.

A formula of the label and the input labels the whole machine, once the start is 0: each state gets the number that the
formula gives on the way there. It is a labelling when every other way gives the same, and no two states share one. All
formulas up to a size are tried at once, as arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int

from engine.synthesis.automata.machine import UNKNOWN, Mealy
from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.expressions import evaluate
from engine.synthesis.programs.names import input_names

LARGEST = 7  # description length of an update
MOST_STATES = 128
SAMPLED = 64  # rows on which formulas are told apart
MOST = 40_000  # formulas
AT_ONCE = 2_000_000  # numbers
WANTED = 24  # labellings


def arithmetic_labels(machine: Mealy) -> Iterator[Int[np.ndarray[Any, Any], " state"]]:
    """Labels 0..states-1 under which some short formula is the update, those of the shortest formulas first."""
    count, symbols = machine.states, np.array(machine.symbols, dtype=np.int64)
    if not 2 <= count <= MOST_STATES:
        return
    grid = np.concatenate(
        [np.tile(symbols, (count, 1)), np.repeat(np.arange(count), len(symbols))[:, None]], axis=1
    )  # row: input, label
    names = (*input_names(symbols.shape[1]), "k")
    some = np.random.default_rng(count).permutation(len(grid))[:SAMPLED]
    constants = sorted({0, 1, 2, count, count - 1} | {int(v) for v in np.abs(symbols).max(axis=0)})
    bank = Bank(grid[some], names, constants, most=MOST)
    columns = {name: grid[:, k] for k, name in enumerate(names)}
    found = 0
    for wanted in range(1, LARGEST + 1):
        if wanted > 1 and not bank.grow():
            return
        level = bank.levels.get(wanted)
        if level is None or not len(level.how):
            continue
        inside = np.flatnonzero((level.columns >= 0).all(axis=1) & (level.columns < count).all(axis=1))
        stride = max(1, AT_ONCE // len(grid))
        for start in range(0, len(inside), stride):
            tables = []
            for index in inside[start : start + stride]:
                try:
                    tables.append(evaluate(bank.expression(wanted, int(index)), columns))
                except ZeroDivisionError:
                    tables.append(np.full(len(grid), -1))
            updates = np.stack(tables)
            updates = updates[((updates >= 0) & (updates < count)).all(axis=1)]
            for labels in _labelled(machine, updates.reshape(len(updates), count, len(symbols))):
                yield labels
                found += 1
                if found >= WANTED:
                    return


def _labelled(
    machine: Mealy, updates: Int[np.ndarray[Any, Any], "formula label symbol"]
) -> Iterator[Int[np.ndarray[Any, Any], " state"]]:
    """The labels of each formula that labels the machine."""
    rows = np.arange(len(updates))
    labels = np.full((len(updates), machine.states), -1, dtype=np.int64)
    labels[:, 0] = 0
    queue, met = [0], {0}
    for state in queue:
        for symbol, after in enumerate(machine.next[state].tolist()):
            if after != UNKNOWN and after not in met:
                labels[:, after] = updates[rows, labels[:, state], symbol]
                met.add(after)
                queue.append(after)
    good = (np.sort(labels, axis=1) == np.arange(machine.states)).all(axis=1)
    for state in range(machine.states):
        for symbol, after in enumerate(machine.next[state].tolist()):
            if after != UNKNOWN:
                good &= updates[rows, labels[:, state], symbol] == labels[:, after]
    yield from labels[good]
