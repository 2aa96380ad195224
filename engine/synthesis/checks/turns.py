"""One turn of a program's loop: state and input in, state and outputs out.

The same walk over the syntax tree computes with numbers (`numbers.Numbers`) and with a solver's terms (`terms.Terms`):
what the values are is decided by the `Arithmetic` that is given. Python's meaning throughout: `//` and `%` round down,
comparisons are 0 or 1. What must hold for that (a key that is in its table) is required of the arithmetic, where it is
reached.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.synthesis.checks.transitions import NotCoveredError, Table, Transition

Value = Any  # an int, a column or a term
Environment = dict[str, Value]

_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_BITS: dict[type[ast.operator], str] = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}


class Arithmetic(Protocol):
    """What a value can do. Conditions are truth values of its own kind."""

    def summed(self, left: Value, right: Value) -> Value: ...
    def subtracted(self, left: Value, right: Value) -> Value: ...
    def multiplied(self, left: Value, right: Value) -> Value: ...
    def divided(self, left: Value, right: Value) -> Value: ...
    def remainder(self, left: Value, right: Value) -> Value: ...
    def bits(self, symbol: str, left: Value, right: Value, reached: Sequence[Any]) -> Value: ...
    def compare(self, symbol: str, left: Value, right: Value) -> Any: ...
    def either(self, condition: Any, then: Value, otherwise: Value) -> Value: ...
    def truth(self, value: Value) -> Any: ...
    def both(self, left: Any, right: Any) -> Any: ...
    def negated(self, condition: Any) -> Any: ...
    def require(self, condition: Any, reached: Sequence[Any]) -> None:
        """`condition` must hold wherever all of `reached` do."""
        ...


def turn(
    of: Transition, state: Mapping[str, Value], inputs: Sequence[Value], arithmetic: Arithmetic
) -> tuple[dict[str, Value], tuple[Value, ...]]:
    """The state after one input, and what is appended."""
    run = _Turn(of, arithmetic)
    names: Environment = {**state, **dict(zip(of.inputs, inputs, strict=True))}
    run.block(of.body, names)
    if len(run.given) != 1:
        raise NotCoveredError("it does not append once per turn")
    return {name: names[name] for name in of.state}, run.given[0]


class _Turn:
    def __init__(self, of: Transition, arithmetic: Arithmetic) -> None:
        self.of, self.with_ = of, arithmetic
        self.given: list[tuple[Value, ...]] = []
        self.reached: list[Any] = []  # the conditions under which the part being walked is carried out

    def block(self, body: Sequence[ast.stmt], names: Environment) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    found = self.values(value, names)
                    for target in targets:
                        self._assign(target, found, names)
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                    names[name] = self._binary(op, self._named(name, names), self.value(value, names))
                case ast.If(test=test, body=then, orelse=otherwise):
                    self._branch(self.truth(test, names), then, otherwise, names)
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=[value])):
                    if name != self.of.output or self.reached:
                        raise NotCoveredError("it appends under a condition or to another list")
                    found = self.values(value, names)
                    self.given.append(found if isinstance(found, tuple) else (found,))
                case ast.Pass() | ast.Expr(value=ast.Constant()):
                    pass
                case _:
                    raise NotCoveredError(f"line {statement.lineno} is a {type(statement).__name__}")

    def _assign(self, target: ast.expr, value: Value, names: Environment) -> None:
        if isinstance(target, ast.Name) and not isinstance(value, tuple):
            names[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, tuple) and len(value) == len(target.elts):
            for one, other in zip(target.elts, value):
                self._assign(one, other, names)
        else:
            raise NotCoveredError("the two sides of an assignment do not match")

    def _branch(self, test: Any, then: Sequence[ast.stmt], otherwise: Sequence[ast.stmt], names: Environment) -> None:
        first, second = dict(names), dict(names)
        for part, known, condition in ((then, first, test), (otherwise, second, self.with_.negated(test))):
            self.reached.append(condition)
            self.block(part, known)
            self.reached.pop()
        for name in first.keys() | second.keys():
            if name in first and name in second:
                one, other = first[name], second[name]
                names[name] = one if one is other else self.with_.either(test, one, other)
            else:
                names.pop(name, None)  # has a value on one way only

    def truth(self, node: ast.expr, names: Environment) -> Any:
        return self.with_.truth(self.value(node, names))

    def values(self, node: ast.expr, names: Environment) -> Any:
        """A number, or a tuple of numbers where the text has a tuple or a table of tuples."""
        match node:
            case ast.Tuple(elts=elements):
                return tuple(self.value(element, names) for element in elements)
            case ast.Subscript(value=ast.Name(id=name), slice=key) if name in self.of.tables:
                return self._entry(self.of.tables[name], self.values(key, names))
        return self.value(node, names)

    def value(self, node: ast.expr, names: Environment) -> Any:
        match node:
            case ast.Constant(value=int() as number):
                return int(number)
            case ast.Name(id=name):
                return self._named(name, names)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self.value(left, names), self.value(right, names))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.with_.subtracted(0, self.value(operand, names))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.with_.either(self.truth(operand, names), 0, 1)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._comparison(left, ops, others, names)
            case ast.BoolOp(op=op, values=parts):
                return self._connected(isinstance(op, ast.And), parts, names)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition = self.truth(test, names)
                then = self._under(condition, body, names)
                return self.with_.either(condition, then, self._under(self.with_.negated(condition), orelse, names))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, [self.value(argument, names) for argument in arguments])
            case ast.Subscript():
                found = self.values(node, names) if self._is_table(node) else None
                if found is not None and not isinstance(found, tuple):
                    return found
        raise NotCoveredError(f"it uses {ast.unparse(node)[:40]}")

    def _is_table(self, node: ast.Subscript) -> bool:
        return isinstance(node.value, ast.Name) and node.value.id in self.of.tables

    def _named(self, name: str, names: Environment) -> Value:
        if name not in names:
            raise NotCoveredError(f"{name} has no value there")
        return names[name]

    def _under(self, condition: Any, node: ast.expr, names: Environment) -> Value:
        """A value that is only computed where the condition holds."""
        self.reached.append(condition)
        found = self.value(node, names)
        self.reached.pop()
        return found

    def _connected(self, conjunction: bool, parts: Sequence[ast.expr], names: Environment) -> Value:
        """`and`, `or`: the value of the part that decides."""
        found = self.value(parts[0], names)
        for part in parts[1:]:
            holds = self.with_.truth(found)
            going_on = holds if conjunction else self.with_.negated(holds)
            found = self.with_.either(going_on, self._under(going_on, part, names), found)
        return found

    def _binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        match op:
            case ast.Add():
                return self.with_.summed(left, right)
            case ast.Sub():
                return self.with_.subtracted(left, right)
            case ast.Mult():
                return self.with_.multiplied(left, right)
            case ast.FloorDiv() | ast.Mod():
                if isinstance(right, int):
                    if right == 0:
                        raise NotCoveredError("it divides by 0")
                else:  # a variable divisor is required to be positive
                    self.with_.require(self.with_.compare(">", right, 0), self.reached)
                return (self.with_.divided if isinstance(op, ast.FloorDiv) else self.with_.remainder)(left, right)
        if type(op) in _BITS:
            return self.with_.bits(_BITS[type(op)], left, right, self.reached)
        raise NotCoveredError(f"it uses the operator {type(op).__name__}")

    def _comparison(
        self, left: ast.expr, ops: Sequence[ast.cmpop], others: Sequence[ast.expr], names: Environment
    ) -> Value:
        values = [self.value(part, names) for part in (left, *others)]
        parts = [self.with_.compare(_COMPARED[type(op)], a, b) for op, a, b in zip(ops, values, values[1:])]
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
            return either(compare("<", values[0], 0), self.with_.subtracted(0, values[0]), values[0])
        if name in ("min", "max") and len(values) >= 2:
            found = values[0]
            for one in values[1:]:
                found = either(compare("<" if name == "min" else ">", one, found), one, found)
            return found
        raise NotCoveredError(f"it calls {name}")

    def _entry(self, table: Table, key: Value) -> Value:
        """A table as nested choices; that the key is one of the table's is required."""
        keys = key if isinstance(key, tuple) else (key,)
        rows = [(known, entry if isinstance(entry, tuple) else (entry,)) for known, entry in table.items()]
        if len(keys) != len(rows[0][0]):
            raise NotCoveredError("a table is asked with a key of another size")
        found: list[Value] = list(rows[-1][1])
        is_known: Value = 0
        for known, entry in reversed(rows):
            same = self.with_.compare("==", keys[0], known[0])
            for one, other in zip(keys[1:], known[1:]):
                same = self.with_.both(same, self.with_.compare("==", one, other))
            found = [self.with_.either(same, one, other) for one, other in zip(entry, found)]
            is_known = self.with_.either(same, 1, is_known)
        self.with_.require(self.with_.truth(is_known), self.reached)
        return tuple(found) if isinstance(next(iter(table.values())), tuple) else found[0]
