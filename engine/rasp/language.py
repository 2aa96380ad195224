"""The RASP language as Python objects: s-ops, selectors, and the operators that combine them (Weiss et al. 2021; the
semantics follow Tracr, arXiv 2301.05062, section 3).

A program is the s-op it ends in; the nodes behind it form a graph. `==` on an s-op builds a new s-op, so nodes are
hashed and compared by identity (`is`), never by value.
"""

from __future__ import annotations

import ast
import enum
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Self, TypeVar

from engine.rasp.functions import Function, Value, constant
from sessions.errors import CallError

Encoding = Literal["categorical", "numerical"]

MOST_PARTS, DEEPEST = 2_000, 120  # of a predicate that `&`, `|` and `~` made

_ids = itertools.count()


class Comparison(enum.Enum):
    """Reads `key OP query`. None on either side is a ValueError, for TRUE and FALSE too."""

    EQ = "=="
    LT = "<"
    LEQ = "<="
    GT = ">"
    GEQ = ">="
    NEQ = "!="
    TRUE = "true"
    FALSE = "false"

    def __call__(self, key: Value, query: Value) -> bool:
        if key is None:
            raise ValueError("key is None!")
        if query is None:
            raise ValueError("query is None!")
        return bool(_COMPARISONS[self](key, query))


_COMPARISONS: dict[Comparison, Callable[[Value, Value], Value]] = {
    Comparison.EQ: lambda k, q: k == q,
    Comparison.LT: lambda k, q: k < q,
    Comparison.LEQ: lambda k, q: k <= q,
    Comparison.GT: lambda k, q: k > q,
    Comparison.GEQ: lambda k, q: k >= q,
    Comparison.NEQ: lambda k, q: k != q,
    Comparison.TRUE: lambda k, q: True,
    Comparison.FALSE: lambda k, q: False,
}


def _grown(*parts: Predicate) -> tuple[int, int]:
    """Parts and depth of a predicate made of these. CallError when nobody could write, read or call it any more:
    `s = s & s` doubles it every time."""
    sizes = [p.size if isinstance(p, Both | Either | Negated | Baked) else (1, 1) for p in parts]
    size, depth = 1 + sum(s for s, _ in sizes), 1 + max(d for _, d in sizes)
    if size > MOST_PARTS or depth > DEEPEST:
        raise CallError("a selector is combined of too many others", remedy="write its predicate as one function")
    return size, depth


class Both:
    """The predicate of a simplified `&`."""

    __slots__ = ("left", "right", "size")

    def __init__(self, left: Predicate, right: Predicate) -> None:
        self.left, self.right = left, right
        self.size = _grown(left, right)

    def __call__(self, key: Value, query: Value) -> bool:
        return bool(self.left(key, query)) and bool(self.right(key, query))


class Either:
    """The predicate of a simplified `|`."""

    __slots__ = ("left", "right", "size")

    def __init__(self, left: Predicate, right: Predicate) -> None:
        self.left, self.right = left, right
        self.size = _grown(left, right)

    def __call__(self, key: Value, query: Value) -> bool:
        return bool(self.left(key, query)) or bool(self.right(key, query))


class Negated:
    """The predicate of `~select(...)`."""

    __slots__ = ("of", "size")

    def __init__(self, of: Predicate) -> None:
        self.of = of
        self.size = _grown(of)

    def __call__(self, key: Value, query: Value) -> bool:
        return not self.of(key, query)


class Baked:
    """A predicate one or both of whose sides were `full(c)`: the constant stands in for them."""

    __slots__ = ("constants", "of", "size")

    def __init__(self, of: Predicate, constants: dict[Literal["key", "query"], Value]) -> None:
        self.of, self.constants = of, constants
        self.size = _grown(of)

    def __call__(self, key: Value, query: Value) -> bool:
        return bool(self.of(self.constants.get("key", key), self.constants.get("query", query)))


Predicate = Comparison | Function | Both | Either | Negated | Baked


class Node:
    """What s-ops and selectors share: an identity, a name, and inputs. `line`, `column` say where its text stands."""

    default_name = "node"

    def __init__(self, *inputs: Node) -> None:
        self.inputs: tuple[Any, ...] = inputs
        self.id = next(_ids)
        self.name = self.default_name
        self.line = 0  # from 1; 0: made in Python
        self.column = 0

    def named(self, name: str) -> Self:
        """A copy of that name, with an id of its own."""
        copy = self._copy()
        copy.name = name
        return copy

    def _copy(self) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.id = next(_ids)
        return copy

    def __repr__(self) -> str:
        return f"<{self.name} {self.id}>"


