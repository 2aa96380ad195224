"""The only way an emitted program is ever run: its source text is parsed and interpreted, never executed.

A program is one function of one or more equally long integer sequences. What it may consist of is a short list of
syntax nodes: assignments, `for` over its arguments (or `zip` of them), `if`, integer arithmetic without powers and
shifts, comparisons, `int bool abs min max len`, tables (tuples and dictionaries of constants) and `append` on a list it
made. Everything else (imports, attributes, other calls, `while`, comprehensions, further functions) is refused before
anything runs, with its line. Steps, sizes and numbers are limited; `sandbox.py` adds limits of time and memory in a
process apart.

Values are columns: one number per test sequence, so one pass over the text evaluates a million sequences.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from sessions.errors import CallError, IwbError

Column = np.ndarray[Any, np.dtype[np.int64]]
Lanes = np.ndarray[Any, np.dtype[np.bool_]]
Row = dict[str, Any]

MOST_SOURCE = 200_000  # characters
MOST_NODES = 50_000
MOST_STEPS = 2_000_000  # syntax nodes interpreted in one run
MOST_LIST = 100_000  # elements of a list
BIGGEST = 2**31  # numbers stay below it, so that no product of two overflows 64 bits

_NODES: tuple[type[ast.AST], ...] = (
    *(ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.For, ast.If),
    *(ast.Expr, ast.Pass, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Name, ast.Constant),
    *(ast.Tuple, ast.List, ast.Dict, ast.Subscript, ast.Attribute, ast.Load, ast.Store),
    *(ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr, ast.BitXor),
    *(ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, ast.Invert),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
_CALLS = frozenset({"int", "bool", "abs", "min", "max", "len", "zip"})

_ARITHMETIC: dict[type[ast.operator], Callable[[Column, Column], Column]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
    ast.BitAnd: np.bitwise_and,
    ast.BitOr: np.bitwise_or,
    ast.BitXor: np.bitwise_xor,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Column, Column], Lanes]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


def _refusal(node: ast.AST, what: str) -> CallError:
    return CallError(what, f"line {getattr(node, 'lineno', 1)} of the program", "a program is integer arithmetic only")


def parse(source: str) -> ast.FunctionDef:
    """The program's one function, when every part of it is on the list. CallError names the first that is not."""
    if len(source) > MOST_SOURCE:
        raise CallError(f"the program has {len(source):,} characters", remedy=f"at most {MOST_SOURCE:,} are read")
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CallError(f"the program is not Python ({error})") from None
    if len(module.body) != 1 or not isinstance(module.body[0], ast.FunctionDef):
        raise CallError("a program is one function and nothing else", remedy="write def f(s): ...")
    function = module.body[0]
    for count, node in enumerate(ast.walk(module)):
        if count > MOST_NODES:
            raise CallError(f"the program has more than {MOST_NODES:,} parts")
        _check(node, function)
    return function


def _check(node: ast.AST, function: ast.FunctionDef) -> None:
    if not isinstance(node, _NODES):
        raise _refusal(node, f"{type(node).__name__} is not allowed")
    match node:
        case ast.FunctionDef() if node is not function or node.decorator_list:
            raise _refusal(node, "only one plain function is allowed")
        case ast.arguments():
            if node.posonlyargs or node.kwonlyargs or node.vararg or node.kwarg or node.defaults or not node.args:
                raise _refusal(function, "the function takes plain sequences only")
        case ast.Constant():
            if isinstance(node.value, str):
                return  # the docstring; a text anywhere else has no operation
            if not isinstance(node.value, int) or abs(node.value) >= BIGGEST:
                raise _refusal(node, f"the constant {str(node.value)[:20]} is not a number below 2**31")
        case ast.Call():
            appends = isinstance(node.func, ast.Attribute) and node.func.attr == "append" and len(node.args) == 1
            named = isinstance(node.func, ast.Name) and node.func.id in _CALLS
            if node.keywords or not (appends or named):
                raise _refusal(node, f"the call {ast.unparse(node.func)[:40]}(...) is not allowed")
        case ast.Attribute():
            if node.attr != "append" or not isinstance(node.value, ast.Name):
                raise _refusal(node, f"the attribute .{node.attr} is not allowed")
        case ast.Name():
            if node.id.startswith("__"):
                raise _refusal(node, f"the name {node.id} is not allowed")
        case ast.For() if node.orelse:
            raise _refusal(node, "for ... else is not allowed")


