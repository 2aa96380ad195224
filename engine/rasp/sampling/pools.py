"""What random programs are made of: the published pools of functions, factors and comparisons, and how often each kind
of operation is tried (rasp-gen; "Towards meta-models for automated interpretability", appendix)."""

from __future__ import annotations

from typing import Literal

from engine.rasp.functions import Function
from engine.rasp.language import Comparison

# A type is narrower than an encoding: float and bool are both numerical, and a bool is 0 or 1. "freq" is a float that
# a numerical aggregate made, so it lies between 0 and 1; everywhere but in the choice of a map it counts as float.
Type = Literal["categorical", "float", "bool"]
MapInput = Literal["categorical", "float", "bool", "freq"]

TYPES: tuple[Type, ...] = ("bool", "float", "categorical")


def _functions(parameters: str, *bodies: str) -> tuple[Function, ...]:
    return tuple(Function.parse(f"lambda {parameters}: {body}") for body in bodies)


_SHIFTS = _functions("x", "x + 1", "x - 1")
_SCALES = _functions("x", "x", "x + 0.5", "x + 1", "x * 2")
_TESTS = _functions(
    "x", *(f"x == {n}" for n in (0, 1, 2, 3)), *(f"x {op} {n}" for op in ("!=", ">", "<") for n in (2, 3))
)
_LOGIC = _functions("x", "x", "not x")
_THRESHOLDS = _functions("x", "x > 3.5", "x < 3.5", "x == 0")
_ROUNDINGS = _functions("x", "x", "int(x)")
_HALF = _functions("x", "x > 0.5")

MAPS: dict[tuple[MapInput, Type], tuple[Function, ...]] = {
    ("categorical", "categorical"): _SHIFTS,
    ("categorical", "float"): _SCALES,
    ("categorical", "bool"): _TESTS,
    ("bool", "bool"): _LOGIC,
    ("bool", "float"): _LOGIC,
    ("bool", "categorical"): _LOGIC,
    ("float", "bool"): _THRESHOLDS,
    ("float", "float"): _SCALES,
    ("float", "categorical"): _ROUNDINGS,
    ("freq", "bool"): _HALF,
    ("freq", "float"): _SCALES,
    ("freq", "categorical"): _ROUNDINGS,
}
SEQUENCE_MAPS = _functions("x, y", "x * y", "x + y % 10", "x - y", "x or y", "x and y")
FACTORS = (-3, -2, -1, 1, 2, 3)
COMPARISONS = (
    Comparison.EQ,
    Comparison.TRUE,
    Comparison.GEQ,
    Comparison.GT,
    Comparison.LEQ,
    Comparison.LT,
    Comparison.NEQ,
)

# The order is part of what a seed means.
OPERATIONS: tuple[tuple[str, float], ...] = (
    ("map", 1.0),
    ("sequence_map", 0.8),
    ("linear_sequence_map", 1.0),
    ("numerical_aggregate", 1.0),
    ("categorical_aggregate", 1.0),
    ("selector_width", 0.05),
)
TOKENS_WEIGHT = 3.0  # `tokens` is drawn as an argument as often as three other s-ops

FUNCTIONS: tuple[Function, ...] = tuple(
    sorted({f for pool in (*MAPS.values(), SEQUENCE_MAPS) for f in pool}, key=lambda f: f.text)
)  # 25
