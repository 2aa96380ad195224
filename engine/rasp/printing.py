"""Programs as text that `syntax.parse` reads back: one node per line, inputs before what reads them."""

from __future__ import annotations

import ast
import keyword
import math

from engine.rasp.functions import Function, Value, constant
from engine.rasp.language import (
    Aggregate,
    Baked,
    Both,
    Comparison,
    ConstantSOp,
    Either,
    Full,
    Indices,
    Length,
    LinearSequenceMap,
    Map,
    Negated,
    Node,
    Predicate,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    labels,
    nodes,
)
from engine.rasp.words import CALLS, COMPARISONS, PREDICATES
from sessions.errors import CallError

_RESERVED = {*CALLS, *COMPARISONS, *PREDICATES, "tokens", "indices", "rasp", "Comparison"}


def to_text(program: SOp) -> str:
    """The program, one node per line. CallError when it holds a function that has no text (a Python callable)."""
    order = nodes(program)
    names = _labels(program)
    written: dict[Node, str] = {}
    taken: set[str] = set()
    lines: list[str] = []
    if any(isinstance(n, Length) and _plain(n) for n in order):
        taken.add("length")
    for node in order:
        if isinstance(node, Tokens | Indices | Length) and _plain(node):
            written[node] = node.default_name
            continue
        variable = _variable(node, names[node], taken)
        taken.add(variable)
        try:
            text = _expression(node, [written[of] for of in node.inputs])
        except CallError as error:
            raise CallError(f"'{names[node]}' cannot be written as text: {error.what}", "", error.remedy) from None
        implied = node.default_name if variable == _numbered(node, variable) else variable
        if isinstance(node, SOp) and node.encoding == "numerical":
            text = f"numerical({text})"
        if node.name != implied or isinstance(node, Tokens | Indices | Length):
            text += f".named({node.name!r})"
        lines.append(f"{variable} = {text}")
        written[node] = variable
    if _plain(program) and isinstance(program, Tokens | Indices | Length):
        lines.append(written[program])
    return "\n".join(lines) + "\n"


def same_program(a: Node, b: Node) -> bool:
    """Whether two programs are one structurally: the same graph (shared nodes shared alike) of the same operations,
    names and encodings. All nodes that are `tokens` count as one, and so for `indices` and `length`."""
    pairs: dict[Node, Node] = {}
    back: dict[Node, Node] = {}
    stack: list[tuple[Node, Node]] = [(a, b)]
    while stack:
        x, y = stack.pop()
        if isinstance(x, Tokens | Indices | Length) and _plain(x):
            if type(x) is not type(y) or not _plain(y):
                return False
            continue
        if x in pairs or y in back:
            if pairs.get(x) is not y or back.get(y) is not x:
                return False
            continue
        pairs[x], back[y] = y, x
        if not _alike(x, y) or len(x.inputs) != len(y.inputs):
            return False
        stack.extend(zip(x.inputs, y.inputs))
    return True


def _alike(x: Node, y: Node) -> bool:
    if type(x) is not type(y) or x.name != y.name:
        return False
    if isinstance(x, SOp) and isinstance(y, SOp) and x.encoding != y.encoding:
        return False
    match x, y:
        case Map(), Map():
            return _same_function(x.f, y.f)
        case SequenceMap(), SequenceMap():
            return _same_function(x.f, y.f)
        case Select(), Select():
            return _same_predicate(x.predicate, y.predicate)
        case Full(), Full():
            return _same_value(x.value, y.value)
        case ConstantSOp(), ConstantSOp():
            return _same_value(x.values, y.values)
        case Aggregate(), Aggregate():
            return _same_value(x.default, y.default)
        case LinearSequenceMap(), LinearSequenceMap():
            return _same_value(x.factors, y.factors)
    return True


def _same_function(f: Function, g: Function) -> bool:
    return f == g or (f.body is not None and g.body is not None and _canonical(f) == _canonical(g))


def _canonical(f: Function) -> str:
    """Its text with the parameters that the parser gives it."""
    assert f.body is not None
    return Function.parse(f.text).text


def _same_predicate(p: Predicate, q: Predicate) -> bool:
    match p, q:
        case Function(), Function():
            return _same_function(p, q)
        case Both(left=a, right=b), Both(left=c, right=d):
            return _same_predicate(a, c) and _same_predicate(b, d)
        case Either(left=a, right=b), Either(left=c, right=d):
            return _same_predicate(a, c) and _same_predicate(b, d)
        case Negated(), Negated():
            return _same_predicate(p.of, q.of)
        case Baked(), Baked():
            same = p.constants.keys() == q.constants.keys() and _same_predicate(p.of, q.of)
            return same and all(_same_value(p.constants[k], q.constants[k]) for k in p.constants)
        case Comparison(), Comparison():
            return p is q
    return False