class Evaluation:
    """One run of a parsed program on a batch of sequences. `trace` keeps the variables after each turn of the loop."""

    def __init__(self, function: ast.FunctionDef, x: Column, *, trace: bool = False) -> None:
        """`x`: (sequence, position, input) integers. CallError when the function takes another number of inputs."""
        names = [argument.arg for argument in function.args.args]
        if x.ndim != 3 or x.shape[2] != len(names):
            raise CallError(
                f"the program takes {len(names)} sequence{'s' if len(names) > 1 else ''}, not {x.shape[-1]}", "inputs"
            )
        if x.size and np.abs(x).max() >= BIGGEST:
            raise CallError("an input is not below 2**31", "inputs")
        self.function, self.lanes, self.steps = function, len(x), 0
        self.trace: list[Row] | None = [] if trace else None
        self.names: dict[str, Any] = {
            name: [x[:, t, k].astype(np.int64) for t in range(x.shape[1])] for k, name in enumerate(names)
        }
        self.loop_depth = 0

    def outputs(self) -> Column:
        """What the function returns: (sequence, position, output)."""
        returned = self._block(self.function.body, np.ones(self.lanes, dtype=bool))
        if not isinstance(returned, list):
            raise IwbError("the program does not return a list")
        parts = [element if isinstance(element, tuple) else (element,) for element in returned]
        if len({len(part) for part in parts}) > 1:
            raise IwbError("the program returns elements of different sizes")
        if not parts:
            return np.zeros((self.lanes, 0, 1), dtype=np.int64)
        return np.stack([np.stack([self._column(v) for v in part], axis=1) for part in parts], axis=1)

    def _tick(self, node: ast.AST) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise IwbError(f"the program takes more than {MOST_STEPS:,} steps", f"line {getattr(node, 'lineno', 1)}")

    def _fault(self, node: ast.AST, what: str) -> IwbError:
        return IwbError(what, f"line {getattr(node, 'lineno', 1)} of the program")

    def _column(self, value: Any) -> Column:
        if isinstance(value, (bool, int)):
            return np.full(self.lanes, int(value), dtype=np.int64)
        if not isinstance(value, np.ndarray):
            raise IwbError("the program uses a sequence or a table where a number belongs")
        return value

    # ---- statements: `lanes` says for which sequences they are carried out

    def _block(self, body: Sequence[ast.stmt], lanes: Lanes) -> Any:
        """Carry out statements; what `return` gives, or None."""
        for statement in body:
            self._tick(statement)
            match statement:
                case ast.Return(value=ast.expr() as value):
                    if not lanes.all():
                        raise self._fault(statement, "return must not depend on the data")
                    return self._value(value, lanes)
                case ast.Assign(targets=targets, value=value):
                    given = self._value(value, lanes)
                    for target in targets:
                        self._assign(target, given, lanes)
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                    combined = ast.copy_location(ast.BinOp(ast.Name(name, ast.Load()), op, value), statement)
                    self._assign(statement.target, self._value(combined, lanes), lanes)
                case ast.For():
                    self._loop(statement, lanes)
                case ast.If():
                    chosen = self._column(self._value(statement.test, lanes)) != 0
                    for part, where in ((statement.body, lanes & chosen), (statement.orelse, lanes & ~chosen)):
                        if part and where.any() and self._block(part, where) is not None:
                            raise self._fault(statement, "return must not depend on the data")
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=[value])):
                    self._append(statement, name, self._value(value, lanes), lanes)
                case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                    pass
                case _:
                    raise self._fault(statement, f"{ast.unparse(statement)[:40]} has no meaning here")
        return None

    def _append(self, node: ast.AST, name: str, value: Any, lanes: Lanes) -> None:
        target = self.names.get(name)
        if not isinstance(target, list):
            raise self._fault(node, f"{name} is not a list")
        if not lanes.all():
            raise self._fault(node, "append must not depend on the data")
        if len(target) >= MOST_LIST:
            raise self._fault(node, f"a list has more than {MOST_LIST:,} elements")
        target.append(value)

    def _loop(self, loop: ast.For, lanes: Lanes) -> None:
        if self.loop_depth >= 2:
            raise self._fault(loop, "loops are nested deeper than two")
        self.loop_depth += 1
        for element in self._elements(loop, lanes):
            self._assign(loop.target, element, lanes)
            if self._block(loop.body, lanes) is not None:
                raise self._fault(loop, "return inside a loop is not allowed")
            if self.trace is not None and self.loop_depth == 1:
                self.trace.append({n: v for n, v in self.names.items() if isinstance(v, (int, np.ndarray))})
        self.loop_depth -= 1

    def _elements(self, loop: ast.For, lanes: Lanes) -> Iterator[Any]:
        over = self._value(loop.iter, lanes)
        if not isinstance(over, list):
            raise self._fault(loop, "a loop runs over the function's sequences only")
        yield from list(over)  # a copy: appending to what is looped over must not go on for ever

    def _assign(self, target: ast.expr, value: Any, lanes: Lanes) -> None:
        if isinstance(target, ast.Name):
            if not lanes.all() and isinstance(value, (int, np.ndarray)):
                if target.id not in self.names:
                    raise self._fault(target, f"{target.id} has no value where the condition is false")
                value = np.where(lanes, self._column(value), self._column(self.names[target.id]))
            elif not lanes.all():
                raise self._fault(target, "a list or table must not depend on the data")
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, tuple) and len(value) == len(target.elts):
            for part, element in zip(target.elts, value):
                self._assign(part, element, lanes)
        else:
            raise self._fault(target, "the two sides of an assignment do not match")

    # ---- expressions: a value is an int, a column, a tuple of values, a list of values, or a table

    def _value(self, node: ast.expr, lanes: Lanes) -> Any:
        self._tick(node)
        match node:
            case ast.Constant(value=value) if isinstance(value, int):
                return int(value)
            case ast.Name(id=name):
                if name not in self.names:
                    raise self._fault(node, f"{name} has no value")
                return self.names[name]
            case ast.BinOp():
                return self._arithmetic(node, lanes)
            case ast.UnaryOp():
                operand = self._column(self._value(node.operand, lanes))
                signs: dict[type[ast.unaryop], Callable[[Column], Any]] = {
                    ast.USub: np.negative,
                    ast.UAdd: np.positive,
                    ast.Invert: np.invert,
                    ast.Not: lambda v: (v == 0).astype(np.int64),
                }
                return signs[type(node.op)](operand)
            case ast.Compare():
                parts = [self._column(self._value(part, lanes)) for part in (node.left, *node.comparators)]
                holds = np.ones(self.lanes, dtype=bool)
                for op, left, right in zip(node.ops, parts, parts[1:]):
                    holds &= _COMPARISONS[type(op)](left, right)
                return holds.astype(np.int64)
            case ast.BoolOp():
                return self._connective(node, lanes)
            case ast.IfExp():
                chosen = self._column(self._value(node.test, lanes)) != 0
                return self._either(chosen, node.body, node.orelse, lanes)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(node, name, [self._value(argument, lanes) for argument in node.args])
            case ast.Tuple():
                return tuple(self._value(element, lanes) for element in node.elts)
            case ast.List():
                return [self._value(element, lanes) for element in node.elts]
            case ast.Dict(keys=keys, values=values) if all(key is not None for key in keys):
                return {
                    self._constant(key): self._value(value, lanes)
                    for key, value in zip(keys, values)
                    if key is not None
                }
            case ast.Subscript():
                return self._entry(node, self._value(node.value, lanes), self._value(node.slice, lanes), lanes)
        raise self._fault(node, f"{ast.unparse(node)[:40]} has no meaning here")

    def _constant(self, node: ast.expr) -> tuple[int, ...]:
        """A table's key: a number or a tuple of numbers."""
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        try:
            values = tuple(ast.literal_eval(part) for part in parts)
        except ValueError:
            raise self._fault(node, "a table's keys are numbers") from None
        if not all(isinstance(value, int) for value in values):
            raise self._fault(node, "a table's keys are numbers")
        return values

    def _either(self, chosen: Lanes, body: ast.expr, otherwise: ast.expr, lanes: Lanes) -> Any:
        """Each branch only for the sequences that take it: the other one may divide by zero there."""
        if chosen[lanes].all():
            return self._value(body, lanes)
        if not chosen[lanes].any():
            return self._value(otherwise, lanes)
        first = self._column(self._value(body, lanes & chosen))
        second = self._column(self._value(otherwise, lanes & ~chosen))
        return np.where(chosen, first, second)

    def _connective(self, node: ast.BoolOp, lanes: Lanes) -> Column:
        result = self._column(self._value(node.values[0], lanes))
        for part in node.values[1:]:
            undecided = (result != 0) if isinstance(node.op, ast.And) else (result == 0)
            if (undecided & lanes).any():
                result = np.where(undecided, self._column(self._value(part, lanes & undecided)), result)
        return result

    def _arithmetic(self, node: ast.BinOp, lanes: Lanes) -> Column:
        left, right = (self._column(self._value(side, lanes)) for side in (node.left, node.right))
        if isinstance(node.op, (ast.FloorDiv, ast.Mod)):
            if (right[lanes] == 0).any():
                raise self._fault(node, "division by zero")
            right = np.where(lanes & (right != 0), right, 1)
        result = _ARITHMETIC[type(node.op)](left, right)
        return self._bounded(node, result, lanes)

    def _bounded(self, node: ast.AST, result: Column, lanes: Lanes) -> Column:
        if lanes.any() and np.abs(result[lanes]).max() >= BIGGEST:
            raise self._fault(node, "a number of 2**31 or more")
        return result if lanes.all() else np.where(lanes, result, 0)

    def _call(self, node: ast.AST, name: str, values: list[Any]) -> Any:
        if name == "zip" and values and all(isinstance(v, list) for v in values):
            return [tuple(parts) for parts in zip(*values)]
        if name == "len" and len(values) == 1 and isinstance(values[0], (list, tuple)):
            return len(values[0])
        columns = [self._column(value) for value in values]
        if name in ("min", "max") and len(columns) >= 2:
            result = columns[0]
            for column in columns[1:]:
                result = (np.minimum if name == "min" else np.maximum)(result, column)
            return result
        if name in ("int", "bool", "abs") and len(columns) == 1:
            plain = {"int": columns[0], "bool": (columns[0] != 0).astype(np.int64), "abs": np.abs(columns[0])}
            return plain[name]
        raise self._fault(node, f"{name} does not take that")

    def _entry(self, node: ast.AST, table: Any, key: Any, lanes: Lanes) -> Any:
        """A table's entry for each sequence: of a tuple by position from 0, of a dictionary by key."""
        if isinstance(table, (tuple, list)):
            entries: dict[tuple[int, ...], Any] = {(k,): value for k, value in enumerate(table)}
        elif isinstance(table, dict):
            entries = table
        else:
            raise self._fault(node, "only tables have entries")
        parts = [self._column(part) for part in (key if isinstance(key, tuple) else (key,))]
        keys, which = np.unique(np.stack(parts, axis=1)[lanes], axis=0, return_inverse=True)
        found = []
        for row in keys:
            entry = entries.get(tuple(int(v) for v in row))
            if entry is None:
                raise self._fault(node, f"the table has no entry {', '.join(str(v) for v in row)}")
            found.append(entry)
        if not found:
            return 0
        return self._spread(node, found, which.reshape(-1), lanes)

    def _spread(self, node: ast.AST, found: list[Any], which: Column, lanes: Lanes) -> Any:
        """Entries to columns, part by part when they are tuples."""
        if all(isinstance(entry, tuple) for entry in found):
            if len({len(entry) for entry in found}) > 1:
                raise self._fault(node, "the table's entries differ in size")
            return tuple(self._spread(node, list(parts), which, lanes) for parts in zip(*found))
        result = np.zeros(self.lanes, dtype=np.int64)
        result[lanes] = np.stack([self._column(entry) for entry in found])[which, np.flatnonzero(lanes)]
        return result


def evaluate(source: str, x: Column) -> Column:
    """Outputs of the program on integer sequences: (sequence, position, input) -> (sequence, position, output).

    In this process, with limits on steps, sizes and numbers. CallError when the program is refused, IwbError when it
    fails while running (division by zero, no entry in a table, a limit).
    """
    return _run(source, x)[0]


def trace(source: str, x: Column) -> tuple[Column, list[dict[str, list[int]]]]:
    """The outputs, and the variables after each turn of the program's loop: name -> one number per sequence."""
    outputs, evaluation = _run(source, x, trace=True)
    turns = evaluation.trace or []
    return outputs, [{name: np.broadcast_to(value, len(x)).tolist() for name, value in row.items()} for row in turns]


def _run(source: str, x: Column, *, trace: bool = False) -> tuple[Column, Evaluation]:
    try:
        evaluation = Evaluation(parse(source), x, trace=trace)
        return evaluation.outputs(), evaluation
    except RecursionError:
        raise CallError("the program is nested too deeply") from None
