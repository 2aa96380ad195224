"""One turn of an emitted program's loop as a transition: state and input in, state and outputs out.

The same walk over the syntax tree computes with numbers (numpy columns) and with a solver's terms: what the values are
is decided by the `Arithmetic` that is given. Python's meaning throughout: `//` and `%` round down, comparisons are 0 or
1. What a value must satisfy for that (a key that is in the table) is required of the arithmetic.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from engine.synthesis.programs.evaluator import parse
from sessions.errors import IwbError

Value = Any  # an int, a column or a term
Environment = dict[str, Value]


class Arithmetic(Protocol):
    """What a value can do. Conditions are truth values of its own kind."""

    def divided(self, left: Value, right: Value) -> Value: ...
    def remainder(self, left: Value, right: Value) -> Value: ...
    def bits(self, symbol: str, left: Value, right: Value) -> Value: ...
    def compare(self, symbol: str, left: Value, right: Value) -> Any: ...
    def either(self, condition: Any, then: Value, otherwise: Value) -> Value: ...
    def truth(self, value: Value) -> Any: ...
    def both(self, left: Any, right: Any) -> Any: ...
    def require(self, condition: Any) -> None: ...


class NotCoveredError(Exception):
    """The program uses something that the proofs do not cover; the message says what."""


class Transition(NamedTuple):
    """A program with one loop: its loop variables, the state that is carried, its start, tables, the loop's body."""

    inputs: tuple[str, ...]
    start: dict[str, int]
    tables: dict[str, ast.expr]
    body: tuple[ast.stmt, ...]
    output: str  # the list that is appended to

    @property
    def state(self) -> tuple[str, ...]:
        return tuple(self.start)


def transition(source: str) -> Transition:
    """The program's loop. NotCoveredError where it is no plain loop over its inputs."""
    try:
        function = parse(source)
    except IwbError as error:
        raise NotCoveredError(str(error)) from None
    start: dict[str, int] = {}
    tables: dict[str, ast.expr] = {}
    lists: set[str] = set()
    loop: ast.For | None = None
    for statement in function.body:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Return() | ast.Pass():
                continue
            case ast.Assign(targets=targets, value=value) if loop is None:
                for target in targets:
                    _begin(target, value, start, tables, lists)
            case ast.For() if loop is None:
                loop = statement
            case _:
                raise NotCoveredError(f"line {statement.lineno} is neither a start nor the one loop")
    if loop is None or len(lists) != 1:
        raise NotCoveredError("it is no single loop that appends to one list")
    names = [loop.target] if isinstance(loop.target, ast.Name) else list(getattr(loop.target, "elts", []))
    if not all(isinstance(name, ast.Name) for name in names):
        raise NotCoveredError("its loop does not run over its inputs")
    return Transition(tuple(name.id for name in names), start, tables, tuple(loop.body), lists.pop())


def _begin(
    target: ast.expr, value: ast.expr, start: dict[str, int], tables: dict[str, ast.expr], lists: set[str]
) -> None:
    match target, value:
        case ast.Tuple(elts=names), ast.Tuple(elts=values) if len(names) == len(values):
            for one, other in zip(names, values):
                _begin(one, other, start, tables, lists)
        case ast.Name(id=name), ast.List(elts=[]):
            lists.add(name)
        case ast.Name(id=name), ast.Dict() | ast.Tuple():
            tables[name] = value
        case ast.Name(id=name), _:
            try:
                start[name] = int(ast.literal_eval(value))
            except (ValueError, TypeError):
                raise NotCoveredError(f"{name} starts with more than a number") from None
        case _:
            raise NotCoveredError("a start is neither a number, a table nor an empty list")


def turn(
    of: Transition, state: Mapping[str, Value], inputs: Sequence[Value], arithmetic: Arithmetic
) -> tuple[dict[str, Value], tuple[Value, ...]]:
    """The state after one input, and what is appended."""
    run = _Turn(of, arithmetic)
    names: Environment = {**state, **dict(zip(of.inputs, inputs))}
    run.block(of.body, names)
    if len(run.given) != 1:
        raise NotCoveredError("it does not append once per turn")
    given = run.given[0]
    return {name: names[name] for name in of.state}, given if isinstance(given, tuple) else (given,)


