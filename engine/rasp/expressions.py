"""Expressions of RASP text, as `ast` gives them, made into nodes of the language."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Sequence
from typing import Any

from engine.rasp import functions
from engine.rasp.functions import Function, Value
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
    Selector,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    categorical,
    numerical,
)
from sessions.errors import CallError, nearest

SOURCES: dict[str, type[SOp]] = {"tokens": Tokens, "indices": Indices, "length": Length}
COMPARISONS: dict[str, Comparison] = {
    "ǂǂ": Comparison.EQ,
    "ǀ": Comparison.LT,
    "ǀǂ": Comparison.LEQ,
    "ǁ": Comparison.GT,
    "ǁǂ": Comparison.GEQ,
    "ǃǂ": Comparison.NEQ,
    "true": Comparison.TRUE,
    "false": Comparison.FALSE,
} | {c.name: c for c in Comparison}
JOINED: dict[str, type[Both] | type[Either]] = {"both": Both, "either": Either}

# Parameters in order; a value says that the argument may be left out.
CALLS: dict[str, tuple[str, ...]] = {
    "select": ("keys", "queries", "predicate"),
    "aggregate": ("selector", "sop", "default="),
    "selector_width": ("selector",),
    "map": ("f", "sop", "simplify="),
    "sequence_map": ("f", "first", "second"),
    "linear_sequence_map": ("first", "second", "first_factor", "second_factor"),
    "full": ("value",),
    "constant": ("values",),
    "numerical": ("sop",),
    "categorical": ("sop",),
    "selector_and": ("left", "right"),
    "selector_or": ("left", "right"),
    "selector_not": ("selector",),
}
LISTINGS: dict[str, str] = {
    "Select": "select",
    "Aggregate": "aggregate",
    "SelectorWidth": "selector_width",
    "Map": "map",
    "SequenceMap": "sequence_map",
    "LinearSequenceMap": "linear_sequence_map",
    "Full": "full",
    "ConstantSOp": "constant",
    "SelectorAnd": "selector_and",
    "SelectorOr": "selector_or",
    "SelectorNot": "selector_not",
}
PREDICATES = ("both", "either", "negated", "baked")
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
_MAPPED = {ast.Mod: "%", ast.FloorDiv: "//", ast.Pow: "**", ast.BitXor: "^"}
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_REFLECTED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class Place:
    """Where a piece of `ast` stands in the text, in characters from 1 (Python counts bytes from 0)."""

    def __init__(self, lines: list[str], indent: int) -> None:
        self.lines, self.indent = lines, indent

    def of(self, at: ast.AST) -> tuple[int, int, int]:
        """line, column, length (to the end of the line, where it runs over several)."""
        line: int = getattr(at, "lineno", 1)
        start = self._characters(line, getattr(at, "col_offset", 0))
        stop = len(self.lines[line - 1])
        if getattr(at, "end_lineno", line) == line:
            stop = self._characters(line, getattr(at, "end_col_offset", 0))
        return line, start + 1 + self.indent, max(stop - start, 1)

    def _characters(self, line: int, bytes_before: int) -> int:
        if self.lines[line - 1].isascii():  # known without looking; a line may be long and hold many statements
            return bytes_before
        return len(self.lines[line - 1].encode()[:bytes_before].decode(errors="ignore"))


Problem = Callable[..., CallError]


class Reader:
    """Keeps the names that were assigned. `problem(place, ast node, what, remedy)` makes the error to raise."""

    def __init__(self, place: Place, problem: Problem) -> None:
        self.place = place
        self._problem = problem
        self.nodes: dict[str, Node] = {}
        self.constants: dict[str, Value] = {}
        self._sources: dict[str, SOp] = {}
        self._named: set[Node] = set()  # by .named(...): an assignment does not rename them

    # -- statements

    def assign(self, target: ast.Name, value: ast.expr) -> Node | None:
        """`target = value`. None for a constant."""
        name = target.id
        if name in CALLS or name in COMPARISONS or name in ("tokens", "indices", "rasp"):
            raise self.error(target, f"'{name}' has a meaning of its own", "choose another name")
        made = self.read(value)
        if not isinstance(made, Node):
            self.constants[name] = made
            self.nodes.pop(name, None)
            return None
        if not isinstance(value, ast.Name | ast.Attribute) and made not in self._named and not _numbered(name, made):
            made.name = name
        self.nodes[name] = made
        self.constants.pop(name, None)
        return made

    # -- expressions

    def node(self, e: ast.expr) -> Node:
        made = self.read(e)
        if not isinstance(made, Node):
            raise self.error(e, f"'{_text(e)}' is a constant, not an s-op", "write full(...) or read tokens")
        return made

    def sop(self, e: ast.expr, role: str) -> SOp:
        made = self.read(e)
        if isinstance(made, Selector):
            raise self.error(
                e,
                f"{role} must be an s-op, and '{_text(e)}' is a selector",
                "selector_width(...) or aggregate(..., x) makes an s-op of it",
            )
        if not isinstance(made, SOp):
            raise self.error(e, f"{role} must be an s-op, and '{_text(e)}' is a constant", f"write full({_text(e)})")
        return made

    def selector(self, e: ast.expr, role: str) -> Selector:
        made = self.read(e)
        if not isinstance(made, Selector):
            kind = "an s-op" if isinstance(made, SOp) else "a constant"
            raise self.error(
                e, f"{role} must be a selector, and '{_text(e)}' is {kind}", "make one with select(keys, queries, ==)"
            )
        return made

    def read(self, e: ast.expr) -> Node | Value:
        """A node, or the value of a constant expression."""
        match e:
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="rasp"), attr=name):
                return self._name(e, name)
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return value
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(e, op, operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(e, left, op, right)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compare(e, left, ops, others)
            case ast.Call():
                return self._placed(self._call(e), e)
            case ast.BoolOp(op=op):
                sign, word = ("&", "and") if isinstance(op, ast.And) else ("|", "or")
                raise self.error(e, f"'{word}' does not combine s-ops", f"write {sign}")
            case ast.Lambda():
                raise self.error(e, "a function stands alone here", "write map(lambda x: ..., s)")
            case _:
                raise self.error(
                    e, f"'{_text(e)}' has no meaning in RASP", "write for example select(tokens, tokens, ==)"
                )

    def value(self, e: ast.expr) -> Value:
        made = self.read(e)
        if isinstance(made, Node):
            raise self.error(e, f"'{_text(e)}' is not a constant", "write a number, a string, True, False or None")
        return made

    def error(self, at: ast.AST, what: str, remedy: str = "") -> CallError:
        return self._problem(self.place, at, what, remedy)

    def _placed(self, node: Node, e: ast.expr) -> Node:
        node.line, node.column, _ = self.place.of(e)
        return node

    def _name(self, e: ast.expr, name: str) -> Node | Value:
        prefixed = isinstance(e, ast.Attribute)
        if not prefixed and name in self.nodes:
            return self.nodes[name]
        if not prefixed and name in self.constants:
            return self.constants[name]
        if name in SOURCES:
            if name not in self._sources:
                made = SOURCES[name]()
                self._placed(made, e)
                self._sources[name] = made
            return self._sources[name]
        plain = LISTINGS.get(name, name)
        if plain in CALLS or plain in PREDICATES:
            raise self.error(e, f"'{plain}' is an operation without its arguments", f"write {_signature(plain)}")
        if name in COMPARISONS:
            raise self.error(e, f"'{name}' stands where an s-op is needed", "it is the last argument of select")
        known = [*self.nodes, *self.constants, *SOURCES, *CALLS]
        raise self.error(e, f"'{name}' is not defined", nearest(name, known))

    # -- operators

    def _unary(self, e: ast.expr, op: ast.unaryop, operand: ast.expr) -> Node | Value:
        made = self.read(operand)
        if not isinstance(made, Node):
            return self._folded(e, ast.UnaryOp(op, _constant(made)), [made])
        if isinstance(op, ast.Invert):
            assert isinstance(made, SOp | Selector)
            return self._placed(~made, e)
        if isinstance(op, ast.Not):
            raise self.error(e, "'not' does not apply to s-ops", "write ~")
        if not isinstance(made, SOp):
            raise self.error(e, "a selector has no sign", "write ~ for its complement")
        return self._placed(made * -1 if isinstance(op, ast.USub) else made * 1, e)

    def _binary(self, e: ast.expr, left: ast.expr, op: ast.operator, right: ast.expr) -> Node | Value:
        a, b = self.read(left), self.read(right)
        if not isinstance(a, Node) and not isinstance(b, Node):
            return self._folded(e, ast.BinOp(_constant(a), op, _constant(b)), [a, b])
        sign = _OPERATORS.get(type(op))
        if sign is None:
            shown = _MAPPED.get(type(op), _text(e))
            raise self.error(e, f"'{shown}' does not apply to s-ops", f"write map(lambda x: x {shown} 2, s)")
        if isinstance(a, Selector) or isinstance(b, Selector):
            if not (isinstance(a, Selector) and isinstance(b, Selector)):
                wrong = right if isinstance(a, Selector) else left
                raise self.error(
                    wrong, f"a selector and '{_text(wrong)}' cannot be combined", "combine it with another selector"
                )
            if sign not in "&|":
                raise self.error(e, f"'{sign}' does not apply to selectors", "combine them with &, | and ~")
            return self._placed(a & b if sign == "&" else a | b, e)
        x: Any = a
        y: Any = b
        match sign:
            case "+":
                made = x + y
            case "-":
                made = x - y
            case "*":
                made = x * y
            case "/":
                made = x / y
            case "&":
                made = x & y
            case _:
                made = x | y
        return self._placed(made, e)

    def _compare(self, e: ast.expr, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]) -> Node | Value:
        if len(ops) > 1:
            raise self.error(e, "comparisons cannot be chained", "write (x > 1) & (x < 3)")
        a, b = self.read(left), self.read(others[0])
        sign = _SIGNS.get(type(ops[0]))
        if not isinstance(a, Node) and not isinstance(b, Node):
            return self._folded(e, ast.Compare(_constant(a), ops, [_constant(b)]), [a, b])
        if sign is None:
            raise self.error(e, "'in' and 'is' do not apply to s-ops", "write map(lambda x: x in ('a', 'b'), s)")
        if isinstance(a, Selector) or isinstance(b, Selector):
            raise self.error(e, "a selector cannot be compared", "combine selectors with &, | and ~")
        if isinstance(a, SOp) and isinstance(b, SOp):
            raise self.error(
                e,
                f"'{sign}' compares an s-op with a constant, not with another s-op",
                f"write sequence_map(lambda x, y: x {sign} y, {_text(left)}, {_text(others[0])})",
            )
        sop, constant = (a, b) if isinstance(a, SOp) else (b, a)
        assert isinstance(sop, SOp)
        if sop is b:
            sign = _REFLECTED[sign]
        compared = {
            "==": sop.__eq__,
            "!=": sop.__ne__,
            "<": sop.__lt__,
            "<=": sop.__le__,
            ">": sop.__gt__,
            ">=": sop.__ge__,
        }[sign](constant)
        return self._placed(compared, e)

    def _folded(self, e: ast.expr, plain: ast.expr, values: Sequence[Value]) -> Value:
        """A constant expression's value: `1 / 3`, `-2`. Of numbers alone, so that it is never large."""
        if not all(isinstance(v, int | float) and abs(v) < 1e300 for v in values):
            raise self.error(e, f"'{_text(e)}' is not an operation on s-ops", "at least one side must be an s-op")
        try:
            return Function.of((), ast.fix_missing_locations(plain), parameters=())()
        except (CallError, ArithmeticError, ValueError, TypeError) as error:
            raise self.error(e, f"'{_text(e)}' cannot be worked out ({error})") from None

    # -- calls

    def _call(self, e: ast.Call) -> Node:
        match e.func:
            case ast.Attribute(value=ast.Name(id="rasp"), attr=name) | ast.Name(id=name):
                pass
            case ast.Attribute(value=of, attr="named"):
                return self._with_name(e, of)
            case ast.Attribute(attr=method):
                raise self.error(e, f"'.{method}' is not known", "the one method is .named('x')")
            case _:
                raise self.error(e, f"'{_text(e.func)}' cannot be called", "call select, aggregate, map and the like")
        name = LISTINGS.get(name, name)
        if name in PREDICATES:
            raise self.error(e, f"'{name}' is a predicate", "it is the last argument of select")
        if name not in CALLS:
            if name in self.nodes or name in SOURCES or name in self.constants:
                raise self.error(e, f"'{name}' cannot be called", "it is a value; write it without brackets")
            raise self.error(e.func, f"'{name}' is not an operation", nearest(name, CALLS))
        a = self._arguments(e, name)
        match name:
            case "select":
                keys, queries = (
                    self.sop(a["keys"], "the keys of select"),
                    self.sop(a["queries"], "the queries of select"),
                )
                return Select(keys, queries, self._predicate(a["predicate"]))
            case "aggregate":
                selector = self.selector(a["selector"], "the first argument of aggregate")
                sop = self.sop(a["sop"], "the second argument of aggregate")
                return Aggregate(selector, sop, self.value(a["default"]) if "default" in a else None)
            case "selector_width":
                return SelectorWidth(self.selector(a["selector"], "the argument of selector_width"))
            case "map":
                f = self._function(a["f"], 1, "map")
                simplify = bool(self.value(a["simplify"])) if "simplify" in a else True
                return Map(f, self.sop(a["sop"], "the second argument of map"), simplify=simplify)
            case "sequence_map":
                f = self._function(a["f"], 2, "sequence_map")
                first = self.sop(a["first"], "the second argument of sequence_map")
                return SequenceMap(f, first, self.sop(a["second"], "the third argument of sequence_map"))
            case "linear_sequence_map":
                first = self.sop(a["first"], "the first argument of linear_sequence_map")
                second = self.sop(a["second"], "the second argument of linear_sequence_map")
                return LinearSequenceMap(
                    first, second, self._number(a["first_factor"]), self._number(a["second_factor"])
                )
            case "full":
                return Full(self.value(a["value"]))
            case "constant":
                values = self.value(a["values"])
                if not isinstance(values, tuple):
                    raise self.error(a["values"], "constant takes a list", "write constant([1, 2, 3])")
                return ConstantSOp(values)
            case "numerical" | "categorical":
                sop = self.sop(a["sop"], f"the argument of {name}")
                copied = numerical(sop) if name == "numerical" else categorical(sop)
                if sop in self._named:
                    self._named.add(copied)
                return copied
            case "selector_and" | "selector_or":
                made = SelectorAnd if name == "selector_and" else SelectorOr
                return made(self.selector(a["left"], f"an argument of {name}"), self.selector(a["right"], "the other"))
            case _:
                return SelectorNot(self.selector(a["selector"], f"the argument of {name}"))

    def _with_name(self, e: ast.Call, of: ast.expr) -> Node:
        node = self.read(of)
        if not isinstance(node, Node):
            raise self.error(of, f"'{_text(of)}' is a constant and has no name", "name an s-op or a selector")
        match e.args, e.keywords:
            case [ast.Constant(value=str(name))], []:
                pass
            case _:
                raise self.error(e, "named takes one string", "write .named('x')")
        copied = node.named(name)
        self._named.add(copied)
        return copied

    def _arguments(self, e: ast.Call, name: str) -> dict[str, ast.expr]:
        parameters = [p.rstrip("=") for p in CALLS[name]]
        required = [p for p in CALLS[name] if not p.endswith("=")]
        if len(e.args) > len(parameters):
            extra = e.args[len(parameters)]
            raise self.error(extra, f"{name} takes {_count(len(required), parameters)}", f"write {_signature(name)}")
        found: dict[str, ast.expr] = {}
        for parameter, given in zip(parameters, e.args):
            if isinstance(given, ast.Starred):
                raise self.error(given, "'*' does not apply to arguments", f"write {_signature(name)}")
            found[parameter] = given
        for keyword in e.keywords:
            if keyword.arg not in parameters:
                raise self.error(
                    keyword, f"{name} has no argument '{keyword.arg}'", nearest(keyword.arg or "**", parameters)
                )
            if keyword.arg in found:
                raise self.error(keyword, f"{name} is given '{keyword.arg}' twice", f"write {_signature(name)}")
            found[keyword.arg] = keyword.value
        missing = [p for p in required if p not in found]
        if missing:
            words = " and ".join(f"'{m}'" for m in missing)
            raise self.error(e, f"{name} is missing {words}", f"write {_signature(name)}")
        return found

    def _number(self, e: ast.expr) -> float:
        value = self.value(e)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(
                e, f"'{_text(e)}' is not a number", "the factors are numbers: linear_sequence_map(x, y, 2, -3)"
            )
        return value

    # -- functions and predicates

    def _function(self, e: ast.expr, arity: int, of: str) -> Function:
        example = "lambda x: x + 1" if arity == 1 else "lambda x, y: x * y"
        names = ("x", "y")[:arity]
        if isinstance(e, ast.Name) and e.id in functions.CALLS and e.id not in self.nodes:
            return Function.of(
                names, ast.Call(ast.Name(e.id, ast.Load()), [ast.Name(n, ast.Load()) for n in names], [])
            )
        if not isinstance(e, ast.Lambda):
            raise self.error(
                e, f"the first argument of {of} is a function, and '{_text(e)}' is none", f"write {example}"
            )
        return self._lambda(e, arity, of, example)

    def _lambda(self, e: ast.Lambda, arity: int, of: str, example: str) -> Function:
        a = e.args
        if a.vararg or a.kwarg or a.kwonlyargs or a.defaults or a.posonlyargs:
            raise self.error(e, "a function takes plain parameters", f"write {example}")
        names = [p.arg for p in a.args]
        if len(names) != arity:
            many = "one value" if arity == 1 else "two values"
            raise self.error(e, f"the function of {of} takes {many}, not {len(names)}", f"write {example}")
        body = copy.deepcopy(e.body)
        if self.constants:
            body = _Constants({k: v for k, v in self.constants.items() if k not in names}).visit(body)
        called = {id(c.func) for c in ast.walk(body) if isinstance(c, ast.Call)}
        for part in ast.walk(body):
            if isinstance(part, ast.Name) and part.id not in names and id(part) not in called:
                if part.id in self.nodes or part.id in SOURCES:
                    raise self.error(
                        part,
                        f"'{part.id}' is an s-op, and a function sees single values",
                        "use sequence_map for two s-ops",
                    )
                raise self.error(part, f"'{part.id}' is not defined in the function", nearest(part.id, names))
            if isinstance(part, ast.Call) and not (isinstance(part.func, ast.Name) and part.func.id in functions.CALLS):
                raise self.error(
                    part.func,
                    f"'{_text(part.func)}' cannot be called in a function",
                    nearest(_text(part.func), functions.CALLS),
                )
        try:
            return Function.of(names, body)
        except CallError as error:
            raise self.error(e, error.what, error.remedy) from None
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise self.error(e, f"the function cannot be used ({error})") from None

    def _predicate(self, e: ast.expr) -> Predicate:
        match e:
            case ast.Name(id=name) if name in COMPARISONS and name not in self.nodes:
                return COMPARISONS[name]
            case ast.Attribute(
                value=ast.Name(id="Comparison") | ast.Attribute(value=ast.Name(id="rasp"), attr="Comparison"), attr=name
            ):
                if name not in Comparison.__members__:
                    raise self.error(e, f"'{name}' is not a comparison", nearest(name, Comparison.__members__))
                return Comparison[name]
            case ast.Constant(value=bool(value)):
                return Comparison.TRUE if value else Comparison.FALSE
            case ast.Constant(value=str(sign)) if sign in [c.value for c in Comparison]:
                return Comparison(sign)
            case ast.Lambda():
                return self._lambda(e, 2, "select", "lambda key, query: key == query")
            case ast.Call(func=ast.Name(id=name), args=args) if name in PREDICATES:
                return self._joined_predicate(e, name, args)
            case ast.Name(id=name) if name not in self.nodes and name not in SOURCES:
                raise self.error(e, f"'{name}' is not a comparison", nearest(name, [c.value for c in Comparison]))
            case _:
                raise self.error(
                    e,
                    f"the last argument of select is a comparison, and '{_text(e)}' is none",
                    "write one of ==, !=, <, <=, >, >=, true, false, or lambda key, query: ...",
                )

    def _joined_predicate(self, e: ast.Call, name: str, args: list[ast.expr]) -> Predicate:
        wanted = 2 if name in JOINED else 1
        if len(args) != wanted or (e.keywords and name != "baked"):
            raise self.error(e, f"{name} takes {wanted} predicate{'s' * (wanted > 1)}", f"write {name}(==, <)")
        parts = [self._predicate(a) for a in args]
        if name in JOINED:
            return JOINED[name](*parts)
        if name == "negated":
            return Negated(parts[0])
        constants: dict[Any, Value] = {}
        for keyword in e.keywords:
            if keyword.arg not in ("key", "query"):
                raise self.error(keyword, f"baked has no argument '{keyword.arg}'", "write baked(==, key=1)")
            constants[keyword.arg] = self.value(keyword.value)
        return Baked(parts[0], constants)


class _Constants(ast.NodeTransformer):
    """Named constants put in their places."""

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return _constant(self.values[node.id]) if node.id in self.values else node


def _constant(value: Value) -> ast.expr:
    return functions.constant(value)


def _numbered(name: str, node: Node) -> bool:
    """`map_3` is how labels write the third map without a name: assigning to it gives none."""
    return name.startswith(node.default_name + "_") and name[len(node.default_name) + 1 :].isdecimal()


def _signature(name: str) -> str:
    if name in PREDICATES:
        return f"select(tokens, tokens, {name}(==, <))"
    shown = [p.rstrip("=") for p in CALLS[name] if not p.endswith("=")]
    return f"{name}({', '.join(shown)})"


def _count(required: int, parameters: list[str]) -> str:
    most = len(parameters)
    words = f"{required}" if required == most else f"{required} or {most}"
    return f"{words} argument{'s' * (most > 1)}"


def _text(e: ast.AST) -> str:
    text = ast.unparse(e)
    return text if len(text) <= 40 else text[:37] + "..."
