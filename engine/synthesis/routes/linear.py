"""From a network whose update is affine to loops: integer responses, the smallest integer system, the shortest basis.

The update must be affine on the visited states (a ReLU that never changes sides is no obstacle). Where the outputs are
affine too, the network is an integer filter: what an input adds to the outputs j steps later, C W^j V, is rounded, and
the smallest system with these responses is written down in the basis in which it is shortest. Where the outputs are not
affine, the states' integer coordinates are handed on as rows, for a formula to be found.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.checks.agreement import network_outputs
from engine.synthesis.lattices.realization import Response, realized
from engine.synthesis.lattices.shortest import shortest
from engine.synthesis.lattices.systems import System, loop_of
from engine.synthesis.programs.emission import description_length, emit_loop
from engine.synthesis.programs.loop import Loop
from engine.synthesis.routes.affine_fit import AffineNetwork, affine_network, observed
from engine.synthesis.routes.linear_rows import RowsFound, rows_found
from engine.synthesis.routes.observed_response import observed_response
from engine.synthesis.routes.state_lattice import LatticeUsed, lattice_of_states, lattice_of_update
from sessions.errors import IwbError

__all__ = ["LatticeUsed", "LinearLoops", "RowsFound", "linear_loops"]

Sequences = Int[np.ndarray[Any, Any], "sequence pos value"]
KEPT, FEW = 24, 6  # shortest systems that are written out to compare their texts; of 4 states and more, fewer
MOST_HIDDEN = 3  # hidden numbers for which a lattice is told from states alone
NEAR = 0.25  # a response this near to an integer counts as it; the loop is held against the network afterwards


class LinearLoops(NamedTuple):
    """Loops that give the network's rounded outputs on every sampled sequence, the shortest text first; or why there
    are none. `lattice` is None where the states lie on none."""

    loops: tuple[Loop, ...]
    why: str
    read_from: str  # where the affine maps came from
    lattice: LatticeUsed | None
    rows: RowsFound | None = None  # where the update is affine and integer and no loop was found


def linear_loops(model: RecurrentModel, x: Sequences, *, bent: bool = True) -> LinearLoops:
    """Loops for a network whose outputs are integer combinations of its inputs, from its weights where they are affine,
    else from its outputs on the sequences `x`. Where the update is affine and integer and the outputs are not, the rows
    on which a formula for them can be sought. `bent`: also look for the lattice of states whose update is not affine,
    which costs seconds."""
    found = affine_network(model, x)
    if isinstance(found, str):
        lattice = _told_from_states(observed(model, x)[0]) if bent else None
        return _from_outputs(model, x, LinearLoops((), found, "", lattice))
    lattice = _lattice(found)
    response = _rounded(found, x.shape[1])
    why = response if isinstance(response, str) else "the rounded responses do not give the network's outputs"
    if isinstance(response, Response):
        loops = _agreeing(response, x, found.y)
        if loops:
            return LinearLoops(loops, "", found.source, lattice)
    rows = rows_found(found, found.first_read, x)
    if isinstance(rows, str):
        return _from_outputs(model, x, LinearLoops((), f"{why}; {rows}", found.source, lattice))
    return _from_outputs(model, x, LinearLoops((), why, found.source, lattice, rows))


def _from_outputs(model: RecurrentModel, x: Sequences, otherwise: LinearLoops) -> LinearLoops:
    """Loops with the response that the rounded outputs show, where they show one."""
    y = network_outputs(model, x)
    response = observed_response(x, y)
    loops = () if response is None else _agreeing(response, x, y)
    return otherwise._replace(loops=loops, why="", read_from="the rounded outputs") if loops else otherwise


def _agreeing(response: Response, x: Sequences, y: Sequences) -> tuple[Loop, ...]:
    return tuple(loop for loop in _written(_systems(response)) if np.array_equal(loop.run(x)[1], y))


def _rounded(network: AffineNetwork, length: int) -> Response | str:
    """The network's answers to impulses and to zeros, as integers; or in words why they are none."""
    if network.read is None:
        return "the outputs are no affine function of the hidden state"
    impulse, power = [], network.driven
    for _ in range(length):
        impulse.append(network.read @ power)
        power = network.update @ power
    h = np.zeros(len(network.bias))
    constant = []
    for _ in range(length):
        h = network.update @ h + network.bias
        constant.append(network.read @ h + network.read_bias)
    raw = np.stack(impulse)
    off = float(np.abs(raw - np.rint(raw)).max())
    if off > NEAR:
        return f"what an input adds to the outputs is no integer: {off:.2f} off at most"
    return Response(np.rint(raw).astype(np.int64), np.rint(np.stack(constant)).astype(np.int64))


def _systems(response: Response) -> list[System]:
    """Systems with that response: shift registers where it ends, else the shortest found in both forms of output."""
    delays = _delays(response)
    if delays is not None:
        return [delays]
    systems = [realized(response, from_new=from_new) for from_new in (False, True)]
    return [one for s in systems if s is not None for one in shortest([s], KEPT if s.states < 4 else FEW)]


def _delays(response: Response) -> System | None:
    """A shift register per input, where the response ends after less than half of the positions and the constant stays.

    Sums of registers may be shorter to write, but a register of earlier inputs is what it is.
    """
    impulse, constant = response
    last = [int(np.flatnonzero(one.any(axis=1)).max(initial=0)) for one in impulse.transpose(2, 0, 1)]
    if (constant != constant[0]).any() or max(last) > len(impulse) // 2:
        return None
    states = sum(last)
    update, driven = np.zeros((states, states), dtype=np.int64), np.zeros((states, len(last)), dtype=np.int64)
    read = np.zeros((impulse.shape[1], states), dtype=np.int64)
    at = 0
    for k, lag in enumerate(last):
        for j in range(lag):
            if j:
                update[at + j, at + j - 1] = 1
            else:
                driven[at, k] = 1
            read[:, at + j] = impulse[j + 1, :, k]
        at += lag
    none = np.zeros(states, dtype=np.int64)
    return System(update, driven, none, none, read, impulse[0], constant[0])


def _written(systems: list[System]) -> list[Loop]:
    """As loops, by the length of their texts; of equal ones, those with fewer minus signs first."""
    loops = [loop_of(system.ordered()) for system in systems]
    texts = [emit_loop(loop, "") for loop in loops]
    ranks = [(description_length(t), t.count("-"), loop.cost) for loop, t in zip(loops, texts)]
    order = sorted(range(len(loops)), key=lambda k: ranks[k])
    return [loops[k] for k in dict.fromkeys(order)]


def _lattice(network: AffineNetwork) -> LatticeUsed | None:
    try:
        return lattice_of_update(network)
    except IwbError:
        return _told_from_states(network.hidden)


def _told_from_states(hidden: Float[np.ndarray[Any, Any], "sequence pos hidden"]) -> LatticeUsed | None:
    """None where there is no lattice, or more than three hidden numbers: then points are too far apart."""
    if hidden.shape[2] > MOST_HIDDEN:
        return None
    try:
        return lattice_of_states(hidden, np.random.default_rng(0))
    except IwbError:
        return None