class SOp(Node):
    """A sequence operation: one value per position."""

    encoding: Encoding = "categorical"

    __hash__ = object.__hash__

    # -- comparisons take constants only: against another s-op there is no such node (build a selector for that)
    def _compare(self, op: ast.cmpop, other: Any) -> Map:
        if isinstance(other, Node):
            raise TypeError("comparing two s-ops is not an operation; compare with a constant, or use sequence_map")
        return Map(Function.of(("x",), ast.Compare(ast.Name("x", ast.Load()), [op], [constant(other)])), self)

    def __lt__(self, other: Any) -> Map:
        return self._compare(ast.Lt(), other)

    def __le__(self, other: Any) -> Map:
        return self._compare(ast.LtE(), other)

    def __eq__(self, other: Any) -> Map:  # type: ignore[override]
        return self._compare(ast.Eq(), other)

    def __ne__(self, other: Any) -> Map:  # type: ignore[override]
        return self._compare(ast.NotEq(), other)

    def __gt__(self, other: Any) -> Map:
        return self._compare(ast.Gt(), other)

    def __ge__(self, other: Any) -> Map:
        return self._compare(ast.GtE(), other)

    def _combine(self, op: ast.operator | ast.boolop, other: Any, *, reverse: bool = False) -> SOp:
        x: ast.expr = ast.Name("x", ast.Load())
        y: ast.expr = ast.Name("y", ast.Load()) if isinstance(other, SOp) else constant(other)
        if reverse:
            x, y = y, x
        body: ast.expr = ast.BinOp(x, op, y) if isinstance(op, ast.operator) else ast.BoolOp(op, [x, y])
        if isinstance(other, SOp):
            return SequenceMap(Function.of(("x", "y"), body), self, other)
        if isinstance(other, Node):
            raise TypeError("an s-op and a selector cannot be combined")
        return Map(Function.of(("x",), body), self)

    def __add__(self, other: Any) -> SOp:
        return self._combine(ast.Add(), other)

    def __radd__(self, other: Any) -> SOp:
        return self._combine(ast.Add(), other, reverse=True)

    def __sub__(self, other: Any) -> SOp:
        return self._combine(ast.Sub(), other)

    def __rsub__(self, other: Any) -> SOp:
        return self._combine(ast.Sub(), other, reverse=True)

    def __mul__(self, other: Any) -> SOp:
        return self._combine(ast.Mult(), other)

    def __rmul__(self, other: Any) -> SOp:
        return self._combine(ast.Mult(), other, reverse=True)

    def __truediv__(self, other: Any) -> SOp:
        return self._combine(ast.Div(), other)

    def __rtruediv__(self, other: Any) -> SOp:
        return self._combine(ast.Div(), other, reverse=True)

    def __and__(self, other: Any) -> SOp:
        return self._combine(ast.And(), other)

    def __rand__(self, other: Any) -> SOp:
        return self._combine(ast.And(), other, reverse=True)

    def __or__(self, other: Any) -> SOp:
        return self._combine(ast.Or(), other)

    def __ror__(self, other: Any) -> SOp:
        return self._combine(ast.Or(), other, reverse=True)

    def __invert__(self) -> SOp:
        return Map(Function.of(("x",), ast.UnaryOp(ast.Not(), ast.Name("x", ast.Load()))), self)

    def __bool__(self) -> bool:
        raise TypeError("an s-op has no truth value of its own; use &, | and ~")


class Tokens(SOp):
    default_name = "tokens"


class Indices(SOp):
    default_name = "indices"


class Length(SOp):
    """The primitive: evaluates, but cannot be compiled (the library's `length` can)."""

    default_name = "length"


class Full(SOp):
    """A constant at every position. Evaluates; compiles only where it is baked into a predicate."""

    default_name = "full"

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class ConstantSOp(SOp):
    """A sequence that is always the same. Evaluates (on inputs of its length) but does not compile."""

    default_name = "constant"

    def __init__(self, values: Sequence[Value]) -> None:
        super().__init__()
        self.values = tuple(values)


class Map(SOp):
    """f per element; None stays None without calling f. A Map of a Map becomes one Map unless `simplify=False`."""

    default_name = "map"
    f: Function

    def __init__(self, f: Function | Callable[[Value], Value], inner: SOp, *, simplify: bool = True) -> None:
        f = _function(f, 1)
        if simplify and isinstance(inner, Map):
            f, inner = f.after(inner.f), inner.inner
        super().__init__(inner)
        self.f = f

    @property
    def inner(self) -> SOp:
        of: SOp = self.inputs[0]
        return of


class SequenceMap(SOp):
    """f of two s-ops, element by element; None where either is None."""

    default_name = "sequence_map"

    def __init__(self, f: Function | Callable[[Value, Value], Value], first: SOp, second: SOp) -> None:
        super().__init__(first, second)
        self.f = _function(f, 2)
        if first is second:
            warnings.warn("sequence_map of an s-op with itself: a map does the same", stacklevel=2)


class LinearSequenceMap(SOp):
    """a*x + b*y."""

    default_name = "linear_sequence_map"

    def __init__(self, first: SOp, second: SOp, first_factor: float, second_factor: float) -> None:
        super().__init__(first, second)
        self.factors = (first_factor, second_factor)


