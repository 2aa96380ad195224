"""A formula as a person writes it: the same value everywhere, never longer.

Sums are collected (`k - x - x + 1` is `k + 1 - 2 * x`), operands that may be exchanged stand in the order of the
variables, a constant factor first and any other constant last.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from engine.synthesis.formulas.expressions import COMMUTATIVE, COMPARISONS, Expression, size

CHAINS = frozenset({"*", "&", "|", "^", "min", "max"})


def tidied(expression: Expression, names: Sequence[str]) -> Expression:
    """The formula with its parts in order; `names` are the variables, the first to be named first."""
    order = {name: k for k, name in enumerate(names)}
    better = _tidied(expression, order)
    return better if size(better) <= size(expression) else expression


def _tidied(expression: Expression, order: dict[str, int]) -> Expression:
    if expression[0] in ("var", "const"):
        return expression
    whole: Expression = tuple(_tidied(part, order) if isinstance(part, tuple) else part for part in expression)
    symbol = whole[0]
    if symbol in ("+", "-", "*"):
        terms, constant = _terms(whole)
        atoms = sorted(terms, key=lambda atom: _place(atom, order))
        collected = combination(atoms, [terms[atom] for atom in atoms], constant)
        if size(collected) <= size(whole) and (symbol != "*" or size(collected) < size(whole)):
            return collected
    if symbol in CHAINS:
        parts = sorted(flat(symbol, whole), key=lambda part: _place(part, order, constant_first=symbol == "*"))
        joined = parts[0]
        for part in parts[1:]:
            joined = (symbol, joined, part)
        return joined
    if symbol in COMPARISONS & COMMUTATIVE:
        return (symbol, *sorted(whole[1:], key=lambda part: _place(part, order)))
    return whole


def _place(part: Expression, order: dict[str, int], *, constant_first: bool = False) -> tuple[int, int, int]:
    if part[0] == "const":
        return (-1 if constant_first else len(order) + 1, 0, 0)
    return (
        min((order.get(name, len(order)) for name in _names(part)), default=len(order)),
        part[0] != "var",
        size(part),
    )


def _names(expression: Expression) -> set[str]:
    if expression[0] == "var":
        return {expression[1]}
    return set().union(*(_names(part) for part in expression[1:] if isinstance(part, tuple)))


def flat(symbol: str, expression: Expression) -> list[Expression]:
    """The operands of a chain of one operator."""
    if expression[0] != symbol:
        return [expression]
    return [part for side in expression[1:] for part in flat(symbol, side)]


def _terms(expression: Expression) -> tuple[dict[Expression, int], int]:
    """A sum as coefficients of what is no sum, and a constant."""
    match expression:
        case ("const", number):
            return {}, number
        case ("+" | "-" as sign, left, right):
            terms, constant = _terms(left)
            more, other = _terms(right)
            factor = 1 if sign == "+" else -1
            for atom, c in more.items():
                terms[atom] = terms.get(atom, 0) + factor * c
            return terms, constant + factor * other
        case ("*", ("const", number), inner) | ("*", inner, ("const", number)):
            terms, constant = _terms(inner)
            return {atom: number * c for atom, c in terms.items()}, number * constant
    return {expression: 1}, 0


def combination(atoms: Sequence[Expression], coefficients: Sequence[int], constant: int) -> Expression:
    """That linear combination: positive terms first, no `1 *`, no `+ -1`, a common factor taken out
    where that is shorter."""
    terms = [(atom, c) for atom, c in zip(atoms, coefficients, strict=True) if c]
    plain = _sum(terms, constant)
    factor = gcd(*(c for _, c in terms)) if terms else 1
    if factor == 1 or len(terms) == 1:
        return plain
    sign = 1 if any(c > 0 for _, c in terms) else -1
    inside = [(atom, sign * c // factor) for atom, c in terms]
    best = min(plain, _sum([(_sum(inside, 0), sign * factor)], constant), key=size)
    if constant % factor == 0:
        whole: Expression = ("*", ("const", sign * factor), _sum(inside, sign * constant // factor))
        best = min(best, whole, key=size)
    return best


def _sum(terms: Sequence[tuple[Expression, int]], constant: int) -> Expression:
    ordered: list[tuple[Expression | None, int]] = [term for term in terms if term[1] > 0]
    if constant > 0:
        ordered.append((None, constant))
    ordered += [term for term in terms if term[1] < 0]
    if constant < 0:
        ordered.append((None, constant))
    written: Expression | None = None
    for atom, c in ordered:
        term: Expression = ("const", abs(c)) if atom is None else atom
        if atom is not None and abs(c) != 1:
            term = ("*", ("const", abs(c)), term)
        if written is not None:
            written = ("+" if c > 0 else "-", written, term)
        elif c > 0:
            written = term
        elif atom is None:
            written = ("const", c)
        else:
            written = ("-", ("const", 0), term) if c == -1 else ("*", ("const", c), atom)
    return written if written is not None else ("const", 0)
