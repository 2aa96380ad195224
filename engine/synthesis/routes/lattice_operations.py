"""The lattice of a network's hidden states, as an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from engine.operations import Context, ModelRef, Operation, Params
from sessions.artifacts import AnyArtifact, Column, Points, Table
from sessions.errors import CallError, IwbError

if TYPE_CHECKING:
    from engine.models.protocols import RecurrentModel
    from engine.synthesis.lattices.reduction import Lattice
    from engine.synthesis.routes.affine_fit import Sequences
    from engine.synthesis.routes.state_lattice import LatticeUsed, States

SEQUENCES = 2_000  # random input sequences whose hidden states are looked at
MOST_POINTS = 2_000  # hidden states drawn
MOST_HIDDEN = 4  # hidden numbers up to which volumes are looked at


class LatticeParams(Params, frozen=True, kw_only=True):
    model: ModelRef
    method: Annotated[
        Literal["auto", "update", "volumes"],
        Meta(
            description="update: columns W^k V of an affine update; volumes: the common divisor of volumes between "
            "hidden states, for few hidden numbers; auto: the update where it is affine"
        ),
    ] = "auto"


def lattice(params: LatticeParams, ctx: Context) -> Sequence[AnyArtifact]:
    """Hidden states with the lattice they lie on, and its basis."""
    from engine.synthesis.domain import Domain
    from engine.synthesis.routes.affine_fit import observed

    model = ctx.rnn(params.model)
    x = Domain(model.inputs, model.low, model.high, model.length).sample(SEQUENCES, ctx.rng)
    hidden = observed(model, x)[0]
    found, method = _found(model, params.method, x, hidden, ctx)
    facts = _facts(found, method, hidden)
    facts["inputs"] = f"{SEQUENCES:,} random sequences of {model.low}..{model.high}, length {model.length}"
    title = model.handle.title
    return _points(found, hidden, title, facts), _table(found.lattice, title, facts)


def _found(model: RecurrentModel, method: str, x: Sequences, hidden: States, ctx: Context) -> tuple[LatticeUsed, str]:
    from engine.synthesis.routes.affine_fit import affine_network
    from engine.synthesis.routes.state_lattice import lattice_of_states, lattice_of_update

    affine = affine_network(model, x) if method != "volumes" else "not looked at"
    if not isinstance(affine, str):
        found = lattice_of_update(affine)
        ctx.progress(1, 1)
        return found, f"columns W^k V of the update; {affine.source}"
    if method == "update":
        raise IwbError(affine, model.handle.title, "method=volumes needs no affine update")
    if model.hidden > MOST_HIDDEN:
        raise CallError(
            f"{model.handle.title} has {model.hidden} hidden numbers; volumes tell a lattice of at most {MOST_HIDDEN}",
            "synthesis.lattice",
            "choose a network with fewer" if method == "volumes" else f"its update has none either: {affine}",
        )
    return lattice_of_states(hidden, ctx.rng, ctx.progress), "greatest common divisor of volumes"


def _facts(found: LatticeUsed, method: str, hidden: States) -> dict[str, Any]:
    from engine.synthesis.lattices.description_length import EPS, description_length, unexplained

    lattice, settled, residual, k = found
    points = hidden[:, settled:].reshape(-1, hidden.shape[2])
    spans = zip(k[:, settled:].min(axis=(0, 1)), k[:, settled:].max(axis=(0, 1)))
    return {
        "method": method,
        "unit cell": lattice.volume,
        "distance from the lattice": f"{residual:.2g} of its shortest vector (rms)",
        "counted from position": settled + 1,
        "description length": description_length(points, lattice),
        "description length without": unexplained(points),
        "description length is": f"mean log(1 + |k|^2) + mean log(1 + (residual / {EPS:g})^2)",
        "integer coordinates": ", ".join(f"{low}..{high}" for low, high in spans),
        "origin": [float(v) for v in lattice.offset],
    }


def _points(found: LatticeUsed, hidden: States, title: str, facts: dict[str, Any]) -> Points:
    from engine.synthesis.lattices.drawing import axes_of, drawn
    from engine.synthesis.routes.drawing import projected

    count, length, size = hidden.shape
    points, time = hidden.reshape(-1, size), np.tile(np.arange(1, length + 1), count)
    xy, names = projected(points, time)
    plane, centre, _ = axes_of(points)
    chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(np.int64))
    k = found.coordinates.reshape(len(points), -1)
    return Points(
        title=f"Lattice of {title}",
        summary=f"{len(found.lattice.basis)} basis vectors; hidden states are {facts['distance from the lattice']} off",
        xy=xy[chosen],
        labels=tuple(f"k = {', '.join(map(str, k[one]))}, after {time[one]} inputs" for one in chosen),
        colour=k[chosen, 0].astype(np.float64),
        axis_names=names,
        facts=facts | {"lattice": drawn(found.lattice, plane, centre), "colour": "first integer coordinate"},
    )


def _table(lattice: Lattice, title: str, facts: dict[str, Any]) -> Table:
    hidden = tuple(Column(f"h{k + 1}", "float") for k in range(lattice.basis.shape[1]))
    named = [(f"basis {number}", vector) for number, vector in enumerate(lattice.basis, start=1)]
    rows: list[tuple[str | int | float | bool | None, ...]] = [
        (name, float(np.linalg.norm(vector)), *map(float, vector))
        for name, vector in (*named, ("origin", lattice.offset))
    ]
    return Table(
        title=f"Basis of the lattice of {title}",
        summary=f"h = sum of k_i times basis i + origin, k integer; unit cell {lattice.volume:.3g}",
        columns=(Column("vector", "text"), Column("length", "float"), *hidden),
        rows=tuple(rows),
        facts=facts,
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="synthesis.lattice",
        title="Lattice of hidden states",
        summary="Integer coordinates for hidden states: a basis and an origin such that the states are integer "
        "combinations, from the update's weights or from the states alone, drawn over them.",
        params=LatticeParams,
        gives=("points", "table"),
        function=lattice,
        source="Michaud et al. 2024 (MIPS), section 3.3: linear and GCD lattice finders",
    ),
)
