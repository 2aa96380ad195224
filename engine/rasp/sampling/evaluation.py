"""Evaluating one s-op on many inputs at once, for programs over numbers: an array per s-op, NaN where it is None.

A special case of the language's semantics (`interpreter.py`) that random programs need fast: vocabularies 0..n-1, the
pools' functions, plain comparisons. Sums run from left to right, as the interpreter's do, so means agree to the bit.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from engine.rasp.functions import Function
from engine.rasp.language import Comparison

Array = np.ndarray[Any, np.dtype[np.float64]]
Values = Float[np.ndarray, "position input"]
Matrix = Bool[np.ndarray, "query key input"]

_COMPARE: dict[Comparison, Callable[[Any, Any], Any]] = {
    Comparison.EQ: np.equal,
    Comparison.LT: np.less,
    Comparison.LEQ: np.less_equal,
    Comparison.GT: np.greater,
    Comparison.GEQ: np.greater_equal,
    Comparison.NEQ: np.not_equal,
}
_SIGNS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Mod: np.mod,
}


class Inputs(NamedTuple):
    """Inputs of several lengths, padded to the longest. The inputs lie along the last axis: sums over keys then run in
    order, and over long rows."""

    tokens: Values  # 0 in the padding
    indices: Values
    valid: Bool[np.ndarray, "position input"]
    lengths: Int[np.ndarray, " input"]

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]]) -> Inputs:
        lengths = np.array([len(row) for row in rows])
        positions = np.arange(int(lengths.max()))
        valid = positions[:, None] < lengths
        tokens = np.zeros(valid.shape)
        for i, row in enumerate(rows):
            tokens[: len(row), i] = row
        return cls(tokens, np.repeat(positions[:, None].astype(float), len(rows), axis=1), valid, lengths)


class Aggregated(NamedTuple):
    values: Values
    differing: Bool[np.ndarray, " input"]  # somewhere the mean is not the one value that all selected keys have
    undefined: Bool[np.ndarray, " input"]  # somewhere None is among several selected values: the interpreter raises


def apply(f: Function, *arguments: Values, nones: bool) -> Values:
    """f element by element; with `nones`, None where an argument is (without them the check is left out)."""
    found: Array = np.asarray(_arrays(f)(arguments), dtype=np.float64)
    if nones:
        missing = np.isnan(arguments[0])
        for argument in arguments[1:]:
            missing = missing | np.isnan(argument)
        found = np.where(missing, np.nan, found)
    return found


def select(keys: Values, queries: Values, comparison: Comparison, inputs: Inputs) -> Matrix:
    """Which keys (of the input, not of its padding) each query selects."""
    if comparison is Comparison.TRUE:
        return np.repeat(inputs.valid[None], len(inputs.valid), axis=0)
    found: Matrix = _COMPARE[comparison](keys, queries[:, None, :])
    found &= inputs.valid
    return found


def width(selector: Matrix) -> Values:
    return _counts(selector).astype(np.float64)


def mean(selector: Matrix, values: Values, default: float) -> Values:
    """The mean of the selected values, none of which is None; `default` where nothing is selected."""
    counts = _counts(selector)
    sums = np.add.reduce(np.where(selector, values, 0.0), axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), default)


def aggregate(selector: Matrix, values: Values, inputs: Inputs, *, nones: bool) -> Aggregated:
    """A categorical aggregate (default None), and on which inputs it averages values that differ."""
    counts = _counts(selector)
    undefined = np.zeros(len(inputs.lengths), dtype=bool)
    if nones:
        missing = np.isnan(values)
        several = (selector & missing).any(axis=1) & (counts > 1)
        undefined = (several & inputs.valid).any(axis=0)
    found = np.add.reduce(np.where(selector, values, 0.0), axis=1) / np.maximum(counts, 1)
    found[counts == 0] = np.nan
    unlike = selector & (values != found[:, None, :])
    if nones:
        unlike &= ~missing  # a None that is selected alone is no difference
    return Aggregated(found, (unlike.any(axis=1) & inputs.valid).any(axis=0), undefined)


def outside(found: Values, values: Values, inputs: Inputs) -> Bool[np.ndarray, " input"]:
    """On which inputs an aggregate gives something that is neither None nor among the values it reads."""
    among = ((found[:, None, :] == values) & inputs.valid).any(axis=1)
    wrong: Bool[np.ndarray, " input"] = (~among & ~np.isnan(found) & inputs.valid).any(axis=0)
    return wrong


def nones(values: Values, inputs: Inputs) -> Int[np.ndarray, " input"]:
    """How many positions of each input are None."""
    counts: Int[np.ndarray, " input"] = (np.isnan(values) & inputs.valid).sum(axis=0)
    return counts


def _counts(selector: Matrix) -> Int[np.ndarray, "query input"]:
    small = selector.shape[1] < 256
    counts: Int[np.ndarray, "query input"]
    counts = np.add.reduce(selector.view(np.uint8), axis=1, dtype=np.uint8 if small else np.int64)
    return counts


@cache
def _arrays(f: Function) -> Callable[[Sequence[Any]], Any]:
    """The function on arrays of numbers. TypeError for what the pools do not use."""
    names = f.parameters

    def build(e: ast.expr) -> Callable[[Sequence[Any]], Any]:
        match e:
            case ast.Constant(value=int() | float() as v):
                return lambda a: v
            case ast.Name(id=name):
                at = names.index(name)
                return lambda a: a[at]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                g, x, y = _ARITHMETIC[type(op)], build(left), build(right)
                return lambda a: g(x(a), y(a))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                x = build(operand)
                return lambda a: -x(a)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                x = build(operand)
                return lambda a: x(a) == 0
            case ast.BoolOp(op=ast.And(), values=[first, second]):
                x, y = build(first), build(second)
                return lambda a: np.where(x(a) != 0, y(a), x(a))
            case ast.BoolOp(op=ast.Or(), values=[first, second]):
                x, y = build(first), build(second)
                return lambda a: np.where(x(a) != 0, x(a), y(a))
            case ast.Compare(left=left, ops=[sign], comparators=[right]):
                g, x, y = _SIGNS[type(sign)], build(left), build(right)
                return lambda a: g(x(a), y(a))
            case ast.Call(func=ast.Name(id="int"), args=[argument]):
                x = build(argument)
                return lambda a: np.trunc(x(a))
            case _:
                raise TypeError(f"{f.text} has no form for arrays of numbers")

    if f.body is None:
        raise TypeError(f"{f.text} has no form for arrays of numbers")
    return build(f.body)
