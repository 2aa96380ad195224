"""A program's one loop as a transition: what it reads, what it carries from turn to turn, where that starts, its body.

Anything that a proof about the loop's body would not be about (another loop, a changed table, another list returned) is
refused here.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.synthesis.programs.evaluator import parse
from sessions.errors import IwbError

Table = dict[tuple[int, ...], Any]  # key -> a number or a tuple of numbers


class NotCoveredError(Exception):
    """The program uses something that the proofs do not cover; the message says what."""


class Transition(NamedTuple):
    """`inputs`: the loop's variables. `start`: the variables that are carried, with their values before the loop.
    `output`: the list that is appended to and returned."""

    source: str
    inputs: tuple[str, ...]
    start: dict[str, int]
    tables: dict[str, Table]
    body: tuple[ast.stmt, ...]
    output: str

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
    tables: dict[str, Table] = {}
    lists: list[str] = []
    loop: ast.For | None = None
    for statement in function.body[:-1]:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
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
    match function.body[-1]:
        case ast.Return(value=ast.Name(id=name)) if name == lists[0]:
            pass
        case _:
            raise NotCoveredError("it does not end by returning the list that the loop appends to")
    arguments = [argument.arg for argument in function.args.args]
    inputs = _read(loop, arguments)
    given = [*arguments, *start, *tables, *lists]
    changed = {node.id for node in ast.walk(loop) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if len(set(given)) < len(given) or changed & {*arguments, *tables, *lists}:
        raise NotCoveredError("one name stands for two things")
    return Transition(source, inputs, start, tables, tuple(loop.body), lists[0])


def _read(loop: ast.For, arguments: Sequence[str]) -> tuple[str, ...]:
    """The loop's variables, one per argument, in their order."""
    match loop.target, loop.iter:
        case ast.Name(id=name), ast.Name(id=over) if [over] == arguments:
            return (name,)
        case ast.Tuple(elts=targets), ast.Call(func=ast.Name(id="zip"), args=over) if [
            ast.unparse(one) for one in over
        ] == arguments and len(targets) == len(over):
            names = tuple(target.id for target in targets if isinstance(target, ast.Name))
            if len(set(names)) == len(targets):
                return names
    raise NotCoveredError("its loop does not run over its inputs, in their order")


def _begin(
    target: ast.expr, value: ast.expr, start: dict[str, int], tables: dict[str, Table], lists: list[str]
) -> None:
    match target, value:
        case ast.Tuple(elts=names), ast.Tuple(elts=values) if len(names) == len(values):
            for one, other in zip(names, values):
                _begin(one, other, start, tables, lists)
        case ast.Name(id=name), ast.List(elts=[]):
            lists.append(name)
        case ast.Name(id=name), ast.Dict() | ast.Tuple():
            tables[name] = _table(name, value)
        case ast.Name(id=name), _:
            try:
                start[name] = int(ast.literal_eval(value))
            except (ValueError, TypeError):
                raise NotCoveredError(f"{name} starts with more than a number") from None
        case _:
            raise NotCoveredError("a start is neither a number, a table nor an empty list")


def _table(name: str, value: ast.expr) -> Table:
    """Entries by key. NotCoveredError unless keys are alike and entries are alike: numbers, or tuples of them."""
    try:
        read = ast.literal_eval(value)
    except (ValueError, TypeError):
        raise NotCoveredError(f"the table {name} holds more than numbers") from None
    pairs = read.items() if isinstance(read, dict) else enumerate(read)
    table = {key if isinstance(key, tuple) else (key,): entry for key, entry in pairs}
    parts = [part for entry in table.values() for part in (entry if isinstance(entry, tuple) else (entry,))]
    sizes = {len(key) for key in table}
    widths = {len(entry) if isinstance(entry, tuple) else 0 for entry in table.values()}
    if not all(isinstance(part, int) for key in table for part in key) or not all(isinstance(p, int) for p in parts):
        raise NotCoveredError(f"the table {name} holds more than numbers")
    if len(sizes) != 1 or len(widths) != 1:
        raise NotCoveredError(f"the entries of the table {name} are not alike")
    return table
