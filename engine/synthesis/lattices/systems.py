"""Linear systems over the integers: k' = M k + N x + c, and y = C k + D x + d from the old state, or y = C k' + d.

What a linear network becomes in lattice coordinates, and what is written as a loop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.expressions import Expression
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.names import input_names
from engine.synthesis.programs.schedule import combination

Matrix = Int[np.ndarray[Any, Any], "row column"]
Vector = Int[np.ndarray[Any, Any], " row"]


class System(NamedTuple):
    """Integer matrices. `from_new`: the outputs are read from the new state (then `direct` is zero)."""

    update: Matrix  # M
    driven: Matrix  # N
    drift: Vector  # c
    start: Vector
    read: Matrix  # C
    direct: Matrix  # D
    constant: Vector  # d
    from_new: bool = False

    @property
    def states(self) -> int:
        return len(self.start)

    @property
    def inputs(self) -> int:
        return int(self.driven.shape[1])

    def changed(self, basis: Matrix, inverse: Matrix) -> System:
        """The same function with state `basis k`."""
        return self._replace(
            update=basis @ self.update @ inverse,
            driven=basis @ self.driven,
            drift=basis @ self.drift,
            start=basis @ self.start,
            read=self.read @ inverse,
        )

    def moved(self, by: Vector) -> System:
        """The same function with state `k + by`."""
        return self._replace(
            drift=self.drift + by - self.update @ by,
            start=self.start + by,
            constant=self.constant - self.read @ by,
        )

    def ordered(self) -> System:
        """The same with state variables in an order that reads well: delays of the inputs, then what depends on few
        others first."""
        lags = [lag or (self.inputs, 0) for lag in _lags(self)]
        others = np.count_nonzero(self.update - np.diag(np.diag(self.update)), axis=1)
        order = np.array(sorted(range(self.states), key=lambda k: (*lags[k], others[k])), dtype=np.int64)
        return self._replace(
            update=self.update[np.ix_(order, order)],
            driven=self.driven[order],
            drift=self.drift[order],
            start=self.start[order],
            read=self.read[:, order],
        )

    @property
    def cost(self) -> int:
        """The `cost` of the loop it is written as."""
        return int(sizes(self.rows).sum()) + self.overhead

    @property
    def rows(self) -> Matrix:
        """The coefficients of the updates: old state, inputs, constant."""
        return np.concatenate([self.update, self.driven, self.drift[:, None]], axis=1)

    @property
    def overhead(self) -> int:
        """What is written beside the updates: outputs and starting values."""
        outputs = np.concatenate([self.read, self.direct, self.constant[:, None]], axis=1)
        return int(sizes(outputs).sum()) + self.states + int(np.count_nonzero(self.start))


def sizes(rows: Int[np.ndarray[Any, Any], "*batch column"]) -> Int[np.ndarray[Any, Any], "*batch"]:
    """The description length of each row written as a linear expression, its constant last."""
    terms = np.count_nonzero(rows, axis=-1)
    factors = (np.abs(rows[..., :-1]) > 1).sum(axis=-1)
    negative = (rows <= 0).all(axis=-1) & (rows[..., :-1] != 0).any(axis=-1)
    below = (terms == 1) & (rows[..., -1] < 0)  # a negative constant by itself: its sign
    found: Vector = np.maximum(2 * terms - 1, 1) + 2 * factors + 2 * negative + below
    return found


def loop_of(system: System) -> Loop:
    """The system as a loop. A state variable that holds an earlier input is named for it (x1, x2: one and two steps
    back), others a, b, c, ...; terms with a plus come first, an own old value before all."""
    read = input_names(system.inputs)
    names = state_names(system)
    update = tuple(
        _sum(
            (
                (names[row], system.update[row, row]),
                *((n, c) for k, (n, c) in enumerate(zip(names, system.update[row])) if k != row),
                *zip(read, system.driven[row]),
            ),
            system.drift[row],
        )
        for row in range(system.states)
    )
    outputs = tuple(
        _sum((*zip(read, system.direct[row]), *zip(names, system.read[row])), system.constant[row])
        for row in range(len(system.constant))
    )
    start = tuple(int(v) for v in system.start)
    return Loop(read, names, start, update, outputs, from_new=system.from_new)


def state_names(system: System) -> tuple[str, ...]:
    """x1, x2, ... for delays of an input, letters for the rest."""
    read = input_names(system.inputs)
    mark = "" if system.inputs <= 2 else "_"
    names = [f"{read[lag[0]]}{mark}{lag[1]}" if lag else "" for lag in _lags(system)]
    letters = (letter for letter in "abcdefghijklmnoruvw" if letter not in read)
    return tuple(name if name and name not in names[:k] else next(letters) for k, name in enumerate(names))


def _lags(system: System) -> list[tuple[int, int] | None]:
    """For each state variable that holds nothing but an earlier input: which input, and how many steps back."""
    rows = np.concatenate([system.driven, system.update, system.drift[:, None]], axis=1)
    copies = {
        row: int(np.flatnonzero(values)[0])
        for row, values in enumerate(rows)
        if np.count_nonzero(values) == 1 and values.sum() == 1 and not values[-1]
    }
    found: list[tuple[int, int] | None] = []
    for row in range(system.states):
        chain, source = [row], copies.get(row)
        while source is not None and source >= system.inputs and source - system.inputs not in chain:
            chain.append(source - system.inputs)
            source = copies.get(chain[-1])
        found.append((source, len(chain)) if source is not None and source < system.inputs else None)
    return found


def _sum(terms: tuple[tuple[str, Any], ...], constant: Any) -> Expression:
    return combination({name: int(c) for name, c in terms} | {"": int(constant)})
