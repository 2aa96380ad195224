"""Each program of the library beside the plain Python that says what it does, and beside the original's references."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.interpreter import evaluate
from engine.rasp.language import labels
from engine.rasp.library import LIBRARY, program
from engine.rasp.printing import same_program, to_text
from engine.rasp.syntax import parse
from engine.rasp.validation import dynamic_check
from sessions.errors import CallError

GOLDENS = Path(__file__).resolve().parents[4] / "shared" / "goldens" / "tracr" / "goldens.json"
List = list[Any]


def _balance(x: List, pair: str) -> List:
    return [x[: i + 1].count(pair[0]) - x[: i + 1].count(pair[1]) for i in range(len(x))]


def _dyck(x: List, pairs: tuple[str, ...]) -> bool:
    balances = [_balance(x, pair) for pair in pairs]
    return all(b[-1] == 0 and min(b) >= 0 for b in balances)


DEFINITIONS: dict[str, Callable[[List], List | None]] = {
    "length": lambda x: [len(x)] * len(x),
    "reverse": lambda x: x[::-1],
    "hist": lambda x: [x.count(t) for t in x],
    "count": lambda x: [x.count("a")] * len(x),
    "count('c')": lambda x: [x.count("c")] * len(x),
    "count_less_freq": lambda x: [sum(x.count(t) <= 2 for t in x)] * len(x),
    "count_less_freq(1)": lambda x: [sum(x.count(t) <= 1 for t in x)] * len(x),
    "frac_prevs": lambda x: [x[: i + 1].count("a") / (i + 1) for i in range(len(x))],
    "shift_by": lambda x: [None, *x[:-1]],
    "shift_by(2)": lambda x: [None, None, *x][: len(x)],
    "shift_by(offset=-1)": lambda x: [*x[1:], None],
    "shift_by(0)": lambda x: x,
    "detect_pattern": lambda x: [None, *(x[i - 1 : i + 1] == ["a", "b"] for i in range(1, len(x)))],
    "detect_pattern('aba')": lambda x: [None, None, *(x[i - 2 : i + 1] == list("aba") for i in range(2, len(x)))][
        : len(x)
    ],
    "detect_pattern('c')": lambda x: [t == "c" for t in x],
    "sort_unique": lambda x: sorted(x) if len(set(x)) == len(x) else None,
    "sort": sorted,
    "sort_freq": lambda x: [x[i] for i in sorted(range(len(x)), key=lambda i: (-x.count(x[i]), i))],
    "pair_balance": lambda x: [b / (i + 1) for i, b in enumerate(_balance(x, "()"))],
    "shuffle_dyck": lambda x: [_dyck(x, ("()", "{}"))] * len(x),
    "shuffle_dyck(['()'])": lambda x: [_dyck(x, ("()",))] * len(x),
    "nary_sequencemap": lambda x: [t * len(x) - i for i, t in enumerate(x)],
    "nary_sequencemap('lambda a, b, c: a + b + c')": lambda x: [t + i + len(x) for i, t in enumerate(x)],
}


def _inputs(name: str, most: int) -> list[List]:
    entry = LIBRARY[name.split("(")[0]]
    return [list(x) for n in range(1, most + 1) for x in itertools.product(entry.vocab, repeat=n)]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definition(name: str) -> None:
    made = program(name)
    for x in _inputs(name, 4):
        wanted = DEFINITIONS[name](x)
        if wanted is not None:
            assert evaluate(made, x) == wanted, x


def test_every_program_has_a_definition() -> None:
    assert set(LIBRARY) == {name for name in DEFINITIONS if "(" not in name}


@pytest.mark.parametrize("name", LIBRARY)
def test_every_program_compiles_and_is_text(name: str) -> None:
    entry, made = LIBRARY[name], program(name)
    domain = Domain(entry.vocab, entry.max_len, entry.causal)
    compile_program(made, domain)
    distinct = [x for x in _inputs(name, 3) if name != "sort_unique" or len(set(x)) == len(x)]
    assert dynamic_check(made, domain, distinct) == []
    assert same_program(parse(to_text(made)), made)
    assert entry.summary.endswith(".")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("hits", "did you mean 'hist'?"),
        ("shift_by(1, 2)", "takes 1 arguments, not 2"),
        ("shift_by(ofset=1)", "did you mean 'offset'?"),
        ("shift_by('a')", "'a' is not a whole number"),
        ("shift_by(tokens)", "'tokens' is not a value"),
        ("shuffle_dyck('()')", "are not pairs of brackets"),
        ("detect_pattern('')", "is not a pattern"),
        ("hist(", "does not name a program"),
        ("1 + 1", "does not name a program"),
        ("nary_sequencemap('lambda x: x')", "takes 1 values, not 3"),
    ],
)
def test_mistakes(call: str, says: str) -> None:
    with pytest.raises(CallError) as caught:
        program(call)
    assert says in str(caught.value)


CALLS = {
    "length_cat": "length",
    "reverse": "reverse",
    "hist": "hist",
    "sort_unique": "sort_unique",
    "frac_prevs": "frac_prevs",
    "pair_balance": "pair_balance",
    "shift_by_1_causal": "shift_by(1)",
    "detect_pattern_ab": "detect_pattern('ab')",
    "count_a": "count('a')",
}


@pytest.mark.skipif(not GOLDENS.exists(), reason="the golden models are not here")
@pytest.mark.parametrize("name", CALLS)
def test_against_the_original(name: str) -> None:
    (golden,) = [p for p in json.loads(GOLDENS.read_text())["programs"] if p["name"] == name]
    made = program(CALLS[name])
    assert sorted(labels(made).values()) == sorted(node["label"] for node in golden["nodes"])
    for x, wanted in zip(golden["inputs"], golden["rasp_reference"], strict=True):
        found = evaluate(made, x, causal=golden["causal"])
        assert len(found) == len(wanted)
        assert all(w is None or (f == w and type(f) is type(w)) for f, w in zip(found, wanted))
