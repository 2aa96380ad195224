"""Functions of one number as hidden units: right at every value in float32, also with noise in what is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.rasp.thresholds import Ladder, check_apart, lines, numerical, original, steps, uncertain
from sessions.errors import CallError


def run(ladder: Ladder, x: Any, outputs: int) -> Any:
    """In float32 throughout, as a model would."""
    x = np.asarray(x, np.float32)
    w_out = np.zeros((len(ladder.slope), outputs), np.float32)
    np.add.at(w_out, (ladder.unit, ladder.at), ladder.weight.astype(np.float32))
    hidden = np.maximum(x[:, None] * ladder.slope.astype(np.float32) + ladder.offset.astype(np.float32), 0)
    return hidden @ w_out


def reach(x: Any) -> tuple[float, float]:
    return min(0.0, float(x[0])), max(0.0, float(x[-1]))


@pytest.mark.parametrize("n", [1, 2, 7, 30, 400])
def test_widths_are_told_apart(n: int) -> None:
    d = np.arange(n, -1, -1)
    x = 1 / (d + 1)
    ladder = steps(x, d, (x[0], 1.0))
    noise = np.random.default_rng(n).uniform(-1, 1, len(x)) * 3e-7 * x
    np.testing.assert_allclose(run(ladder, x + noise, n + 1), np.eye(n + 1)[d], atol=3e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 30, 400])
def test_widths_as_numbers(n: int) -> None:
    d = np.arange(n, -1, -1)
    x = 1 / (d + 1)
    found = run(numerical(x, d.astype(float), (x[0], 1.0), uncertain(x, summed=False)), x, 1)[:, 0]
    np.testing.assert_allclose(found, d, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("seed", range(30))
def test_any_function_of_any_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.unique(rng.integers(-40, 40, rng.integers(1, 40)) / rng.integers(1, 7))
    to = rng.integers(-1, 3, len(x))
    wanted = np.where((to >= 0)[:, None], np.eye(3)[to], 0)
    np.testing.assert_allclose(run(steps(x, to, reach(x)), x, 3), wanted, atol=1e-5)
    near = uncertain(x, summed=True)
    values = rng.integers(-5, 6, len(x)) / 2
    np.testing.assert_allclose(run(numerical(x, values, reach(x), near), x, 1)[:, 0], values, atol=1e-4)
    np.testing.assert_allclose(run(lines(x, values, reach(x), near), x, 1)[:, 0], values, atol=1e-3)


def test_thresholds_stand_only_where_the_function_changes() -> None:
    x = np.arange(100.0)
    assert len(steps(x, (x > 40).astype(int), reach(x)).slope) == 2 + 1
    assert len(steps(x, np.zeros(100, dtype=int), reach(x)).slope) == 1


def test_a_straight_line_is_one_unit() -> None:
    x = np.arange(1000.0)
    found = numerical(x, 3 * x + 1, reach(x), uncertain(x, summed=True))
    assert len(found.slope) == 2
    np.testing.assert_allclose(run(found, x, 1)[:, 0], 3 * x + 1, rtol=1e-6)


def test_units_round_alike() -> None:
    """Slopes are powers of two and offsets numbers of quarters."""
    x = np.unique([k / n for n in range(1, 30) for k in range(n + 1)])
    found = steps(x, np.arange(len(x)), reach(x))
    slope = np.abs(found.slope[:-1])
    np.testing.assert_array_equal(np.exp2(np.round(np.log2(slope))), slope)
    np.testing.assert_array_equal(found.offset * 4, np.round(found.offset * 4))


@pytest.mark.parametrize("x", [[0.3, 0.1 + 0.2, 1], [-1.1e-16, 0, 1], [1 - 3 * 0.2 - 2 * 0.2, 0.0, 2.0]])
def test_too_close_to_tell(x: list[float]) -> None:
    values = np.array(sorted(x))
    near = uncertain(values, summed=True)
    for to in (np.array([0, 1, 1]), np.array([0.0, 1.0, 1.0])):
        with pytest.raises(CallError, match="too close"):
            check_apart(values, to, near, "x")
    check_apart(values, np.array([1, 1, 0]), near, "x")
    check_apart(values, values + 1, near, "x")
    found = run(numerical(values, 2 * values, reach(values), near), values, 1)[:, 0]
    np.testing.assert_allclose(found, 2 * values, atol=1e-5)


def test_the_original_has_one_exactness() -> None:
    found = original(np.array([1 / 3, 1 / 2, 1.0]), np.array([2, 1, 0]), 100.0)
    np.testing.assert_allclose(found.slope, [100, 100, 100, 100, 0])
    np.testing.assert_allclose(found.offset, [1 - 500 / 12, -500 / 12, -74, -75, 1])
