"""Functions of values: what `map` and `sequence_map` apply to every element. They are text first, so a program can be
printed, stored and compared; the text is a Python expression of a small kind, interpreted and never executed."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from sessions.errors import CallError

Value = Any  # None, int, float, str, bool, or a tuple of those: hashable, compared as Python compares
Step = Callable[[tuple[Value, ...]], Value]

MOST_REPEATED = 100_000  # characters or items that a repetition ('a' * 3) may give
MOST_BITS = 10_000  # of a whole number
MOST_PARTS = 10_000  # of a tuple, those of the tuples in it and the characters of its words counted too
MOST_STEPS = 5_000  # parts of a function's text


def _times(x: Value, y: Value) -> Value:
    for of, count in ((x, y), (y, x)):
        if isinstance(of, str | tuple) and isinstance(count, int) and len(of) * count > MOST_REPEATED:
            raise ValueError(f"a repetition of {len(of) * count:,} items is too long")
    return _bounded(x * y)


def _plus(x: Value, y: Value) -> Value:
    return _bounded(x + y)


def _rounded(*values: Value) -> Value:
    """(Python takes 10 to the power of the places, whatever they are.)"""
    if len(values) > 1 and isinstance(values[1], int) and abs(values[1]) > 400:
        raise ValueError(f"a number cannot be rounded to {values[1]:,} places")
    return round(*values)


def _bounded(value: Value) -> Value:
    """The value, unless it is one that grows with every step until nothing holds it. ValueError then."""
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise ValueError("the number is too large")
    elif isinstance(value, str):
        if len(value) > MOST_REPEATED:
            raise ValueError(f"a word of {len(value):,} characters is too long")
    elif isinstance(value, tuple):
        _count(value, 0)
    return value


def _count(value: tuple[Value, ...], so_far: int) -> int:
    """How many parts a tuple has. Parts that are one object count as often as they are met: hashing meets them all."""
    so_far += len(value)
    for item in value:
        if so_far > MOST_PARTS:
            raise ValueError(f"a tuple of more than {MOST_PARTS:,} parts is too long")
        if isinstance(item, tuple):
            so_far = _count(item, so_far)
        elif isinstance(item, str):
            so_far += len(item)
    return so_far


def _remainder(x: Value, y: Value) -> Value:
    if isinstance(x, str):  # for Python a format, with whatever width it asks for
        raise TypeError("a string has no remainder")
    return x % y


_BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: _plus,
    ast.Sub: operator.sub,
    ast.Mult: _times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _remainder,
}
_UNARY: dict[type[ast.unaryop], Callable[[Value], Value]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], Value]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, of: item in of,
    ast.NotIn: lambda item, of: item not in of,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
CALLS: dict[str, Callable[..., Value]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "abs": abs,
    "min": min,
    "max": max,
    "round": _rounded,
    "len": len,
}


class Function:
    """A pure function of one or two values. Equal when the texts are; parameters are named x, y (key, query).

    `Function.parse("lambda a: a + 1")` reads one; `Function.opaque(f, "name", 1)` wraps a Python callable, which works
    everywhere but cannot be read back from its text.
    """

    __slots__ = ("_call", "body", "parameters", "text")

    def __init__(self, parameters: tuple[str, ...], body: ast.expr | None, call: Step, text: str) -> None:
        self.parameters = parameters
        self.body = body  # None: opaque
        self._call = call
        self.text = text  # canonical: "lambda x: x + 1"

    @classmethod
    def of(cls, names: Sequence[str], body: ast.expr, *, parameters: Sequence[str] | None = None) -> Function:
        """From an expression over `names`, renamed to `parameters` (default: x, y). CallError when the expression
        holds anything but names, constants, arithmetic, comparisons, tuples, indexing and a few calls."""
        if parameters is None:
            parameters = ("x", "y", "z")[: len(names)] if len(names) <= 3 else tuple(names)
        renamed = _rename(body, dict(zip(names, parameters, strict=True)))
        call = _closure(renamed, tuple(parameters))
        return cls(tuple(parameters), renamed, call, f"lambda {', '.join(parameters)}: {ast.unparse(renamed)}")

    @classmethod
    def parse(cls, text: str, *, parameters: Sequence[str] | None = None) -> Function:
        """From `lambda a, b: ...`. CallError says what is wrong."""
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise CallError(f"'{text}' is not a function ({error.msg})", remedy="write lambda x: x + 1") from None
        if not isinstance(tree, ast.Lambda):
            raise CallError(f"'{text}' is not a function", remedy="write lambda x: x + 1")
        return cls.of([a.arg for a in tree.args.args], tree.body, parameters=parameters)

    @classmethod
    def opaque(cls, function: Callable[..., Value], name: str, arity: int) -> Function:
        return cls(("x", "y", "z")[:arity], None, lambda values: function(*values), f"<{name}>")

    @property
    def arity(self) -> int:
        return len(self.parameters)

    def __call__(self, *values: Value) -> Value:
        return self._call(values)

    def after(self, inner: Function) -> Function:
        """self o inner, for a `self` of one parameter (Map(f, Map(g, x)) is Map(f.g, x))."""
        if self.body is None or inner.body is None:
            outer_call, inner_call = self._call, inner._call
            name = f"{self.text.strip('<>')} of {inner.text.strip('<>')}"
            return Function(inner.parameters, None, lambda values: outer_call((inner_call(values),)), f"<{name}>")
        uses = sum(isinstance(part, ast.Name) and part.id == self.parameters[0] for part in ast.walk(self.body))
        if _size(self.body) + uses * _size(inner.body) > MOST_STEPS:
            raise CallError(
                "the maps of maps are one function, which grows too large",
                remedy="keep them apart with map(f, x, simplify=False)",
            )
        return Function.of(
            inner.parameters, _rename(self.body, {self.parameters[0]: inner.body}), parameters=inner.parameters
        )

    def swapped(self) -> Function:
        """f(y, x) as a function of x, y."""
        x, y = self.parameters
        if self.body is None:
            call = self._call
            return Function(self.parameters, None, lambda v: call((v[1], v[0])), f"<{self.text.strip('<>')} swapped>")
        return Function.of((y, x), self.body, parameters=self.parameters)

    def diagonal(self) -> Function:
        """v -> f(v, v)."""
        x, y = self.parameters
        if self.body is None:
            call = self._call
            return Function((x,), None, lambda v: call((v[0], v[0])), f"<{self.text.strip('<>')} of itself twice>")
        return Function.of((x,), _rename(self.body, {y: x}), parameters=("x",))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Function):
            return NotImplemented
        return self is other or (self.text == other.text and self.body is not None and other.body is not None)

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes a function travels as its text."""
        if self.body is None:
            raise CallError(f"the function {self.text} is Python's own", remedy="build it with Function.parse")
        return _again, (self.text, self.parameters)


