"""The programs that come with it: those of Tracr's library (its `rasp/` listings and appendix), each with inputs that
suit it. Names of the s-ops are the original's."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.rasp.functions import Function, Value
from engine.rasp.language import (
    Aggregate,
    Comparison,
    LinearSequenceMap,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    indices,
    numerical,
    tokens,
)
from sessions.errors import CallError, nearest


class Entry(NamedTuple):
    make: Callable[..., SOp]
    vocab: tuple[Value, ...]
    max_len: int
    causal: bool
    summary: str
    parameters: dict[str, Any]  # name: default


def program(call: str) -> SOp:
    """`sort`, `shift_by(2)`, `detect_pattern('ab')`: a program of the library, with its defaults where nothing is said.

    CallError: no such program, or arguments it does not take.
    """
    try:
        e = ast.parse(call.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CallError(f"'{call}' does not name a program", remedy=f"write for example {_example()}") from None
    given, keywords = (e.args, e.keywords) if isinstance(e, ast.Call) else ([], [])
    of = e.func if isinstance(e, ast.Call) else e
    if not isinstance(of, ast.Name):
        raise CallError(f"'{call}' does not name a program", remedy=f"write for example {_example()}")
    if of.id not in LIBRARY:
        raise CallError(f"the library has no program '{of.id}'", remedy=nearest(of.id, LIBRARY))
    entry = LIBRARY[of.id]
    names = list(entry.parameters)
    if len(given) > len(names):
        raise CallError(f"{of.id} takes {len(names)} arguments, not {len(given)}", remedy=f"write {signature(of.id)}")
    arguments = dict(entry.parameters)
    for name, value in [*zip(names, given), *((k.arg, k.value) for k in keywords)]:
        if name not in arguments:
            raise CallError(f"{of.id} has no argument '{name}'", remedy=nearest(str(name), names))
        try:
            arguments[name] = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise CallError(
                f"'{ast.unparse(value)}' is not a value for {of.id}", remedy="give numbers, strings or lists of them"
            ) from None
    return entry.make(**arguments)


def signature(name: str) -> str:
    """`shift_by(offset=1)`"""
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in LIBRARY[name].parameters.items())})"


def length() -> SOp:
    """How long the input is, at every position; unlike the primitive, it compiles."""
    everything = Select(tokens, tokens, Comparison.TRUE).named("all_true_selector")
    return SelectorWidth(everything).named("length")


def reverse(sop: SOp = tokens) -> SOp:
    opposite = (length() - indices).named("opp_idx")
    opposite = _map("lambda x: x - 1", opposite).named("opp_idx-1")
    return Aggregate(Select(indices, opposite, Comparison.EQ).named("reverse_selector"), sop).named("reverse")


def hist() -> SOp:
    return SelectorWidth(Select(tokens, tokens, Comparison.EQ).named("same_tok")).named("hist")


def count(token: Value = "a", sop: SOp = tokens) -> SOp:
    return SelectorWidth(Select(sop, sop, _with("lambda x, y: x == {0}", token))).named(f"count_{token}")


def count_less_freq(n: int = 2) -> SOp:
    counts = hist()
    rare = Select(counts, counts, _with("lambda x, y: x <= {0}", n)).named("select_less")
    return SelectorWidth(rare).named("count_less_freq")


def frac_prevs(token: Value = "a") -> SOp:
    return _frac_prevs(numerical(_map("lambda x: x == {0}", tokens, token)))


def pair_balance(open_token: str = "(", close_token: str = ")") -> SOp:
    opens = numerical(_map("lambda x: x == {0}", tokens, open_token)).named("bools_open")
    closes = numerical(_map("lambda x: x == {0}", tokens, close_token)).named("bools_close")
    balance = LinearSequenceMap(_frac_prevs(opens).named("opens"), _frac_prevs(closes).named("closes"), 1, -1)
    return numerical(balance).named("pair_balance")


def shuffle_dyck(pairs: Sequence[str] = ("()", "{}")) -> SOp:
    """CallError: no pairs, or one that is not two characters."""
    if not pairs or isinstance(pairs, str) or not all(isinstance(p, str | tuple | list) and len(p) == 2 for p in pairs):
        raise CallError(f"{pairs!r} are not pairs of brackets", remedy="write shuffle_dyck(['()', '[]'])")
    balances = [pair_balance(pair[0], pair[1]).named(f"balance_{''.join(pair)}") for pair in pairs]
    negative: SOp = balances[0] < 0
    zero: SOp = balances[0] == 0
    for balance in balances[1:]:
        negative, zero = negative | (balance < 0), zero & (balance == 0)
    any_negative = numerical(_map("lambda x: x", negative)).named("any_negative")
    everything = Select(indices, indices, Comparison.TRUE).named("select_all")
    has_negative = numerical(Aggregate(everything, any_negative, default=0)).named("has_neg")
    last = Select(indices, length() - 1, Comparison.EQ).named("select_last")
    last_zero = Aggregate(last, zero).named("last_zero")
    return (last_zero & (~has_negative).named("not_has_neg")).named("shuffle_dyck")


def shift_by(offset: int = 1, sop: SOp = tokens) -> SOp:
    """Each value `offset` positions later; None where nothing comes from."""
    select = Select(indices, indices, _with("lambda x, y: y == x + {0}", _whole(offset, "shift_by")))
    return Aggregate(select, sop).named(f"shift_by({offset})")


def detect_pattern(pattern: Sequence[Value] = "ab") -> SOp:
    """CallError: nothing to detect."""
    if not isinstance(pattern, str | tuple | list) or not pattern:
        raise CallError(f"{pattern!r} is not a pattern", remedy="write detect_pattern('ab')")
    detectors: list[SOp] = []
    for behind, element in enumerate(reversed(pattern)):
        here = _map("lambda x: x == {0}", tokens, element)
        detectors.append(shift_by(behind, here) if behind else here)
    found = detectors.pop()
    while detectors:
        found = found & detectors.pop()
    shown = pattern if isinstance(pattern, str) else ", ".join(map(str, pattern))
    return found.named(f"detect_pattern({shown})")


def sort_unique(vals: SOp = tokens, keys: SOp = tokens) -> SOp:
    target = SelectorWidth(Select(keys, keys, Comparison.LT).named("smaller")).named("target_pos")
    return Aggregate(Select(target, indices, Comparison.EQ), vals).named("sort")


def sort(min_key: float = 1, max_len: int = 10, vals: SOp = tokens, keys: SOp = tokens) -> SOp:
    """Keys that are equal are told apart by their position: key + min_key * i / max_len. Right for keys that differ by
    at least `min_key`, up to `max_len` tokens."""
    key = _with("lambda x, y: x + {0} * y / {1}", min_key, _whole(max_len, "sort"))
    return sort_unique(vals, SequenceMap(key, keys, indices))


def sort_freq(max_len: int = 10) -> SOp:
    return sort(1, max_len, keys=_map("lambda x: -1 * x", hist()))


def nary_sequencemap(f: str = "lambda x, y, z: x * z - y") -> SOp:
    """A function of three s-ops (tokens, indices, length), by way of tuples."""
    function = Function.parse(f)
    if function.arity != 3:
        raise CallError(f"'{f}' takes {function.arity} values, not 3", remedy="write lambda x, y, z: x * z - y")
    pairs = SequenceMap(Function.parse("lambda x, y: (x, y)"), tokens, indices)
    triples = SequenceMap(Function.parse("lambda x, y: x + (y,)"), pairs, length())
    spread = {old: _part(at) for at, old in enumerate(function.parameters)}
    assert function.body is not None
    body = _Spread(spread).visit(ast.parse(ast.unparse(function.body), mode="eval").body)
    return Map(Function.of(("x",), body), triples).named("nary_sequencemap")


class _Spread(ast.NodeTransformer):
    def __init__(self, parts: dict[str, ast.expr]) -> None:
        self.parts = parts

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.parts.get(node.id, node)


def _part(at: int) -> ast.expr:
    return ast.parse(f"x[{at}]", mode="eval").body


def _frac_prevs(bools: SOp) -> SOp:
    return numerical(Aggregate(Select(indices, indices, Comparison.LEQ), bools, default=0)).named("frac_prevs")


def _map(text: str, sop: SOp, *constants: Value) -> SOp:
    return Map(_with(text, *constants), sop)


def _with(text: str, *constants: Value) -> Function:
    """The function of that text with constants in the places {0}, {1}."""
    return Function.parse(text.format(*(repr(c) for c in constants)))


def _whole(value: object, of: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise CallError(f"{value!r} is not a whole number", remedy=f"write {signature(of)}")
    return value


def _example() -> str:
    return "sort, hist or shift_by(2)"


_LETTERS, _NUMBERS = ("a", "b", "c", "d"), (1, 2, 3, 4)

LIBRARY: dict[str, Entry] = {
    "length": Entry(length, _LETTERS, 5, False, "How long the input is, at every position.", {}),
    "reverse": Entry(reverse, _LETTERS, 5, False, "The input from its end to its beginning.", {}),
    "hist": Entry(hist, _LETTERS, 5, False, "How often each token occurs in the input.", {}),
    "count": Entry(count, _LETTERS, 5, False, "How often one token occurs in the input.", {"token": "a"}),
    "count_less_freq": Entry(count_less_freq, _LETTERS, 5, False, "How many tokens occur at most n times.", {"n": 2}),
    "frac_prevs": Entry(frac_prevs, _LETTERS, 5, False, "The share of one token among those so far.", {"token": "a"}),
    "shift_by": Entry(shift_by, _LETTERS, 5, False, "Every token `offset` positions later.", {"offset": 1}),
    "detect_pattern": Entry(
        detect_pattern, ("a", "b", "c"), 5, False, "Whether a pattern ends at this position.", {"pattern": "ab"}
    ),
    "sort_unique": Entry(sort_unique, _NUMBERS, 4, False, "The tokens in order, where no two are equal.", {}),
    "sort": Entry(
        sort, _NUMBERS, 5, False, "The tokens in order (of up to `max_len` tokens).", {"min_key": 1, "max_len": 10}
    ),
    "sort_freq": Entry(sort_freq, _LETTERS, 5, False, "The tokens, the most frequent first.", {"max_len": 10}),
    "pair_balance": Entry(
        pair_balance,
        ("a", "b", "(", ")"),
        6,
        False,
        "Opening minus closing brackets so far, as a share of the positions so far.",
        {"open_token": "(", "close_token": ")"},
    ),
    "shuffle_dyck": Entry(
        shuffle_dyck,
        ("(", ")", "{", "}"),
        6,
        False,
        "Whether every kind of bracket is balanced on its own.",
        {"pairs": ("()", "{}")},
    ),
    "nary_sequencemap": Entry(
        nary_sequencemap,
        _NUMBERS,
        4,
        False,
        "A function of three s-ops, token, position and length, by way of tuples.",
        {"f": "lambda x, y, z: x * z - y"},
    ),
}
