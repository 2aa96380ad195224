"""Lattices made from a random basis, with noise: recovered up to a unimodular change and a translation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.synthesis.lattices.description_length import description_length, unexplained
from engine.synthesis.lattices.drawing import axes_of, drawn
from engine.synthesis.lattices.gcd import common_divisor, gcd_lattice
from engine.synthesis.lattices.linear import columns, generated, linear_lattice
from engine.synthesis.lattices.reduction import Lattice, placed, reduced, refitted, volume
from sessions.errors import IwbError

Array = np.ndarray[Any, Any]


def random_basis(rng: np.random.Generator, size: int, hidden: int | None = None) -> Array:
    turn = np.linalg.qr(rng.normal(size=(hidden or size, hidden or size)))[0][:size]
    return turn * rng.uniform(0.5, 1.5, (size, 1)) + 0.1 * rng.normal(size=turn.shape)


def same_lattice(found: Array, wanted: Array, tolerance: float = 0.02) -> bool:
    """Whether each basis is an integer combination of the other: a unimodular matrix between them."""
    if found.shape != wanted.shape:
        return False
    between = found @ np.linalg.pinv(wanted)
    whole = np.rint(between)
    return bool(np.abs(between - whole).max() < tolerance and abs(abs(np.linalg.det(whole)) - 1) < 1e-6)


def points_on(
    rng: np.random.Generator, basis: Array, count: int = 3000, spread: float = 3, noise: float = 1e-3
) -> Array:
    k = np.rint(rng.normal(size=(count, len(basis))) * spread)
    points: Array = k @ basis + rng.normal(size=basis.shape[1]) + noise * rng.normal(size=(count, basis.shape[1]))
    return points


@pytest.mark.parametrize(("size", "hidden"), [(1, 1), (1, 3), (2, 2), (3, 3), (2, 4)])
@pytest.mark.parametrize("seed", range(2))
def test_volumes_give_the_lattice(size: int, hidden: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    basis = random_basis(rng, size, hidden)
    found = gcd_lattice(points := points_on(rng, basis), rng)
    assert same_lattice(found.basis, basis)
    assert found.nearest(points).min() >= 0
    assert np.quantile(np.linalg.norm(found.residual(points), axis=1), 0.95) < 0.02
    assert found.volume == pytest.approx(volume(basis), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "spread"), [(3, 12), (4, 3), (5, 2)])
def test_volumes_give_it_in_more_dimensions(size: int, spread: float) -> None:
    rng = np.random.default_rng(0)
    basis = random_basis(rng, size)
    assert same_lattice(gcd_lattice(points_on(rng, basis, spread=spread), rng).basis, basis)


def test_what_is_no_lattice_is_refused() -> None:
    rng = np.random.default_rng(1)
    cloud = rng.normal(size=(2000, 2))
    with pytest.raises(IwbError, match="no lattice"):
        gcd_lattice(cloud, rng)
    with pytest.raises(IwbError, match="no lattice"):
        linear_lattice(np.zeros((2, 2)), np.eye(2), cloud, 4)


def test_states_that_never_change_are_no_lattice() -> None:
    with pytest.raises(IwbError, match="all hidden states are the same"):
        gcd_lattice(np.full((50, 2), 0.3), np.random.default_rng(0))


def test_two_places_make_a_lattice_of_one_vector() -> None:
    points = np.repeat(np.array([[1.0, 2.0], [4.0, 6.0]]), 20, axis=0)
    assert np.abs(gcd_lattice(points, np.random.default_rng(0)).basis).tolist() == [pytest.approx([3.0, 4.0])]


def test_a_lattice_says_more_in_fewer_numbers_than_none() -> None:
    rng = np.random.default_rng(2)
    basis = random_basis(rng, 2)
    points = points_on(rng, basis, noise=1e-4)
    true = placed(basis, points)
    half = placed(basis / 2, points)
    wrong = placed(random_basis(rng, 2), points)
    assert description_length(points, true) < description_length(points, half) < unexplained(points)
    assert description_length(points, true) < description_length(points, wrong) - 5
    cloud = rng.normal(size=points.shape) * points.std(axis=0)
    assert description_length(cloud, placed(basis, cloud)) > description_length(points, true) + 5


def test_the_description_length_is_the_stated_sum() -> None:
    lattice = Lattice(np.array([[1.0]]), np.array([0.0]))
    found = description_length(np.array([[2.0], [0.0003]]), lattice)
    assert found == pytest.approx((np.log(5) + 0) / 2 + (0 + np.log(10)) / 2)


@pytest.mark.parametrize("size", range(1, 6))
def test_integer_combinations_lead_back_to_the_unit_cell(size: int) -> None:
    rng = np.random.default_rng(size)
    basis = random_basis(rng, size)
    combos = rng.integers(-2, 3, (3 * size + 3, size)) @ basis
    assert same_lattice(generated(combos + 1e-6 * rng.normal(size=combos.shape), 1e-3), basis)


def test_generators_of_half_a_step_apart_make_the_finer_lattice() -> None:
    assert volume(generated(np.array([[1.0], [1.5]]), 1e-6)) == pytest.approx(0.5)


def test_a_reduced_basis_is_short_and_of_the_same_lattice() -> None:
    found = reduced(np.array([[1, 7, -3], [0, 1, 12], [0, 0, -1]]))
    assert same_lattice(found, np.eye(3))
    assert np.abs(found).sum() == 3
    assert (found.sum(axis=1) >= 0).all()


def test_a_rough_basis_is_mended_from_the_inside_out() -> None:
    rng = np.random.default_rng(4)
    basis = random_basis(rng, 2)
    points = points_on(rng, basis, spread=20)
    rough = placed(basis + 0.01 * rng.normal(size=basis.shape), points[np.linalg.norm(points, axis=1) < 5])
    assert np.abs(refitted(rough, points).basis - basis).max() < 1e-3


def unrolled(w: Array, v: Array, low: int, high: int, noise: float = 0.0) -> Array:
    rng = np.random.default_rng(5)
    x = rng.integers(low, high + 1, (400, 10, v.shape[1]))
    h = np.zeros((400, len(w)))
    states = []
    for t in range(10):
        h = h @ w.T + x[:, t] @ v.T
        states.append(h)
    points = np.stack(states, axis=1).reshape(-1, len(w))
    return points + noise * rng.normal(size=points.shape)


@pytest.mark.parametrize("size", range(1, 6))
def test_a_shift_register_in_any_basis_has_the_lattice_of_its_columns(size: int) -> None:
    rng = np.random.default_rng(size)
    turn = random_basis(rng, size).T
    w, v = turn @ np.eye(size, k=-1) @ np.linalg.inv(turn), turn[:, :1]
    points = unrolled(w, v, 0, 99, noise=1e-3)
    # A little noise on the weights, as training leaves it.
    found = linear_lattice(w + 1e-5 * rng.normal(size=w.shape), v, points, 2 * size)
    assert same_lattice(found.basis, turn.T)
    assert found.nearest(points).min() >= 0


@pytest.mark.parametrize("update", [[[1, 0], [1, 1]], [[1, -1], [1, 0]]])
def test_eigenvalues_of_size_one_give_the_smallest_cell(update: list[list[int]]) -> None:
    rng = np.random.default_rng(6)
    turn = random_basis(rng, 2).T
    w, v = turn @ np.array(update) @ np.linalg.inv(turn), turn @ np.array([[1.0], [1.0]])
    assert same_lattice(linear_lattice(w, v, unrolled(w, v, -10, 10), 6).basis, turn.T)


def test_columns_are_powers_of_w_on_v() -> None:
    w, v = np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([[1.0], [3.0]])
    assert columns(w, v, 3).tolist() == [[1, 3], [3, 2], [2, 6]]


def test_a_common_divisor_forgives_small_remainders() -> None:
    assert common_divisor(np.array([6.0001, 14.9999, 9.0002]), 0.01) == pytest.approx(3, abs=1e-3)
    assert common_divisor(np.array([0.001, 0.0]), 0.01) == 0


def test_the_picture_has_the_origin_and_two_vectors() -> None:
    lattice = Lattice(np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 0.1]]), np.array([1.0, 1, 1]))
    plane = np.array([[1.0, 0], [0, 1], [0, 0]])
    assert drawn(lattice, plane, np.zeros(3)) == {"origin": [1.0, 1.0], "basis": [[1.0, 0.0], [0.0, 2.0]]}
    line = Lattice(np.array([[3.0, 4.0]]), np.zeros(2))
    assert drawn(line, np.eye(2), np.zeros(2))["basis"] == [[3.0, 4.0]]


def test_points_and_lattice_are_drawn_in_the_same_plane() -> None:
    rng = np.random.default_rng(7)
    basis = random_basis(rng, 2, 3)
    points = points_on(rng, basis, noise=0)
    axes, centre, names = axes_of(points)
    picture = drawn(placed(basis, points), axes, centre)
    flat = (points - centre) @ axes
    k = (flat - picture["origin"]) @ np.linalg.inv(np.array(picture["basis"]))
    np.testing.assert_allclose(k, np.rint(k), atol=1e-6)
    assert names[0].startswith("PC1")
