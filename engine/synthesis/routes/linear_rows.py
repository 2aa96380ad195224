"""Integer coordinates for a network with an affine update and outputs that are not: the rows a formula is fitted to.

Of the hidden state only what the outputs will ever see counts: the directions g reads after one more step, and what W
makes of them. In them the update's lattice gives integer coordinates and an integer update.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.synthesis.formulas.expressions import Expression
from engine.synthesis.lattices.linear import columns, linear_lattice
from engine.synthesis.lattices.shortest import shortest
from engine.synthesis.lattices.systems import System, loop_of
from engine.synthesis.programs.loop import Loop
from engine.synthesis.routes.affine_fit import AffineNetwork, fit
from sessions.errors import IwbError

Whole = Int[np.ndarray[Any, Any], "sequence pos value"]
Real = Float[np.ndarray[Any, Any], "row column"]
SEEN = 0.01  # a direction that changes what g reads by less than so much of the largest is not seen
WHOLE = 0.2  # a coordinate this near to an integer is one


class RowsFound(NamedTuple):
    """The loop's state with its updates, and for every step of the sample what the outputs are a function of."""

    inputs: tuple[str, ...]
    state: tuple[str, ...]
    start: tuple[int, ...]
    update: tuple[Expression, ...]
    old: Whole  # the state before each input
    x: Whole
    new: Whole  # the state after it
    y: Whole

    def loop(self, outputs: tuple[Expression, ...], *, from_new: bool = False) -> Loop:
        """The loop, given formulas for the outputs of the old state (or the new one) and the inputs."""
        return Loop(self.inputs, self.state, self.start, self.update, outputs, from_new)


def rows_found(network: AffineNetwork, reads: Real, x: Whole) -> RowsFound | str:
    """Integer coordinates of what the outputs see of the state; `reads` is the first layer of g (its weight).

    In words why there are none: no lattice, an update that is not integer, or outputs that are no function of the
    coordinates and the input.
    """
    seen = _seen(network, reads)
    system = _system(network, seen, x) if len(seen) else _without_state(x.shape[2])
    if isinstance(system, str):
        return system
    best = shortest([system], keep=1)[0].ordered() if system.states else system
    states = _run(best, x)
    loop = loop_of(best)
    old, new = states[:, :-1], states[:, 1:]
    told = np.concatenate([old, x], axis=2).reshape(-1, best.states + x.shape[2])
    with_y = np.concatenate([told, network.y.reshape(len(told), -1)], axis=1)
    if len(np.unique(told, axis=0)) != len(np.unique(with_y, axis=0)):
        return "the outputs are no function of the state's integer coordinates and the input"
    return RowsFound(loop.inputs, loop.state, loop.start, loop.update, old, x, new, network.y)


def _seen(network: AffineNetwork, reads: Real) -> Real:
    """Functionals of the hidden state, as rows: what g's first layer will read of it from the next step on."""
    flat = network.hidden.reshape(-1, network.hidden.shape[2])
    root = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    spread = root[2].T * root[1] / np.sqrt(len(flat))  # the states are this times unit noise
    future = columns(network.update.T, (reads @ network.update).T, len(network.bias))
    _, size, right = np.linalg.svd(future @ spread, full_matrices=False)
    now = np.linalg.norm(reads @ spread) + size[0] if len(size) else 0.0
    kept = size > SEEN * now
    found: Real = right[kept] @ np.linalg.pinv(spread, rcond=1e-6)
    return found


def _system(network: AffineNetwork, seen: Real, x: Whole) -> System | str:
    """The integer update of the seen part of the state. Its outputs are not filled in."""
    length = x.shape[1]
    drift = np.zeros((length + 1, len(network.bias)))
    for t in range(length):
        drift[t + 1] = network.update @ drift[t] + network.bias
    before = np.concatenate([np.zeros_like(network.hidden[:, :1]), network.hidden], axis=1)
    states = (before - drift) @ seen.T  # what the inputs alone did
    flat = states.reshape(-1, len(seen))
    step = fit(np.concatenate([states[:, :-1], x], axis=2).reshape(-1, len(seen) + x.shape[2]), _rows(states[:, 1:]))[0]
    try:
        basis = linear_lattice(step[:, : len(seen)], step[:, len(seen) :], flat, 2 * len(seen) + 1).basis
    except IwbError as problem:
        return problem.what
    inverse = np.linalg.pinv(basis)
    alone = drift @ seen.T @ inverse
    offset = alone - alone[0]
    if np.abs(offset - np.rint(offset)).max() > WHOLE:
        # The start may lie off the lattice where all later states are: then it is taken for the nearest point.
        offset = alone - alone[-1]
    if np.abs(offset[1:] - np.rint(offset[1:])).max() > WHOLE:
        return "what the bias adds to the state is no lattice vector"
    real = states @ inverse
    if np.abs(real - np.rint(real)).max() > 2 * WHOLE:
        return "the states' coordinates are no integers"
    k = np.rint(real).astype(np.int64) + np.rint(offset).astype(np.int64)
    known = np.concatenate([k[:, :-1], x], axis=2)
    fitted, constant, _ = fit(_rows(known).astype(np.float64), _rows(k[:, 1:]).astype(np.float64))
    update, drive, moved = (
        np.rint(p).astype(np.int64) for p in (fitted[:, : len(basis)], fitted[:, len(basis) :], constant)
    )
    if not np.array_equal(_rows(known) @ np.concatenate([update, drive], axis=1).T + moved, _rows(k[:, 1:])):
        return "the update of the integer coordinates is no integer one"
    return _without_state(x.shape[2])._replace(
        update=update, driven=drive, drift=moved, start=k[0, 0], read=np.zeros((0, len(basis)), dtype=np.int64)
    )


def _without_state(inputs: int) -> System:
    none = np.zeros((0, 0), dtype=np.int64)
    empty = np.zeros(0, dtype=np.int64)
    return System(
        none, np.zeros((0, inputs), dtype=np.int64), empty, empty, none, np.zeros((0, inputs), dtype=np.int64), empty
    )


def _run(system: System, x: Whole) -> Whole:
    """The states before each input and after the last."""
    now = np.tile(system.start, (len(x), 1))
    states = [now]
    for t in range(x.shape[1]):
        now = now @ system.update.T + x[:, t] @ system.driven.T + system.drift
        states.append(now)
    return np.stack(states, axis=1)


def _rows(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.reshape(-1, values.shape[-1])
