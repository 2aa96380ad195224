"""Functions and predicates as RASP text writes them: arguments of map, sequence_map and select."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from typing import Any

from engine.rasp import functions
from engine.rasp.functions import Function, Value
from engine.rasp.language import Baked, Comparison, Negated, Predicate
from engine.rasp.names import Names
from engine.rasp.places import excerpt
from engine.rasp.words import COMPARISONS, JOINED, PREDICATES, SOURCES
from sessions.errors import CallError, nearest


def function(e: ast.expr, arity: int, of: str, names: Names) -> Function:
    """The function of `arity` values that `e` writes, an argument of the operation `of`."""
    example = "lambda x: x + 1" if arity == 1 else "lambda x, y: x * y"
    parameters = ("x", "y")[:arity]
    if isinstance(e, ast.Name) and e.id in functions.CALLS and e.id not in names.nodes:
        return Function.of(
            parameters, ast.Call(ast.Name(e.id, ast.Load()), [ast.Name(n, ast.Load()) for n in parameters], [])
        )
    if not isinstance(e, ast.Lambda):
        raise names.error(
            e, f"the first argument of {of} is a function, and '{excerpt(e)}' is none", f"write {example}"
        )
    return _lambda(e, arity, of, example, names)


def _lambda(e: ast.Lambda, arity: int, of: str, example: str, names: Names) -> Function:
    a = e.args
    if a.vararg or a.kwarg or a.kwonlyargs or a.defaults or a.posonlyargs:
        raise names.error(e, "a function takes plain parameters", f"write {example}")
    parameters = [p.arg for p in a.args]
    if len(parameters) != arity:
        many = "one value" if arity == 1 else "two values"
        raise names.error(e, f"the function of {of} takes {many}, not {len(parameters)}", f"write {example}")
    body = copy.deepcopy(e.body)
    if names.constants:
        body = _Constants({k: v for k, v in names.constants.items() if k not in parameters}).visit(body)
    called = {id(c.func) for c in ast.walk(body) if isinstance(c, ast.Call)}
    for part in ast.walk(body):
        if isinstance(part, ast.Name) and part.id not in parameters and id(part) not in called:
            if part.id in names.nodes or part.id in SOURCES:
                raise names.error(
                    part,
                    f"'{part.id}' is an s-op, and a function sees single values",
                    "use sequence_map for two s-ops",
                )
            raise names.error(part, f"'{part.id}' is not defined in the function", nearest(part.id, parameters))
        if isinstance(part, ast.Call) and not (isinstance(part.func, ast.Name) and part.func.id in functions.CALLS):
            raise names.error(
                part.func,
                f"'{excerpt(part.func)}' cannot be called in a function",
                nearest(excerpt(part.func), functions.CALLS),
            )
    try:
        return Function.of(parameters, body)
    except CallError as error:
        raise names.error(e, error.what, error.remedy) from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise names.error(e, f"the function cannot be used ({error})") from None


def predicate(e: ast.expr, names: Names, value_of: Callable[[ast.expr], Value]) -> Predicate:
    """The predicate that `e` writes, the last argument of select. `value_of` reads the constants in it."""
    match e:
        case ast.Name(id=name) if name in COMPARISONS and name not in names.nodes:
            return COMPARISONS[name]
        case ast.Attribute(
            value=ast.Name(id="Comparison") | ast.Attribute(value=ast.Name(id="rasp"), attr="Comparison"), attr=name
        ):
            if name not in Comparison.__members__:
                raise names.error(e, f"'{name}' is not a comparison", nearest(name, Comparison.__members__))
            return Comparison[name]
        case ast.Constant(value=bool(value)):
            return Comparison.TRUE if value else Comparison.FALSE
        case ast.Constant(value=str(sign)) if sign in [c.value for c in Comparison]:
            return Comparison(sign)
        case ast.Lambda():
            return _lambda(e, 2, "select", "lambda key, query: key == query", names)
        case ast.Call(func=ast.Name(id=name), args=args) if name in PREDICATES:
            return _joined_predicate(e, name, args, names, value_of)
        case ast.Name(id=name) if name not in names.nodes and name not in SOURCES:
            raise names.error(e, f"'{name}' is not a comparison", nearest(name, [c.value for c in Comparison]))
        case _:
            raise names.error(
                e,
                f"the last argument of select is a comparison, and '{excerpt(e)}' is none",
                "write one of ==, !=, <, <=, >, >=, true, false, or lambda key, query: ...",
            )


def _joined_predicate(
    e: ast.Call, name: str, args: list[ast.expr], names: Names, value_of: Callable[[ast.expr], Value]
) -> Predicate:
    wanted = 2 if name in JOINED else 1
    if len(args) != wanted or (e.keywords and name != "baked"):
        raise names.error(e, f"{name} takes {wanted} predicate{'s' * (wanted > 1)}", f"write {name}(==, <)")
    parts = [predicate(a, names, value_of) for a in args]
    if name in JOINED:
        return JOINED[name](*parts)
    if name == "negated":
        return Negated(parts[0])
    constants: dict[Any, Value] = {}
    for keyword in e.keywords:
        if keyword.arg not in ("key", "query"):
            raise names.error(keyword, f"baked has no argument '{keyword.arg}'", "write baked(==, key=1)")
        constants[keyword.arg] = value_of(keyword.value)
    return Baked(parts[0], constants)


class _Constants(ast.NodeTransformer):
    """Named constants put in their places."""

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return functions.constant(self.values[node.id]) if node.id in self.values else node