def _same_value(v: Value, w: Value) -> bool:
    """Equal and of one type: 1, 1.0 and True are three values."""
    if isinstance(v, tuple) and isinstance(w, tuple):
        return len(v) == len(w) and all(_same_value(a, b) for a, b in zip(v, w))
    return type(v) is type(w) and (v == w or (v != v and w != w))


def _plain(node: Node) -> bool:
    return node.name == node.default_name and isinstance(node, SOp) and node.encoding == "categorical"


def _labels(program: Node) -> dict[Node, str]:
    """`language.labels`, all nodes that are the same source counted once, as the parser makes one of them."""
    names = labels(program)
    sources = [n for n in names if isinstance(n, Tokens | Indices | Length) and _plain(n)]
    if len({type(n) for n in sources}) == len(sources):
        return names
    found: dict[Node, str] = {}
    seen: set[object] = set()
    queue: list[Node] = [program]
    number = 0
    for node in queue:
        plain = isinstance(node, Tokens | Indices | Length) and _plain(node)
        key: object = type(node) if plain else node
        if key in seen:
            continue
        seen.add(key)
        if isinstance(node, Tokens | Indices) and plain:
            found[node] = node.name
        else:
            number += 1
            found[node] = f"{node.name}_{number}"
        queue.extend(node.inputs)
    return found


def _variable(node: Node, label: str, taken: set[str]) -> str:
    """The node's name where it can be one, else a label such as `map_3`."""
    name = node.name
    if name == node.default_name:
        name = label  # map_3: the parser takes no name from it
    elif not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or name in _RESERVED:
        name = "s_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
    found, number = name, 1
    while found in taken or found in _RESERVED:
        number += 1
        found = f"{name}_{number}"
    return found


def _numbered(node: Node, variable: str) -> str:
    """`variable` itself where the parser takes no name from it, else nothing."""
    rest = variable.removeprefix(node.default_name + "_")
    return variable if rest != variable and rest.isdecimal() else ""


def _expression(node: Node, args: list[str]) -> str:
    match node:
        case Tokens() | Indices() | Length():
            return node.default_name
        case Full():
            return f"full({_value(node.value)})"
        case ConstantSOp():
            return f"constant([{', '.join(map(_value, node.values))}])"
        case Map():
            kept = ", simplify=False" if isinstance(node.inner, Map) else ""
            return f"map({_function(node.f)}, {args[0]}{kept})"
        case SequenceMap():
            return f"sequence_map({_function(node.f)}, {args[0]}, {args[1]})"
        case LinearSequenceMap():
            a, b = node.factors
            return f"linear_sequence_map({args[0]}, {args[1]}, {_value(a)}, {_value(b)})"
        case Select():
            return f"select({args[0]}, {args[1]}, {_predicate(node.predicate)})"
        case Aggregate():
            default = "" if node.default is None else f", default={_value(node.default)}"
            return f"aggregate({args[0]}, {args[1]}{default})"
        case SelectorWidth():
            return f"selector_width({args[0]})"
        case SelectorAnd():
            return f"selector_and({args[0]}, {args[1]})"
        case SelectorOr():
            return f"selector_or({args[0]}, {args[1]})"
        case SelectorNot():
            return f"selector_not({args[0]})"
    raise CallError(f"a {type(node).__name__} has no text")


def _predicate(predicate: Predicate) -> str:
    match predicate:
        case Comparison():
            return predicate.value
        case Function():
            return _function(predicate, ("key", "query"))
        case Both():
            return f"both({_predicate(predicate.left)}, {_predicate(predicate.right)})"
        case Either():
            return f"either({_predicate(predicate.left)}, {_predicate(predicate.right)})"
        case Negated():
            return f"negated({_predicate(predicate.of)})"
        case Baked():
            constants = "".join(f", {k}={_value(v)}" for k, v in predicate.constants.items())
            return f"baked({_predicate(predicate.of)}{constants})"


def _function(f: Function, parameters: tuple[str, ...] | None = None) -> str:
    if f.body is None:
        raise CallError(
            f"the function {f.text} is Python's own", remedy="build it with Function.parse('lambda x: ...')"
        )
    _check_finite(f.body)
    return f.text if parameters is None else Function.of(f.parameters, f.body, parameters=parameters).text


def _check_finite(body: ast.expr) -> None:
    for part in ast.walk(body):
        if isinstance(part, ast.Constant) and isinstance(part.value, float) and math.isnan(part.value):
            raise CallError("it holds a nan")


def _value(value: Value) -> str:
    body = constant(value)
    _check_finite(body)
    return ast.unparse(body)