class Aggregate(SOp):
    """Per query: nothing selected gives `default`; one value that value; several their mean."""

    default_name = "aggregate"

    def __init__(self, selector: Selector, sop: SOp, default: Value = None) -> None:
        super().__init__(selector, sop)
        self.default = default

    @property
    def selector(self) -> Selector:
        of: Selector = self.inputs[0]
        return of

    @property
    def sop(self) -> SOp:
        of: SOp = self.inputs[1]
        return of


class SelectorWidth(SOp):
    """How many keys each query selects."""

    default_name = "selector_width"

    def __init__(self, selector: Selector) -> None:
        super().__init__(selector)

    @property
    def selector(self) -> Selector:
        of: Selector = self.inputs[0]
        return of


class Selector(Node):
    """A boolean matrix per input: rows are queries, columns keys."""

    def __and__(self, other: Selector) -> Selector:
        return _joined(self, other, Both, SelectorAnd)

    def __or__(self, other: Selector) -> Selector:
        return _joined(self, other, Either, SelectorOr)

    def __invert__(self) -> Selector:
        if isinstance(self, Select):
            return Select(self.keys, self.queries, Negated(self.predicate))
        return SelectorNot(self)


class Select(Selector):
    default_name = "select"

    def __init__(self, keys: SOp, queries: SOp, predicate: Predicate | Callable[[Value, Value], Any]) -> None:
        super().__init__(keys, queries)
        if not isinstance(predicate, Predicate):
            predicate = Function.opaque(predicate, getattr(predicate, "__name__", "predicate"), 2)
        self.predicate: Predicate = predicate

    @property
    def keys(self) -> SOp:
        of: SOp = self.inputs[0]
        return of

    @property
    def queries(self) -> SOp:
        of: SOp = self.inputs[1]
        return of


class SelectorAnd(Selector):
    """Two selectors that did not simplify to one: evaluates, but does not compile."""

    default_name = "selector_and"

    def __init__(self, left: Selector, right: Selector) -> None:
        super().__init__(left, right)


class SelectorOr(Selector):
    default_name = "selector_or"

    def __init__(self, left: Selector, right: Selector) -> None:
        super().__init__(left, right)


class SelectorNot(Selector):
    default_name = "selector_not"

    def __init__(self, of: Selector) -> None:
        super().__init__(of)


def _joined(
    left: Selector, right: Selector, predicate: type[Both] | type[Either], composite: type[SelectorAnd | SelectorOr]
) -> Selector:
    """One Select where the operands read the same s-ops, or what they do not share is a `full` constant."""
    if not isinstance(left, Selector) or not isinstance(right, Selector):
        raise TypeError("a selector can be combined with another selector only")
    if isinstance(left, Select) and isinstance(right, Select):
        sides: list[SOp] = []
        baked: tuple[dict[Any, Value], dict[Any, Value]] = ({}, {})
        for role in ("keys", "queries"):
            a, b = getattr(left, role), getattr(right, role)
            side = a
            if a is not b:
                word = "key" if role == "keys" else "query"
                if isinstance(b, Full):
                    baked[1][word] = b.value
                elif isinstance(a, Full):
                    baked[0][word] = a.value
                    side = b
                else:
                    return composite(left, right)
            sides.append(side)
        parts = [Baked(s.predicate, c) if c else s.predicate for s, c in zip((left, right), baked)]
        return Select(sides[0], sides[1], predicate(parts[0], parts[1]))
    return composite(left, right)


def _function(f: Function | Callable[..., Value], arity: int) -> Function:
    if isinstance(f, Function):
        return f
    return Function.opaque(f, getattr(f, "__name__", "function"), arity)


tokens = Tokens()
indices = Indices()
length = Length()


S = TypeVar("S", bound=SOp)


def numerical(sop: S) -> S:
    """A copy held as a number in one residual direction."""
    copy = sop._copy()
    copy.encoding = "numerical"
    return copy


def categorical(sop: S) -> S:
    """A copy held one-hot, one residual direction per value."""
    copy = sop._copy()
    copy.encoding = "categorical"
    return copy


def nodes(program: Node) -> list[Node]:
    """Every node behind `program` once, inputs before what reads them; the order depends on the graph alone."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, Iterator[Node]]] = [(program, iter(program.inputs))]
    seen.add(id(program))
    while stack:
        node, rest = stack[-1]
        for child in rest:
            if id(child) not in seen:
                seen.add(id(child))
                stack.append((child, iter(child.inputs)))
                break
        else:
            stack.pop()
            order.append(node)
    return order


def labels(program: Node) -> dict[Node, str]:
    """A label for every node: its name and a number, counted breadth first from the output (`hist_1`). The inputs
    `tokens` and `indices` keep their bare names while they are the only ones of theirs."""
    found: dict[Node, str] = {}
    taken: set[str] = set()
    queue: list[Node] = [program]
    number = 0
    for node in queue:
        if node in found:
            continue
        if isinstance(node, Tokens | Indices) and node.name not in taken:
            found[node] = node.name
        else:
            number += 1
            found[node] = f"{node.name}_{number}"
        taken.add(found[node])
        queue.extend(node.inputs)
    return found
