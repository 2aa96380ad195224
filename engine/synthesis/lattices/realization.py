"""The smallest integer system with a given impulse response: Ho and Kalman's realization over the integers.

The state of a linear system is what is yet to come out of it. What each impulse leaves behind is a column of the Hankel
matrix; the columns' integer combinations are a lattice, and one step of time maps that lattice into itself.
Source: B. L. Ho and R. E. Kalman, "Effective construction of linear state-variable models" (1966), here with a lattice
basis in the place of a basis of the column space, so that all matrices are integer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.lattices.systems import System

Matrix = Int[np.ndarray[Any, Any], "row column"]


class Response(NamedTuple):
    """What a system of integers answers: `impulse[j]` (output, input), what an input adds to the output j steps later;
    `constant[t]` (output), the output after t + 1 zeros."""

    impulse: Int[np.ndarray[Any, Any], "lag output inputs"]
    constant: Int[np.ndarray[Any, Any], "pos output"]


def realized(response: Response, *, from_new: bool) -> System | None:
    """The smallest system with that response, read from its old state and the input, or from its new state. None where
    the response is too short to determine one, or where one step does not map the lattice into itself."""
    impulse, constant = response
    inputs = impulse.shape[2]
    steps = np.diff(constant, axis=0)[:, :, None]  # what a constant input of 1, not seen, would add
    if from_new:
        first = _first_step(impulse, steps)
        augmented = np.concatenate([impulse, np.concatenate([first[None], steps])], axis=2)
        constant_part = constant[0] - first[:, 0]
    else:
        augmented = np.concatenate([impulse[1:], steps], axis=2)
        constant_part = constant[0]
    found = _factored(augmented)
    if found is None:
        return None
    update, driven, read = found
    direct = np.zeros_like(impulse[0]) if from_new else impulse[0]
    states = len(update)
    return System(
        update=update,
        driven=driven[:, :inputs],
        drift=driven[:, inputs],
        start=np.zeros(states, dtype=np.int64),
        read=read,
        direct=direct,
        constant=constant_part,
        from_new=from_new,
    )


def _factored(sequence: Int[np.ndarray[Any, Any], "lag output column"]) -> tuple[Matrix, Matrix, Matrix] | None:
    """M, N, C with sequence[j] = C M^j N, of the smallest size."""
    lags, outputs, columns = sequence.shape
    down = lags // 2 + 1
    across = lags + 1 - down
    if across < 2 or down < 2:
        return None
    hankel = np.concatenate([np.concatenate(list(sequence[j : j + down]), axis=0) for j in range(across)], axis=1)
    basis = row_lattice(hankel.T).T
    size = basis.shape[1]
    # The response determines the system only if one row and one column fewer have the same rank.
    if size and (len(row_lattice(hankel[:-outputs].T)) < size or len(row_lattice(hankel[:, :-columns].T)) < size):
        return None
    if not size:
        empty = np.zeros((0, 0), dtype=np.int64)
        return empty, np.zeros((0, columns), dtype=np.int64), np.zeros((outputs, 0), dtype=np.int64)
    places = np.rint(np.linalg.lstsq(basis.astype(float), hankel.astype(float), rcond=None)[0]).astype(np.int64)
    before, after = places[:, :-columns], places[:, columns:]
    update = np.rint(after @ np.linalg.pinv(before.astype(float))).astype(np.int64)
    if not np.array_equal(basis @ places, hankel) or not np.array_equal(update @ before, after):
        return None
    return update, places[:, :columns], basis[:outputs]


def _first_step(
    impulse: Int[np.ndarray[Any, Any], "lag output inputs"], steps: Int[np.ndarray[Any, Any], "step output 1"]
) -> Int[np.ndarray[Any, Any], "output 1"]:
    """What the unseen constant input adds at once. The outputs do not tell it from a constant; it is chosen so that the
    states that the inputs need are enough, if that can be."""
    outputs = impulse.shape[1]
    none = np.zeros((outputs, 1), dtype=np.int64)
    if not steps.any():
        return none
    half = len(impulse) // 2 + 1
    rows = [np.concatenate(list(impulse[j : j + half]), axis=0) for j in range(len(impulse) + 1 - half)]
    reach = np.concatenate(rows, axis=1).astype(float)
    known = np.concatenate([np.zeros((outputs, 1)), *steps[: half - 1]], axis=0)
    unknown = np.eye(len(reach), outputs)
    solved = np.linalg.lstsq(np.concatenate([reach, -unknown], axis=1), known, rcond=None)[0]
    first: Int[np.ndarray[Any, Any], "output 1"] = np.rint(solved[-outputs:]).astype(np.int64)
    reached = np.concatenate([first, known[outputs:]], axis=0)
    left = reached - reach @ np.linalg.lstsq(reach, reached, rcond=None)[0]
    return first if np.abs(left).max() < 1e-6 else none


def row_lattice(rows: Matrix) -> Matrix:
    """A basis (in echelon form) of all integer combinations of the rows, by Euclid's algorithm in every column."""
    left = [[int(v) for v in row] for row in rows if row.any()]
    basis: list[list[int]] = []
    for column in range(rows.shape[1]):
        while True:
            active = sorted((row for row in left if row[column]), key=lambda row: abs(row[column]))
            if len(active) < 2:
                break
            pivot = active[0]
            for row in active[1:]:
                quotient = row[column] // pivot[column]
                row[:] = [a - quotient * b for a, b in zip(row, pivot)]
        if active:
            basis.append(active[0])
            left = [row for row in left if row is not active[0] and any(row)]
    return np.array(basis, dtype=np.int64).reshape(len(basis), rows.shape[1])