class _Turn:
    def __init__(self, of: Transition, arithmetic: Arithmetic) -> None:
        self.of, self.with_ = of, arithmetic
        self.given: list[Any] = []

    def block(self, body: Sequence[ast.stmt], names: Environment, *, inner: bool = False) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    found = self.value(value, names)
                    for target in targets:
                        self._assign(target, found, names)
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                    names[name] = self._binary(op, names[name], self.value(value, names))
                case ast.If(test=test, body=then, orelse=otherwise):
                    self._branch(self.truth(test, names), then, otherwise, names)
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=[value])):
                    if name != self.of.output or inner:
                        raise NotCoveredError("it appends under a condition or to another list")
                    self.given.append(self.value(value, names))
                case ast.Pass() | ast.Expr(value=ast.Constant()):
                    pass
                case _:
                    raise NotCoveredError(f"line {statement.lineno} is a {type(statement).__name__}")

    def _assign(self, target: ast.expr, value: Value, names: Environment) -> None:
        if isinstance(target, ast.Name):
            names[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, tuple) and len(value) == len(target.elts):
            for one, other in zip(target.elts, value):
                self._assign(one, other, names)
        else:
            raise NotCoveredError("the two sides of an assignment do not match")

    def _branch(self, test: Any, then: Sequence[ast.stmt], otherwise: Sequence[ast.stmt], names: Environment) -> None:
        first, second = dict(names), dict(names)
        self.block(then, first, inner=True)
        self.block(otherwise, second, inner=True)
        for name in first.keys() | second.keys():
            if name in first and name in second:
                one, other = first[name], second[name]
                names[name] = one if one is other else self.with_.either(test, one, other)
            else:
                names.pop(name, None)  # has a value on one way only

    def truth(self, node: ast.expr, names: Environment) -> Any:
        return self.with_.truth(self.value(node, names))

    def value(self, node: ast.expr, names: Environment) -> Any:
        match node:
            case ast.Constant(value=int() as number):
                return int(number)
            case ast.Name(id=name):
                if name not in names:
                    raise NotCoveredError(f"{name} has no value there")
                return names[name]
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self.value(left, names), self.value(right, names))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return 0 - self.value(operand, names)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.with_.either(self.truth(operand, names), 0, 1)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._comparison(left, ops, others, names)
            case ast.BoolOp(op=op, values=values):
                found = self.value(values[0], names)
                for part in values[1:]:
                    more = self.value(part, names)
                    one, other = (more, found) if isinstance(op, ast.And) else (found, more)
                    found = self.with_.either(self.with_.truth(found), one, other)
                return found
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.with_.either(self.truth(test, names), self.value(body, names), self.value(orelse, names))
            case ast.Tuple(elts=elements):
                return tuple(self.value(element, names) for element in elements)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, [self.value(argument, names) for argument in arguments])
            case ast.Subscript(value=ast.Name(id=name), slice=key) if name in self.of.tables:
                return self._entry(self.of.tables[name], self.value(key, names))
        raise NotCoveredError(f"it uses {ast.unparse(node)[:40]}")

    def _binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        match op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.FloorDiv() | ast.Mod():
                if not isinstance(right, int) or right == 0:
                    raise NotCoveredError("it divides by a variable")
                return (self.with_.divided if isinstance(op, ast.FloorDiv) else self.with_.remainder)(left, right)
            case ast.BitAnd() | ast.BitOr() | ast.BitXor():
                return self.with_.bits({ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}[type(op)], left, right)
        raise NotCoveredError(f"it uses the operator {type(op).__name__}")

    def _comparison(
        self, left: ast.expr, ops: Sequence[ast.cmpop], others: Sequence[ast.expr], names: Environment
    ) -> Value:
        symbols: dict[type[ast.cmpop], str] = {
            ast.Eq: "==",
            ast.NotEq: "!=",
            ast.Lt: "<",
            ast.LtE: "<=",
            ast.Gt: ">",
            ast.GtE: ">=",
        }
        values = [self.value(part, names) for part in (left, *others)]
        parts = [self.with_.compare(symbols[type(op)], a, b) for op, a, b in zip(ops, values, values[1:])]
        holds = parts[0]
        for part in parts[1:]:
            holds = self.with_.both(holds, part)
        return self.with_.either(holds, 1, 0)

    def _call(self, name: str, values: list[Value]) -> Value:
        compare, either = self.with_.compare, self.with_.either
        if name == "int" and len(values) == 1:
            return values[0]
        if name == "bool" and len(values) == 1:
            return either(self.with_.truth(values[0]), 1, 0)
        if name == "abs" and len(values) == 1:
            return either(compare("<", values[0], 0), 0 - values[0], values[0])
        if name in ("min", "max") and len(values) >= 2:
            found = values[0]
            for one in values[1:]:
                found = either(compare("<" if name == "min" else ">", one, found), one, found)
            return found
        raise NotCoveredError(f"it calls {name}")

    def _entry(self, table: ast.expr, key: Value) -> Value:
        """A table as nested choices; that the key is one of the table's is required."""
        entries = ast.literal_eval(table)
        pairs = list(entries.items()) if isinstance(entries, dict) else list(enumerate(entries))
        keys = key if isinstance(key, tuple) else (key,)
        width = len(pairs[-1][1]) if isinstance(pairs[-1][1], tuple) else 0
        found: list[Value] = list(pairs[-1][1]) if width else [pairs[-1][1]]
        known_key: Value = 0
        for known, value in reversed(pairs):
            parts = known if isinstance(known, tuple) else (known,)
            same = self.with_.compare("==", keys[0], parts[0])
            for one, other in zip(keys[1:], parts[1:]):
                same = self.with_.both(same, self.with_.compare("==", one, other))
            values = value if width else (value,)
            found = [self.with_.either(same, one, other) for one, other in zip(values, found)]
            known_key = self.with_.either(same, 1, known_key)
        self.with_.require(self.with_.truth(known_key))
        return tuple(found) if width else found[0]


class Numbers:
    """Arithmetic of numpy columns and ints."""

    def divided(self, left: Value, right: Value) -> Value:
        return left // right

    def remainder(self, left: Value, right: Value) -> Value:
        return left % right

    def bits(self, symbol: str, left: Value, right: Value) -> Value:
        return {"&": np.bitwise_and, "|": np.bitwise_or, "^": np.bitwise_xor}[symbol](left, right)

    def compare(self, symbol: str, left: Value, right: Value) -> Any:
        compared = {
            "==": np.equal,
            "!=": np.not_equal,
            "<": np.less,
            "<=": np.less_equal,
            ">": np.greater,
            ">=": np.greater_equal,
        }
        return compared[symbol](left, right)

    def either(self, condition: Any, then: Value, otherwise: Value) -> Value:
        if isinstance(then, tuple) or isinstance(otherwise, tuple):
            return tuple(self.either(condition, a, b) for a, b in zip(then, otherwise, strict=True))
        return np.where(condition, then, otherwise)

    def truth(self, value: Value) -> Any:
        return np.not_equal(value, 0)

    def both(self, left: Any, right: Any) -> Any:
        return np.logical_and(left, right)

    def require(self, condition: Any) -> None:
        if not np.all(condition):
            raise NotCoveredError("a table has no entry for some key")
