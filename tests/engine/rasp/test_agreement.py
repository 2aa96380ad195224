"""When two outputs count as the same."""

from __future__ import annotations

from engine.rasp.agreement import compare, same


def test_categories_are_the_same_only_when_equal() -> None:
    assert not same(3000, 3001)
    assert not same("a", "b")
    assert not same(None, 0)
    assert same(True, 1)
    assert same(2, 2.0)


def test_numbers_may_be_as_far_apart_as_float32_makes_them() -> None:
    assert same(0.5, 0.5004)
    assert not same(0.5, 0.502)


def test_none_in_the_reference_is_met_by_anything() -> None:
    agreed = compare([(1, 2)], [[None, 5000]], [[7, 5000]], exhaustive=True)
    assert agreed.holds
    assert not compare([(1, 2)], [[None, 5000]], [[7, 5001]], exhaustive=True).holds
