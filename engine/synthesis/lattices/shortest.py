"""Among the unimodular changes of a system's state, the ones that are shortest to write: a beam search.

Updates are written one after the other where that is shorter, so `v += x; pos += v` counts as what it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.lattices.systems import System, sizes

Rank = tuple[int, int]
Square = Int[np.ndarray[Any, Any], "state state"]
BEAM = 16
DEPTH = 40
PATIENCE = 3  # rounds without a shorter system
LARGEST = 10**6  # a coefficient beyond it is followed no further


class Move(NamedTuple):
    """An elementary change: a sign, or one coordinate added to another."""

    basis: Square
    inverse: Square


def shortest(systems: list[System], keep: int = 4) -> list[System]:
    """The shortest systems reached from any of these by elementary changes of the state: signs, one coordinate added to
    or taken from another, a coordinate moved by one. All compute the same; the shortest first, at most `keep`."""
    seen = {_key(s): (rank, s) for s, rank in zip(systems, _ranks(systems))}
    beam = dict(seen)
    best = min(rank for rank, _ in seen.values())
    waiting = 0
    for _ in range(DEPTH):
        fresh = {_key(other): other for _, system in beam.values() for other in _neighbours(system)}
        reached = [(key, other) for key, other in fresh.items() if key not in seen]
        if not reached:
            break
        ranked = {key: (rank, s) for (key, s), rank in zip(reached, _ranks([s for _, s in reached]))}
        seen |= ranked
        beam = dict(sorted(ranked.items(), key=lambda item: item[1][0])[:BEAM])
        lowest = min(rank for rank, _ in beam.values())
        waiting = 0 if lowest < best else waiting + 1
        best = min(best, lowest)
        if waiting >= PATIENCE:
            break
    return [system for _, system in sorted(seen.values(), key=lambda pair: pair[0])[:keep]]


def _ranks(systems: list[System]) -> list[Rank]:
    """Short both as they stand and as they may be written; with few minus signs. All have as many states.

    As written, an update may use another variable's new value; whether some order of writing allows that in all of them
    is left to the writer.
    """
    rows = np.stack([s.rows for s in systems])
    size = rows.shape[1]
    plain = sizes(rows)
    shorter = plain
    for sign in (1, -1):
        rest = rows[:, :, None] - sign * rows[:, None]  # of variable i, given the new value of j
        usable = np.take_along_axis(rest, np.arange(size).reshape(1, 1, -1, 1), axis=3)[..., 0] == 0
        usable &= ~np.eye(size, dtype=bool)
        shorter = np.minimum(shorter, np.where(usable, sizes(rest) + 2, plain[:, :, None]).min(axis=2, initial=10**9))
    lengths = plain.sum(axis=1) + shorter.sum(axis=1)
    return [(int(n) + 2 * s.overhead, int((s.rows < 0).sum() + (s.read < 0).sum())) for n, s in zip(lengths, systems)]


def _key(system: System) -> bytes:
    """Equal for systems that differ in the order of their state variables only."""
    signature = np.concatenate(
        [system.driven, system.drift[:, None], system.start[:, None], system.read.T, np.diag(system.update)[:, None]],
        axis=1,
    )
    order = np.lexsort(signature.T) if len(signature) else np.zeros(0, dtype=np.int64)
    inner = system.update[np.ix_(order, order)]
    return b"|".join((signature[order].tobytes(), inner.tobytes(), system.constant.tobytes()))


def _neighbours(system: System) -> list[System]:
    size = system.states
    found = [system.changed(basis, inverse) for basis, inverse in _moves(size)]
    if system.drift.any() or system.start.any() or system.constant.any():
        found += [system.moved(sign * one) for one in np.eye(size, dtype=np.int64) for sign in (1, -1)]
    return [s for s in found if max(int(np.abs(part).max(initial=0)) for part in s[:7]) < LARGEST]


def _moves(size: int) -> list[Move]:
    one = np.eye(size, dtype=np.int64)
    moves = []
    for i in range(size):
        flipped = one.copy()
        flipped[i, i] = -1
        moves.append(Move(flipped, flipped))
        for j in range(size):
            for sign in (1, -1):
                if i != j:
                    added, taken = one.copy(), one.copy()
                    added[i, j], taken[i, j] = sign, -sign
                    moves.append(Move(added, taken))
    return moves
