"""Intervals: Wilson's against the values of its closed form, and when the bootstrap stands in."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from engine.circuits.across.intervals import are_hits, mean_interval, wilson
from engine.circuits.bootstrap import PairedBootstrap


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (97, 100), (100, 100)])
def test_wilsons_bounds_are_the_shares_at_which_the_score_test_just_rejects(hits: int, n: int) -> None:
    """|hits/n - p| = z sqrt(p (1 - p) / n) at both ends: what defines the interval (Wilson 1927)."""
    low, high = wilson(hits, n)
    for p, share in ((low, hits / n), (high, hits / n)):
        if 0 < p < 1:
            assert abs(share - p) == pytest.approx(1.959963985 * sqrt(p * (1 - p) / n), rel=1e-9)
    assert low <= hits / n <= high


def test_published_values() -> None:
    """Newcombe 1998, table I, method 3: 81/263 and 0/20 at 95 %."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_shares_of_hits_get_wilsons_and_anything_else_the_bootstrap() -> None:
    hits, parts = np.array([1.0, 0, 1, 1, 1, 1]), np.array([1.0, 0.5, 0, 1, 1, 1])
    bootstrap = PairedBootstrap(6, 0)
    assert are_hits(hits)
    assert not are_hits(parts)
    assert mean_interval(hits, share=True, bootstrap=bootstrap) == wilson(5, 6)
    assert mean_interval(hits, share=False, bootstrap=bootstrap) == bootstrap.interval(hits)
    assert mean_interval(parts, share=True, bootstrap=bootstrap) == bootstrap.interval(parts)
