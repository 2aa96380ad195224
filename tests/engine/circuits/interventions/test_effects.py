"""Effects in closed form: what is divided by what, over which prompts, and when there is no quotient."""

from __future__ import annotations

import numpy as np
import pytest

from engine.circuits.interventions.effects import Effects

CLEAN, CORRUPT = np.array([3.0, 5.0, 4.0]), np.array([1.0, -1.0, 0.0])
NAN = float("nan")
VALUES = np.array([[2.0, 2.0, 2.0], [3.0, 5.0, 4.0], [1.0, -1.0, 0.0], [3.0, NAN, 4.0], [NAN, NAN, NAN]])


@pytest.mark.parametrize(
    ("direction", "report", "expected"),
    [
        # means: clean 4, corrupt 0; over the first and last prompt 3.5 and 0.5
        ("denoising", "normalised", [0.5, 1.0, 0.0, 1.0, NAN]),
        ("noising", "normalised", [0.5, 0.0, 1.0, 0.0, NAN]),
        ("denoising", "difference", [2.0, 4.0, 0.0, 3.0, NAN]),
        ("noising", "difference", [-2.0, 0.0, -4.0, 0.0, NAN]),
        ("noising", "metric", [2.0, 4.0, 0.0, 3.5, NAN]),
    ],
)
def test_effects(direction: str, report: str, expected: list[float]) -> None:
    effects = Effects(CLEAN, CORRUPT, direction, report)  # type: ignore[arg-type]
    assert effects.of(VALUES).reported == pytest.approx(expected, nan_ok=True)
    assert not effects.undefined
    assert effects.facts()["m_clean"] == 4.0
    assert effects.facts()["m_corrupt"] == 0.0


def test_the_standard_error_is_that_of_the_paired_change() -> None:
    found = Effects(CLEAN, CORRUPT, "denoising", "normalised").of(VALUES[:1])
    error = np.std(VALUES[0] - CORRUPT, ddof=1) / np.sqrt(3)
    assert found.error[0] == pytest.approx(error / 4)
    assert Effects(CLEAN, CORRUPT, "denoising", "difference").of(VALUES[:1]).error[0] == pytest.approx(error)
    single = Effects(CLEAN[:1], CORRUPT[:1], "denoising", "difference").of(VALUES[:1, :1])
    assert np.isnan(single.error[0])


def test_no_quotient_where_clean_and_corrupt_are_the_same() -> None:
    """Their means: that single prompts differ does not help."""
    effects = Effects(CLEAN, CLEAN[::-1] + 1e-9, "denoising", "normalised")
    found = effects.of(VALUES)
    assert np.isnan(found.reported[:3]).all()
    assert found.difference[0] == pytest.approx(-2.0)
    assert "undefined" in effects.undefined
    assert "report=difference" in effects.undefined
    assert not Effects(CLEAN, CLEAN, "denoising", "difference").undefined
