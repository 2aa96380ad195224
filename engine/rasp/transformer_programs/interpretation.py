"""The text of a Transformer Program, interpreted on whole batches of inputs; nothing of it is ever executed.

What such a text may hold is short: a docstring, the functions of `library.py` letter by letter, functions of a few
values that only compare and return (`scalar.py`), tables of constants, and `run`, which is assignments and one return.
Everything else is refused before anything runs, with its line. A variable is a column: the values that occur, and for
every sequence and position which of them. A function is asked once for every combination of values that occurs.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from engine.rasp.transformer_programs.library import library
from engine.rasp.transformer_programs.scalar import ScalarFunction, constant, refusal
from engine.rasp.transformer_programs.structure import Value
from sessions.errors import CallError, IwbError

MOST_SOURCE = 2_000_000  # characters
MOST_NODES = 400_000
MOST_SUM = 2**40  # no sum may grow beyond it
MOST_STATEMENTS = 5_000  # in run
MOST_WORK = 50_000_000  # combinations of values a function is asked for, times its size
MOST_CELLS = 2**32  # of all selector matrices
MOST_POSITIONS = 4_096


class Column(NamedTuple):
    """A variable over a batch: `values[codes[n, i]]` is its value in sequence n at position i."""

    values: tuple[Value, ...]
    codes: Int[np.ndarray, "sequence position"]

    def numbers(self, node: ast.AST) -> Int[np.ndarray, "sequence position"]:
        if not all(isinstance(value, int) for value in self.values):
            raise refusal(node, "a number is needed here, not a token")
        return np.asarray(np.array(self.values, dtype=np.int64)[self.codes])


class Chosen(NamedTuple):
    """One key position per query."""

    keys: Int[np.ndarray, "sequence query"]


class Matches(NamedTuple):
    """Which keys match a query."""

    pattern: Bool[np.ndarray, "sequence query key"]


class Scores(NamedTuple):
    rows: Float[np.ndarray, "sequence position class"]


def _column(node: ast.AST, numbers: Int[np.ndarray, "sequence position"]) -> Column:
    if numbers.size and np.abs(numbers).max() > MOST_SUM:
        raise refusal(node, "a sum grows too large")
    values, codes = np.unique(numbers, return_inverse=True)
    return Column(tuple(values.tolist()), codes.reshape(numbers.shape))


class ProgramText:
    """A program that was read and found to be one. CallError when it is not."""

    def __init__(self, source: str) -> None:
        if len(source) > MOST_SOURCE:
            raise CallError(f"the program has {len(source):,} characters", remedy=f"at most {MOST_SOURCE:,} are read")
        try:
            module = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise CallError(f"the program is not Python ({error})") from None
        for count, _ in enumerate(ast.walk(module)):
            if count > MOST_NODES:
                raise CallError(f"the program has more than {MOST_NODES:,} parts")
        self.functions: dict[str, ScalarFunction] = {}
        self.tables: dict[str, Any] = {}
        self.library: set[str] = set()
        self.causal = False
        self.run: ast.FunctionDef | None = None
        try:
            for k, statement in enumerate(module.body):
                self._read(statement, first=k == 0)
        except RecursionError:
            raise CallError("the program is nested too deeply") from None
        if self.run is None:
            raise CallError("the program has no function run(tokens)")

    def _read(self, statement: ast.stmt, *, first: bool) -> None:
        match statement:
            case ast.Expr(value=ast.Constant(value=str())) if first:
                return
            case ast.FunctionDef(name="run"):
                if [a.arg for a in statement.args.args] != ["tokens"] or not _plain(statement):
                    raise refusal(statement, "run takes tokens and nothing else")
                self.run = statement
            case ast.FunctionDef(name=name) if name in _LIBRARY:
                for causal, text in _LIBRARY[name].items():
                    if _meaning(statement) == text:
                        self.causal |= causal and len(_LIBRARY[name]) > 1
                        break
                else:
                    raise refusal(statement, f"{name} is not the one every program brings along")
                self.library.add(name)
            case ast.FunctionDef(name=name) if _plain(statement):
                self.functions[name] = ScalarFunction(statement)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.tables[name] = constant(value)
            case _:
                raise refusal(statement, f"{type(statement).__name__} is not allowed")

    def outputs(self, symbols: Sequence[Value], codes: Int[np.ndarray, "sequence position"]) -> Column:
        """What `run` returns for a batch of sequences of one length, given as indices into `symbols`. IwbError when it
        fails on one of them."""
        return self.trace(symbols, codes)[0]

    def trace(
        self, symbols: Sequence[Value], codes: Int[np.ndarray, "sequence position"]
    ) -> tuple[Column, dict[str, Column]]:
        """The outputs, and the variables of `run` in the order they got their value."""
        work = _Run(self, Column(tuple(symbols), np.asarray(codes)))
        try:
            returned = work.result()
        except RecursionError:
            raise CallError("the program is nested too deeply") from None
        return returned, {name: value for name, value in work.names.items() if isinstance(value, Column)}


class _Run:
    """One pass through `run`, on one batch."""

    def __init__(self, program: ProgramText, tokens: Column) -> None:
        self.program = program
        self.names: dict[str, Any] = {"tokens": tokens}
        self.sequences = len(tokens.codes)
        self.work = self.cells = 0

    def result(self) -> Column:
        assert self.program.run is not None
        body = self.program.run.body
        if len(body) > MOST_STATEMENTS:
            raise refusal(self.program.run, f"run has more than {MOST_STATEMENTS:,} statements")
        for k, statement in enumerate(body):
            match statement:
                case ast.Expr(value=ast.Constant(value=str())) if k == 0:
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.names[name] = self._value(value)
                case ast.Return(value=ast.expr() as value) if k == len(body) - 1:
                    returned = self._value(value)
                    if not isinstance(returned, Column):
                        raise refusal(statement, "run does not return a list of classes")
                    return returned
                case _:
                    raise refusal(statement, f"{ast.unparse(statement)[:40]} has no meaning here")
        raise refusal(self.program.run, "run returns nothing")

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                if name not in self.names:
                    raise refusal(node, f"{name} has no value")
                return self.names[name]
            case ast.List(elts=elements):
                return [self._value(element) for element in elements]
            case ast.Constant():
                return constant(node)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined(node, self._value(left), self._value(right))
            case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=None)):
                column = self._typed(value, Column)
                codes = column.codes[:, slice(*(None if b is None else _integer(b) for b in (lower, upper)))]
                return Column(column.values, codes)
            case ast.ListComp(elt=element, generators=[ast.comprehension(ifs=[], is_async=0) as loop]):
                return self._comprehension(node, element, loop)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(node, name, arguments)
        raise refusal(node, f"{ast.unparse(node)[:40]} has no meaning here")

    def _typed(self, node: ast.expr, kind: type[Any]) -> Any:
        value = self._value(node)
        if not isinstance(value, kind):
            raise refusal(node, f"{ast.unparse(node)[:40]} is not what belongs here")
        return value

    def _joined(self, node: ast.AST, left: Any, right: Any) -> Column:
        """Two lists one after the other; a list of constants is the same in every sequence."""
        sides = [self._spelled(node, side) if isinstance(side, list) else side for side in (left, right)]
        if not all(isinstance(side, Column) for side in sides):
            raise refusal(node, "only lists are joined")
        values = tuple(dict.fromkeys((*sides[0].values, *sides[1].values)))
        codes = [np.array([values.index(v) for v in s.values], dtype=np.int64)[s.codes] for s in sides if s.values]
        if sum(part.shape[1] for part in codes) > MOST_POSITIONS:
            raise refusal(node, f"a list has more than {MOST_POSITIONS:,} elements")
        return Column(values, np.concatenate(codes, axis=1))

    def _spelled(self, node: ast.AST, constants: list[Any]) -> Column:
        if not all(isinstance(value, (str, int)) for value in constants) or not constants:
            raise refusal(node, "a list holds tokens or numbers")
        return Column(tuple(constants), np.tile(np.arange(len(constants)), (self.sequences, 1)))

    def _comprehension(self, node: ast.AST, element: ast.expr, loop: ast.comprehension) -> Column:
        """`[1 for token in tokens]`, `[f(a) for a in x]`, `[f(a, b) for a, b in zip(x, y)]`."""
        match loop.iter:
            case ast.Call(func=ast.Name(id="zip"), args=over, keywords=[]):
                columns = [self._typed(part, Column) for part in over]
                targets = loop.target.elts if isinstance(loop.target, ast.Tuple) else []
            case _:
                columns, targets = [self._typed(loop.iter, Column)], [loop.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if len(names) != len(columns) or len(set(names)) < len(names):
            raise refusal(node, "the names do not match what is looped over")
        match element:
            case ast.Constant():
                value = constant(element)
                return Column((value,), np.zeros_like(columns[0].codes))
            case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
                given = [argument.id for argument in arguments if isinstance(argument, ast.Name)]
                if len(given) == len(arguments) and set(given) <= set(names):
                    return self._mapped(node, function, [columns[names.index(name)] for name in given])
        raise refusal(node, f"{ast.unparse(element)[:40]} has no meaning here")

    def _count(self, node: ast.AST, combinations: int, function: ScalarFunction) -> None:
        self.work += combinations * function.size
        if self.work > MOST_WORK:
            raise refusal(node, "too many combinations of values")

    def _function(self, node: ast.AST, name: str, arguments: int) -> ScalarFunction:
        function = self.program.functions.get(name)
        if function is None or len(function.parameters) != arguments:
            raise refusal(node, f"there is no function {name} of {arguments} values")
        return function

    def _mapped(self, node: ast.AST, name: str, columns: list[Column]) -> Column:
        function = self._function(node, name, len(columns))
        if len({column.codes.shape for column in columns}) > 1:
            raise refusal(node, "the lists differ in length")
        sizes = [len(column.values) for column in columns]
        if not columns or np.prod([float(size) for size in sizes]) > 2**62:
            raise refusal(node, "too many combinations of values")
        flat = np.ravel_multi_index([column.codes for column in columns], sizes)
        combinations, codes = np.unique(flat, return_inverse=True)
        self._count(node, len(combinations), function)
        found: dict[Any, int] = {}
        answers = []
        for parts in zip(*(part.tolist() for part in np.unravel_index(combinations, sizes))):
            value = function(*(column.values[k] for column, k in zip(columns, parts)))
            answers.append(found.setdefault(value, len(found)))
        return Column(tuple(found), np.array(answers, dtype=np.int64)[codes].reshape(flat.shape))

    def _call(self, node: ast.AST, name: str, arguments: list[ast.expr]) -> Any:
        if name == "list" and len(arguments) == 1:
            match arguments[0]:
                case ast.Call(func=ast.Name(id="range"), args=[ast.Call(func=ast.Name(id="len"), args=[over])]):
                    codes = self._typed(over, Column).codes
                    return Column(tuple(range(codes.shape[1])), np.tile(np.arange(codes.shape[1]), (len(codes), 1)))
        if name not in self.program.library:
            raise refusal(node, f"{name} is not defined")
        match name, arguments:
            case (("select_closest" | "select"), [keys, queries, ast.Name(id=predicate)]):
                matches = self._matches(node, self._typed(keys, Column), self._typed(queries, Column), predicate)
                return Matches(matches) if name == "select" else Chosen(closest(matches))
            case "aggregate", [chosen, values]:
                keys_at, column = self._typed(chosen, Chosen).keys, self._typed(values, Column)
                self._same(node, keys_at.shape == column.codes.shape)
                return Column(column.values, np.take_along_axis(column.codes, keys_at, axis=1))
            case "aggregate_sum", [matching, values]:
                pattern, numbers = self._typed(matching, Matches).pattern, self._typed(values, Column).numbers(node)
                self._same(node, pattern.shape[2] == numbers.shape[1])
                return _column(node, np.einsum("nqk,nk->nq", pattern.astype(np.int64), numbers))
            case "look_up", [ast.Name(id=table), values]:
                return self._looked_up(node, self.program.tables.get(table), self._typed(values, Column))
            case "scale", [ast.Name(id=row), values]:
                numbers = self._typed(values, Column).numbers(node)
                return Scores(numbers[..., None] * self._row(node, self.program.tables.get(row)))
            case "classify", [ast.Name(id=classes), scores]:
                return self._classified(node, self.program.tables.get(classes), self._typed(scores, list))
        raise refusal(node, f"{name} does not take that")

    def _same(self, node: ast.AST, holds: bool) -> None:
        if not holds:
            raise refusal(node, "the lists differ in length")

    def _matches(
        self, node: ast.AST, keys: Column, queries: Column, predicate: str
    ) -> Bool[np.ndarray, "sequence query key"]:
        function = self._function(node, predicate, 2)
        self._same(node, keys.codes.shape == queries.codes.shape)
        self._count(node, len(keys.values) * len(queries.values), function)
        self.cells += keys.codes.size * keys.codes.shape[1]
        if self.cells > MOST_CELLS:
            raise refusal(node, "the matrices of matches take too much memory")
        table = np.array([[bool(function(q, k)) for k in keys.values] for q in queries.values], dtype=bool)
        matches = table[queries.codes[:, :, None], keys.codes[:, None, :]]
        return np.tril(matches) if self.program.causal else matches

    def _looked_up(self, node: ast.AST, table: Any, column: Column) -> Column | Scores:
        if not isinstance(table, dict):
            raise refusal(node, "there is no such table")
        used = np.unique(column.codes).tolist()
        for k in used:
            if column.values[k] not in table:
                raise IwbError(f"the table has no entry {column.values[k]!r}", f"line {getattr(node, 'lineno', 1)}")
        entries = {k: table[column.values[k]] for k in used}
        if all(isinstance(entry, (str, int)) for entry in entries.values()):
            values = tuple(dict.fromkeys(entries.values()))
            codes = np.zeros(len(column.values), dtype=np.int64)
            for k, entry in entries.items():
                codes[k] = values.index(entry)
            return Column(values, codes[column.codes])
        rows = {k: self._row(node, entry) for k, entry in entries.items()}
        width = {len(row) for row in rows.values()}
        self._same(node, len(width) == 1)
        spread = np.zeros((len(column.values), width.pop()))
        for k, row in rows.items():
            spread[k] = row
        return Scores(spread[column.codes])

    def _row(self, node: ast.AST, entry: Any) -> Float[np.ndarray, " class"]:
        if not isinstance(entry, tuple) or not all(isinstance(v, (int, float)) for v in entry) or not entry:
            raise refusal(node, "scores are a tuple of numbers")
        return np.array(entry, dtype=np.float64)

    def _classified(self, node: ast.AST, classes: Any, scores: list[Any]) -> Column:
        if not scores or not all(isinstance(part, Scores) for part in scores) or not isinstance(classes, tuple):
            raise refusal(node, "classify takes the classes and a list of scores")
        self._same(node, len({part.rows.shape for part in scores}) == 1)
        total = scores[0].rows
        for part in scores[1:]:  # in the order of the program, because floating-point sums depend on it
            total = total + part.rows
        self._same(node, total.shape[2] == len(classes))
        return Column(classes, total.argmax(axis=2))


def closest(matches: Bool[np.ndarray, "sequence query key"]) -> Int[np.ndarray, "sequence query"]:
    """What `select_closest` chooses: the nearest match, before rather than after, oneself last, position 0 if none."""
    length = matches.shape[2]
    offset = np.arange(length)[None, :] - np.arange(length)[:, None]
    rank = np.where(offset == 0, 2 * length, 2 * np.abs(offset) + (offset > 0))
    chosen = np.where(matches, rank[None], 4 * length).argmin(axis=2)
    return np.where(matches.any(axis=2), chosen, 0)


def _integer(node: ast.expr) -> int:
    value = constant(node)
    if not isinstance(value, int):
        raise refusal(node, "a position is a number")
    return value


def _plain(function: ast.FunctionDef) -> bool:
    a = function.args
    extras = (a.posonlyargs, a.kwonlyargs, a.vararg, a.kwarg, a.defaults, function.decorator_list)
    return not any(extras)


def _meaning(function: ast.FunctionDef) -> str:
    return ast.dump(function)


_LIBRARY: dict[str, dict[bool, str]] = {}
for _causal in (False, True):
    for _name, _text in library(_causal).items():
        _parsed = ast.parse(_text).body[0]
        assert isinstance(_parsed, ast.FunctionDef)
        if _meaning(_parsed) not in _LIBRARY.setdefault(_name, {}).values():
            _LIBRARY[_name][_causal] = _meaning(_parsed)
