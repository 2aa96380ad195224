"""Integer systems against numpy's own recurrences: realized from their responses, rewritten, written as loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.synthesis.lattices.realization import Response, realized, row_lattice
from engine.synthesis.lattices.shortest import shortest
from engine.synthesis.lattices.systems import System, loop_of

Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).integers(-5, 6, (40, 8, 2))


def random_system(seed: int, states: int = 3, *, from_new: bool = False) -> System:
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Array:
        return rng.integers(-1, 2, shape)

    direct = np.zeros((2, 2), dtype=np.int64) if from_new else some(2, 2)
    return System(
        some(states, states), some(states, 2), some(states), some(states), some(2, states), direct, some(2), from_new
    )


def outputs(system: System, x: Array) -> Array:
    k = np.tile(system.start, (len(x), 1))
    found = []
    for t in range(x.shape[1]):
        new = k @ system.update.T + x[:, t] @ system.driven.T + system.drift
        seen = new if system.from_new else k
        found.append(seen @ system.read.T + x[:, t] @ system.direct.T + system.constant)
        k = new
    return np.stack(found, axis=1)


def response_of(system: System, length: int) -> Response:
    """From the outputs on zeros and on impulses at the first position."""
    zeros = np.zeros((1, length, 2), dtype=np.int64)
    constant = outputs(system, zeros)[0]
    answers = []
    for k in range(2):
        impulse = zeros.copy()
        impulse[0, 0, k] = 1
        answers.append(outputs(system, impulse)[0] - constant)
    return Response(np.stack(answers, axis=2), constant)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("from_new", [False, True])
def test_a_loop_computes_what_the_matrices_say_and_costs_what_they_tell(seed: int, from_new: bool) -> None:
    system = random_system(seed, from_new=from_new)
    loop = loop_of(system)
    assert np.array_equal(loop.run(X)[1], outputs(system, X))
    assert loop.cost == system.cost
    assert np.array_equal(loop_of(system.ordered()).run(X)[1], outputs(system, X))


@pytest.mark.parametrize("seed", range(6))
def test_changing_and_moving_the_state_changes_no_output(seed: int) -> None:
    system = random_system(seed)
    basis = np.array([[1, 2, 0], [0, 1, 0], [-1, 0, 1]])
    inverse = np.rint(np.linalg.inv(basis)).astype(np.int64)
    assert np.array_equal(outputs(system.changed(basis, inverse), X), outputs(system, X))
    assert np.array_equal(outputs(system.moved(np.array([3, -1, 2])), X), outputs(system, X))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("from_new", [False, True])
def test_a_response_determines_the_smallest_system(seed: int, from_new: bool) -> None:
    system = random_system(seed, from_new=from_new)._replace(start=np.zeros(3, dtype=np.int64))
    found = realized(response_of(system, 14), from_new=from_new)
    assert found is not None
    assert np.array_equal(outputs(found, X), outputs(system, X))
    assert found.states <= 3 + (from_new and bool(system.drift.any()))
    if not system.drift.any():
        impulse = response_of(system, 14).impulse[0 if from_new else 1 :]
        hankel = np.concatenate([np.concatenate(list(impulse[j : j + 6]), axis=0) for j in range(6)], axis=1)
        assert found.states == np.linalg.matrix_rank(hankel)


@pytest.mark.parametrize("seed", range(8))
def test_the_shortest_form_computes_the_same_and_is_no_longer(seed: int) -> None:
    system = random_system(seed)
    found = shortest([system], keep=5)
    assert min(one.cost for one in found) <= system.cost
    for one in found:
        assert np.array_equal(outputs(one, X), outputs(system, X))


def test_a_scrambled_shift_register_is_a_shift_register_again() -> None:
    count = 4
    plain = System(
        np.eye(count, k=-1, dtype=np.int64),
        np.eye(count, 1, dtype=np.int64),
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=np.int64),
        np.eye(1, count, k=count - 1, dtype=np.int64),
        np.zeros((1, 1), dtype=np.int64),
        np.zeros(1, dtype=np.int64),
    )
    basis = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, -1, 1, 0], [1, 0, 1, 1]])
    scrambled = plain.changed(basis, np.rint(np.linalg.inv(basis)).astype(np.int64))
    assert scrambled.cost > plain.cost
    loop = loop_of(shortest([scrambled], keep=1)[0].ordered())
    assert loop.state == ("x1", "x2", "x3", "x4")
    assert loop.cost == plain.cost


def test_a_response_that_is_too_short_determines_nothing() -> None:
    five = Response(np.array([0, 0, 0, 0, 0, 1]).reshape(6, 1, 1), np.zeros((6, 1), dtype=np.int64))
    assert realized(five, from_new=False) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_row_lattice_has_the_common_divisor_of_minors_as_volume(seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-4, 5, (5, 3))
    minors = [
        round(float(np.linalg.det(rows[[a, b, c]]))) for a in range(5) for b in range(a + 1, 5) for c in range(b + 1, 5)
    ]
    basis = row_lattice(rows)
    assert basis.shape == (3, 3)
    assert abs(round(float(np.linalg.det(basis)))) == np.gcd.reduce(minors)
    whole = rows @ np.linalg.inv(basis)
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-9)
