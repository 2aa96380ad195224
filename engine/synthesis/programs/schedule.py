"""The order in which a loop's variables are assigned, so that the text is short.

A `Loop` updates all variables at once from their old values. Written one after the other, a later line may use what an
earlier one has just computed: `v = v + x` and then `pos = pos + v` instead of `pos = pos + v + x`. Linear updates are
rewritten exactly, by solving for the coefficients over the values that exist at that moment.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import NamedTuple

from engine.synthesis.formulas import tidy
from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.programs.loop import Loop

MOST_ORDERED = 4  # variables whose orders are all tried
Linear = dict[str, int]  # coefficients by variable; "" is the constant


class Assignment(NamedTuple):
    """Variables assigned at the same time."""

    names: tuple[str, ...]
    values: tuple[Expression, ...]


def scheduled(loop: Loop) -> tuple[Assignment, ...]:
    """The updates in order, each seeing the new values of the earlier ones. Unchanged variables are left out."""
    changed = [(name, e) for name, e in zip(loop.state, loop.update) if e != ("var", name)]
    if not changed:
        return ()
    at_once: tuple[Assignment, ...] = (Assignment(tuple(n for n, _ in changed), tuple(e for _, e in changed)),)
    best, cost = at_once, sum(size(e) for _, e in changed)
    if len(changed) == 1 or len(changed) > MOST_ORDERED:
        return at_once
    for order in permutations(changed):
        lines = _one_by_one(order, loop)
        if lines is not None and sum(size(line.values[0]) for line in lines) < cost:
            best, cost = lines, sum(size(line.values[0]) for line in lines)
    return best


def _one_by_one(order: tuple[tuple[str, Expression], ...], loop: Loop) -> tuple[Assignment, ...] | None:
    """The updates in that order, or None where one needs an old value that is gone."""
    names = (*loop.state, *loop.inputs, "")
    now: dict[str, Linear | None] = {name: {name: 1} for name in names}  # what each name holds, in old values
    replaced: dict[str, Expression] = {}
    lines = []
    for name, update in order:
        told = linear(update)
        value = update if not (variables(update) & replaced.keys()) else None
        if told is not None and replaced:
            shorter = _solved(told, {n: form for n, form in now.items() if form is not None})
            if shorter is not None and (value is None or size(shorter) < size(value)):
                value = shorter
        if value is None:
            return None
        lines.append(Assignment((name,), (value,)))
        now[name], replaced[name] = told, update
    return tuple(lines)


def variables(expression: Expression) -> set[str]:
    """The names of the variables in it."""
    if expression[0] == "var":
        return {expression[1]}
    return set().union(*(variables(part) for part in expression[1:] if isinstance(part, tuple)))


def linear(expression: Expression) -> Linear | None:
    """The coefficients of a linear expression, None for any other."""
    match expression:
        case ("var", name):
            return {name: 1}
        case ("const", number):
            return {"": number}
        case ("+" | "-" as sign, left, right):
            a, b = linear(left), linear(right)
            if a is None or b is None:
                return None
            factor = 1 if sign == "+" else -1
            return {n: a.get(n, 0) + factor * b.get(n, 0) for n in (*a, *(m for m in b if m not in a))}
        case ("*", left, right):
            a, b = linear(left), linear(right)
            for scale, other in ((a, b), (b, a)):
                if scale is not None and other is not None and not any(v for n, v in scale.items() if n):
                    return {n: v * scale.get("", 0) for n, v in other.items()}
    return None


def combination(coefficients: Linear) -> Expression:
    """The linear expression with those coefficients, as regression writes it."""
    names = [name for name in coefficients if name]
    return tidy.combination(
        [("var", name) for name in names], [coefficients[name] for name in names], coefficients.get("", 0)
    )


def _solved(wanted: Linear, now: dict[str, Linear]) -> Expression | None:
    """`wanted` (over old values) as a combination of what the names hold now, with integer coefficients."""
    names = list(now)
    unknowns = sorted({n for form in (*now.values(), wanted) for n in form})
    rows = [[Fraction(now[name].get(old, 0)) for name in names] + [Fraction(wanted.get(old, 0))] for old in unknowns]
    pivots: list[int] = []
    for column in range(len(names)):
        found = next((r for r in range(len(pivots), len(rows)) if rows[r][column]), None)
        if found is None:
            continue
        at = len(pivots)
        rows[at], rows[found] = rows[found], rows[at]
        rows[at] = [v / rows[at][column] for v in rows[at]]
        for r in range(len(rows)):
            if r != at and rows[r][column]:
                rows[r] = [v - rows[r][column] * w for v, w in zip(rows[r], rows[at])]
        pivots.append(column)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    solution = {names[column]: rows[at][-1] for at, column in enumerate(pivots)}
    if any(v.denominator != 1 for v in solution.values()):
        return None
    return combination({name: int(v) for name, v in solution.items()})
