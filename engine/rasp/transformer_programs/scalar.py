"""Functions of a few values, interpreted: comparisons and returns, nothing that could loop, call or reach anything."""

from __future__ import annotations

import ast
from typing import Any

from sessions.errors import CallError, IwbError

BIGGEST = 2**48
_NODES: tuple[type[ast.AST], ...] = (
    *(ast.Return, ast.Assign, ast.If, ast.Expr, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp),
    *(ast.Name, ast.Constant, ast.Tuple, ast.Set, ast.Load, ast.Store, ast.arguments, ast.arg),
    *(ast.Add, ast.Sub, ast.And, ast.Or, ast.Not, ast.USub),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
)
_NOTHING = object()


def refusal(node: ast.AST, what: str) -> CallError:
    return CallError(what, f"line {getattr(node, 'lineno', 1)} of the program", "only a Transformer Program is read")


def constant(node: ast.expr) -> Any:
    """A table written out: texts, numbers, tuples and dictionaries of them. CallError for anything else."""
    match node:
        case ast.Constant(value=bool()):
            return node.value
        case ast.Constant(value=(str() | int() | float()) as value):
            if isinstance(value, (int, float)) and not abs(value) < BIGGEST:
                raise refusal(node, "the number is too large")
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=(int() | float()) as size)):
            return -size
        case ast.Tuple(elts=elements):
            return tuple(constant(element) for element in elements)
        case ast.Dict(keys=keys, values=values):
            table = {}
            for key, entry in zip(keys, values):
                if key is None:
                    raise refusal(node, "a table is written out in full")
                name = constant(key)
                if not isinstance(name, (str, int)):
                    raise refusal(key, "a table's keys are tokens or numbers")
                table[name] = constant(entry)
            return table
    raise refusal(node, f"{ast.unparse(node)[:40]} is not a constant")


class ScalarFunction:
    """One such function. Calling it gives what it returns, None when it returns nothing."""

    def __init__(self, definition: ast.FunctionDef) -> None:
        self.size = 0  # without loops, no call takes more steps than it has parts
        for node in ast.walk(definition):
            self.size += 1
            if node is not definition and not isinstance(node, _NODES):
                raise refusal(node, f"{type(node).__name__} is not allowed in {definition.name}")
        self.name, self.body = definition.name, definition.body
        self.parameters = [argument.arg for argument in definition.args.args]
        self._sets: dict[int, frozenset[Any]] = {}

    def __call__(self, *values: Any) -> Any:
        names = dict(zip(self.parameters, values))
        returned = self._block(self.body, names)
        return None if returned is _NOTHING else returned

    def _block(self, body: list[ast.stmt], names: dict[str, Any]) -> Any:
        for statement in body:
            match statement:
                case ast.Return(value=None):
                    return None
                case ast.Return(value=ast.expr() as value):
                    return self._value(value, names)
                case ast.If(test=test, body=then, orelse=otherwise):
                    returned = self._block(then if self._value(test, names) else otherwise, names)
                    if returned is not _NOTHING:
                        return returned
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    names[name] = self._value(value, names)
                case ast.Expr(value=ast.Constant(value=str())):
                    pass
                case _:
                    raise refusal(statement, f"{ast.unparse(statement)[:40]} has no meaning here")
        return _NOTHING

    def _value(self, node: ast.expr, names: dict[str, Any]) -> Any:
        match node:
            case ast.Constant():
                return constant(node)
            case ast.Name(id=name):
                if name not in names:
                    raise refusal(node, f"{name} has no value")
                return names[name]
            case ast.Tuple(elts=elements):
                return tuple(self._value(element, names) for element in elements)
            case ast.Set(elts=elements):
                if id(node) not in self._sets:
                    self._sets[id(node)] = frozenset(constant(element) for element in elements)
                return self._sets[id(node)]
            case ast.Compare(left=left, ops=ops, comparators=others):
                before = self._value(left, names)
                for op, other in zip(ops, others):
                    after = self._value(other, names)
                    if not self._compare(node, op, before, after):
                        return False
                    before = after
                return True
            case ast.BoolOp(op=op, values=parts):
                results = (bool(self._value(part, names)) for part in parts)
                return all(results) if isinstance(op, ast.And) else any(results)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._value(operand, names)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand, names)
            case ast.IfExp(test=test, body=then, orelse=otherwise):
                return self._value(then if self._value(test, names) else otherwise, names)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                a, b = self._number(left, names), self._number(right, names)
                total = a + b if isinstance(op, ast.Add) else a - b
                if abs(total) >= BIGGEST:
                    raise refusal(node, "the number is too large")
                return total
        raise refusal(node, f"{ast.unparse(node)[:40]} has no meaning here")

    def _number(self, node: ast.expr, names: dict[str, Any]) -> Any:
        value = self._value(node, names)
        if not isinstance(value, (int, float)):
            raise refusal(node, f"{ast.unparse(node)[:40]} is not a number")
        return value

    def _compare(self, node: ast.AST, op: ast.cmpop, a: Any, b: Any) -> bool:
        try:
            match op:
                case ast.Eq():
                    return bool(a == b)
                case ast.NotEq():
                    return bool(a != b)
                case ast.Lt():
                    return bool(a < b)
                case ast.LtE():
                    return bool(a <= b)
                case ast.Gt():
                    return bool(a > b)
                case ast.GtE():
                    return bool(a >= b)
                case ast.In():
                    return bool(a in b)
                case ast.NotIn():
                    return bool(a not in b)
        except TypeError:
            raise IwbError(
                f"values that cannot be compared in {self.name}", f"line {getattr(node, 'lineno', 1)}"
            ) from None
        raise refusal(node, "the comparison is not allowed")