def _size(body: ast.expr) -> int:
    return sum(1 for _ in ast.walk(body))


@functools.lru_cache(maxsize=10_000)
def _again(text: str, parameters: tuple[str, ...]) -> Function:
    return Function.parse(text, parameters=parameters)


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, str | ast.expr]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        to = self.names.get(node.id)
        if to is None:
            return ast.Name(node.id, ast.Load())
        return ast.Name(to, ast.Load()) if isinstance(to, str) else to


def _rename(body: ast.expr, names: dict[str, Any]) -> ast.expr:
    import copy

    renamed = _Renamed(names).visit(copy.deepcopy(body))
    assert isinstance(renamed, ast.expr)
    return renamed


def constant(value: Value) -> ast.expr:
    """The expression that is this value. A negative number is written as the parser would read it."""
    if isinstance(value, tuple):
        return ast.Tuple([constant(item) for item in value], ast.Load())
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def _closure(node: ast.expr, parameters: tuple[str, ...]) -> Step:
    """The expression as nested Python closures over a tuple of arguments."""

    def build(e: ast.expr) -> Step:
        match e:
            case ast.Constant(value=v) if v is None or isinstance(v, bool | int | float | str):
                return lambda a: v
            case ast.Name(id=name) if name in parameters:
                at = parameters.index(name)
                return lambda a: a[at]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                f, x, y = _BINARY[type(op)], build(left), build(right)
                return lambda a: f(x(a), y(a))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                g, x = _UNARY[type(op)], build(operand)
                return lambda a: g(x(a))
            case ast.BoolOp(op=ast.And(), values=values):
                return _and([build(v) for v in values])
            case ast.BoolOp(op=ast.Or(), values=values):
                return _or([build(v) for v in values])
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
                return _chain(build(left), [_COMPARE[type(op)] for op in ops], [build(o) for o in others])
            case ast.IfExp(test=test, body=then, orelse=other):
                t, x, y = build(test), build(then), build(other)
                return lambda a: x(a) if t(a) else y(a)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in CALLS:
                h, parts = CALLS[name], [build(arg) for arg in args]
                return lambda a: h(*(part(a) for part in parts))
            case ast.Tuple(elts=elts):
                items = [build(item) for item in elts]
                return lambda a: _bounded(tuple(item(a) for item in items))
            case ast.Dict(keys=keys, values=values) if all(k is not None for k in keys):
                # A lookup table, as the decompiler writes one: {0: 'a', 1: 'b'}[x]
                pairs = [(build(k), build(v)) for k, v in zip(keys, values) if k is not None]
                try:
                    table = {key(()): value(()) for key, value in pairs}
                except IndexError:  # a parameter, and there are none
                    raise CallError(f"the table '{ast.unparse(e)}' is not made of constants") from None
                return lambda a: table
            case ast.Subscript(value=of, slice=index):
                return _at(build(of), build(index))
            case _:
                raise CallError(
                    f"'{ast.unparse(e)}' cannot be used in a function",
                    remedy=f"use {', '.join(parameters)}, constants, arithmetic, comparisons, and/or/not, if/else, "
                    f"tuples, tables and {', '.join(CALLS)}",
                )

    return build(node)


def _at(of: Step, index: Step) -> Step:
    def call(a: tuple[Value, ...]) -> Value:
        table, at = of(a), index(a)
        try:
            return table[at]
        except LookupError:
            raise ValueError(f"there is nothing at {at!r}") from None

    return call


def _and(parts: list[Step]) -> Step:
    def call(a: tuple[Value, ...]) -> Value:
        value = None
        for part in parts:
            value = part(a)
            if not value:
                return value
        return value

    return call


def _or(parts: list[Step]) -> Step:
    def call(a: tuple[Value, ...]) -> Value:
        value = None
        for part in parts:
            value = part(a)
            if value:
                return value
        return value

    return call


def _chain(first: Step, tests: list[Callable[[Value, Value], Value]], others: list[Step]) -> Step:
    if len(tests) == 1:
        test, other = tests[0], others[0]
        return lambda a: test(first(a), other(a))

    def call(a: tuple[Value, ...]) -> Value:
        left = first(a)
        value: Value = True
        for test, other in zip(tests, others):
            right = other(a)
            value = test(left, right)
            if not value:
                return value
            left = right
        return value

    return call
