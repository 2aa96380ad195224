"""The lattice route: an affine update, integer coordinates of the hidden states, formulas for what is read from them.

Where the outputs are affine too, the integer system itself is the program. Where they are not (the distance of two
numbers, say), the coordinates on the lattice are the state, and the outputs are found by regression on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int

from engine.models.protocols import RecurrentModel
from engine.synthesis.formulas.regression import regress_all
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.names import input_names
from engine.synthesis.routes.behaviour import Behaviour
from engine.synthesis.routes.candidate import Candidate, Refused, candidate
from engine.synthesis.routes.linear import LatticeUsed, linear_loops
from engine.synthesis.routes.windows import constants

OFF = 0.1  # of the shortest lattice vector: states further from the lattice are on none
FITTED = 512  # sequences that the lattice and the affine maps are read from
KEPT = 3  # integer systems handed in


def lattice_loops(
    model: RecurrentModel, behaviour: Behaviour, *, bent: bool = False
) -> tuple[LatticeUsed | None, list[Candidate | Refused]]:
    """The lattice that the hidden states lie on, and programs over it that agree with the network.

    `bent`: also where the update is not affine, which costs seconds.
    """
    x = behaviour.x[_spread(len(behaviour.hidden))]
    found = linear_loops(model, x, bent=bent)
    lattice = found.lattice if found.lattice is not None and found.lattice.residual <= OFF else None
    if found.loops:
        return lattice, list(_agreeing(found.loops[:KEPT], behaviour, found.read_from))
    if lattice is None:
        return None, [Refused("linear", found.why)]
    loop = _over(lattice, behaviour, model)
    if loop is None or behaviour.difference(loop):
        return lattice, [Refused("linear", f"{found.why}; on the lattice no formula was found")]
    return lattice, [candidate("linear", loop, "The state is the hidden state's place on a lattice.")]


def _spread(count: int) -> Int[np.ndarray[Any, Any], " chosen"]:
    """At most FITTED of so many sequences, of all kinds."""
    return np.unique(np.linspace(0, count - 1, min(count, FITTED)).astype(np.int64))


def _agreeing(loops: tuple[Loop, ...], behaviour: Behaviour, read_from: str) -> Iterator[Candidate | Refused]:
    wrong = ""
    for loop in loops:
        wrong = behaviour.difference(loop)
        if not wrong:
            yield candidate("linear", loop, "A linear update of integers.", read=read_from)
            return
    yield Refused("linear", f"departs from the network: {wrong}")


def _over(used: LatticeUsed, behaviour: Behaviour, model: RecurrentModel) -> Loop | None:
    """A loop over the coordinates of the hidden states."""
    chosen = _spread(len(behaviour.hidden))
    new = used.coordinates
    start = used.lattice.nearest(np.zeros((1, model.hidden)))[0]
    old = np.concatenate([np.broadcast_to(start, (len(new), 1, len(start))), new[:, :-1]], axis=1)
    names = tuple("abcdefgh"[: len(start)])
    read = input_names(behaviour.inputs)
    if len(names) < len(start):
        return None
    x, y = behaviour.x[chosen], behaviour.y[chosen]
    rows = np.concatenate([x, old], axis=2).reshape(-1, behaviour.inputs + len(start))
    update = regress_all(rows, (*read, *names), new.reshape(-1, len(start)).T, constants=(0, 1, 2))
    outputs = regress_all(
        new.reshape(-1, len(start)),
        names,
        y.reshape(-1, behaviour.outputs).T,
        constants=constants(behaviour),
    )
    if any(one is None for one in (*update, *outputs)):
        return None
    return Loop(
        read,
        names,
        tuple(int(v) for v in start),
        tuple(one.expression for one in update if one is not None),
        tuple(one.expression for one in outputs if one is not None),
        from_new=True,
    )
