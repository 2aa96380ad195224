"""The GCD lattice finder: a unit cell from the volumes that points span, in any number of dimensions. Section 4.2.

Volumes of parallelepipeds with lattice points as corners are multiples of the unit cell's, so the unit cell's volume is
their greatest common divisor, and Euclid's algorithm on two volumes that share all edges but one, mirrored on the
differing edges, ends with a smaller cell.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from engine.synthesis.lattices.description_length import description_length
from engine.synthesis.lattices.linear import fits
from engine.synthesis.lattices.reduction import Basis, Lattice, Points, placed, reduced, refitted
from sessions.errors import IwbError

POINTS = 32  # looked at, of the central fraction
DRAWS = 3  # choices of them, of each central fraction
CHANGES = 400  # edges exchanged before a cell is given up
VOLUMES = 2_000  # parallelepipeds whose volumes enter the common divisor
FLAT = 2e-3  # a direction that varies by less than so much of the largest is none
FINE = 1e-3
MEASURED = 1_000  # points whose description length decides
STEPS = 10  # of tolerances and of central fractions
CENTRAL = np.geomspace(0.01, 1.0, STEPS)

Progress = Callable[[int, int], None]


def gcd_lattice(points: Points, rng: np.random.Generator, progress: Progress | None = None) -> Lattice:
    """The lattice on which the points lie, of the smallest description length over a grid of tolerances and central
    fractions. The unit of length is the points' spread; tolerances go from 1 down to a thousandth, or lower where the
    points' nearest neighbours are so near that a cell may be smaller.

    IwbError when no grid point gives a lattice that fits.
    """
    centre, span = points.mean(axis=0), _span(points)
    if not len(span):
        raise IwbError("all hidden states are the same", "lattices")
    flat = _places((points - centre) @ span.T)
    unit = float(np.sqrt((flat**2).mean()))
    flat = flat / unit
    tolerances = np.geomspace(min(1e-3, 1e-2 * _spacing(flat) ** len(span)), 1.0, STEPS)
    measured = points[rng.permutation(len(points))[:MEASURED]]
    best: tuple[float, Lattice | None] = (np.inf, None)
    for number, central in enumerate(CENTRAL):
        if progress is not None:
            progress(number, STEPS)
        pool = flat[: max(int(central * len(flat)), min(2 * POINTS, len(flat)))]
        draws = [pool[rng.choice(len(pool), min(POINTS, len(pool)), replace=False)] for _ in range(DRAWS)]
        volumes = [_volumes(chosen[1:] - chosen[0]) for chosen in draws]
        for k, eps in enumerate(tolerances):
            chosen = draws[k % DRAWS]
            cell = unit_cell(chosen[1:] - chosen[0], volumes[k % DRAWS], float(eps))
            if cell is None:
                continue
            lattice = refitted(placed(reduced(cell * unit @ span), centre + chosen * unit @ span), measured)
            if fits(lattice, measured):
                best = min(best, (description_length(measured, lattice), lattice), key=lambda pair: pair[0])
    if best[1] is None:
        raise IwbError("the hidden states lie on no lattice", "lattices", "the GCD finder tried 100 tolerances")
    return placed(reduced(best[1].basis), points)


def unit_cell(edges: Basis, volumes: Float[np.ndarray[Any, Any], " some"], eps: float) -> Basis | None:
    """A cell whose volume is the common divisor of the volumes that the edges span, or None where exchanging edges does
    not reach it."""
    unit = common_divisor(volumes, eps)
    ordered = list(edges[np.argsort(np.linalg.norm(edges, axis=1))])
    cell = _first_cell(ordered, eps)
    if unit <= 0 or cell is None:
        return None
    waiting = [edge for edge in ordered if not any(edge is one for one in cell)]
    for change in range(CHANGES):
        if abs(np.linalg.det(np.array(cell))) < 1.5 * unit:
            return np.array(cell)
        if not waiting:
            break
        first, second = cell.pop(0), waiting[change % len(waiting)]
        left = _euclid(cell, first, second, eps)
        if cell:  # the quotients make it long: back near the origin, along the shared edges
            shared = np.array(cell)
            left = left - np.rint(left @ np.linalg.pinv(shared)) @ shared
        cell.append(left)
    return None


def _euclid(shared: list[Points], first: Points, second: Points, eps: float) -> Points:
    """Euclid on the volumes that two edges span with the shared ones, mirrored on the edges: the one that is left when
    the other's volume is spent."""
    a, b = (float(np.linalg.det(np.array([*shared, edge]))) for edge in (first, second))
    while abs(b) >= eps:
        quotient = round(a / b)
        first, second = second, first - quotient * second
        a, b = b, a - quotient * b
    return first


def common_divisor(values: Float[np.ndarray[Any, Any], " some"], eps: float) -> float:
    """The greatest common divisor of real numbers, a remainder below eps being none; 0 where all are.

    A value that the divisor divides makes the divisor more exact: its error is the value's, divided by the quotient.
    """
    found = 0.0
    for value in np.sort(np.abs(values)).tolist():
        if value < eps:
            continue
        a, b = value, found
        while b >= eps:
            a, b = b, abs(a - round(a / b) * b)
        found = a if a < 0.75 * found or not found else value / round(value / found)
    return found


def _volumes(edges: Basis) -> Float[np.ndarray[Any, Any], " some"]:
    """Volumes of the parallelepipeds with edges among those given, of evenly spaced ones if there are many."""
    chosen = np.array(list(combinations(range(len(edges)), edges.shape[1])), dtype=np.int64)
    if not len(chosen):
        return np.zeros(0)
    if len(chosen) > VOLUMES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, VOLUMES).astype(int)]
    return np.asarray(np.linalg.det(edges[chosen]))


def _first_cell(edges: list[Points], eps: float) -> list[Points] | None:
    """The first edges that span a volume together."""
    cell: list[Points] = []
    for edge in edges:
        trial = np.array([*cell, edge])
        if np.sqrt(max(np.linalg.det(trial @ trial.T), 0.0)) >= eps:
            cell.append(edge)
        if len(cell) == len(edge):
            return cell
    return None


def _span(points: Points) -> Basis:
    """Orthonormal directions in which the points vary."""
    centred = points - points.mean(axis=0)
    _, values, right = np.linalg.svd(centred, full_matrices=False)
    found: Basis = right[values > max(FLAT * values[0], 1e-9 * np.linalg.norm(points))]
    return found


def _places(flat: Points) -> Points:
    """Each place once (places a thousandth of the spread apart are one), the innermost first."""
    spread = np.maximum(flat.std(axis=0), 1e-300)
    _, first = np.unique(np.rint(flat / spread / FINE), axis=0, return_index=True)
    found = flat[np.sort(first)]
    return found[np.argsort(np.linalg.norm(found / spread, axis=1), kind="stable")]


def _spacing(places: Points, looked: int = 400) -> float:
    """The median distance to the nearest other place among the innermost ones (noise may have split a place)."""
    inner = places[:looked]
    apart = np.linalg.norm(inner[:, None] - inner[None], axis=2)
    scale = np.median(apart[np.triu_indices(len(inner), k=1)]) if len(inner) > 1 else 1.0
    apart[apart < 1e-2 * scale] = np.inf
    nearest = float(np.median(apart.min(axis=1)))
    return nearest if np.isfinite(nearest) else float(scale)
