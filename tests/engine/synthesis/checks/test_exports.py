"""The proof as text: SMT-LIB read and answered anew, also where it was tampered with; Dafny's expressions interpreted
by a small reader of their own."""

from __future__ import annotations

import re

import numpy as np
import pytest
import z3

from engine.synthesis.checks.dafny import dafny, is_on_bits
from engine.synthesis.checks.exported import Exported, exported
from engine.synthesis.checks.proving import prove
from engine.synthesis.checks.smtlib import answers, smtlib
from engine.synthesis.domain import Domain
from engine.synthesis.programs.evaluator import evaluate
from engine.synthesis.tasks.benchmark import TASKS, task
from engine.synthesis.tasks.specifications import SPECIFICATIONS
from sessions.errors import IwbError
from tests.engine.synthesis.checks.variants import VARIANTS, program

BITS = [t.name for t in TASKS if (t.low, t.high) == (0, 1)]
UNSAT = ("unsat", "unsat", "unsat")


def proof_for(name: str) -> Exported:
    chosen = task(name)
    domain = Domain(chosen.inputs, chosen.low, chosen.high, chosen.length)
    proved = prove(VARIANTS[name], SPECIFICATIONS[name], domain)
    assert proved.pair is not None
    assert proved.induction is not None
    return exported(proved.pair, proved.induction)


@pytest.mark.parametrize(
    "name",
    [
        "Binary_Addition",
        "Sum_Last3",
        "Max_Seen",
        "Majority_0_2",
        "Newton_Spring",
        "Dithering",
        "Abs_Diff",
        "Bitwise_Or",
    ],
)
def test_a_solver_that_reads_the_text_answers_unsat_to_each_question(name: str) -> None:
    text = smtlib(proof_for(name))
    assert answers(text) == UNSAT
    for line in SPECIFICATIONS[name].splitlines():
        assert f";   {line}" in text
    assert all(
        line.count("(") == line.count(")") for line in text.splitlines() if line.startswith(("(assert", "(decl"))
    )


def test_a_text_that_was_tampered_with_is_not_answered_unsat() -> None:
    text = smtlib(proof_for("Dithering"))
    assert "(mod p_t 15)" in text
    start = text.replace("(assert (not (related 0 0)))", "(assert (not (related 1 0)))")
    assert answers(start)[0] == "sat"
    relation = re.sub(r"(define-fun related .*?\(mod p_t) 15", r"\1 5", text, flags=re.DOTALL)
    assert answers(relation)[1] == "sat"
    no_relation = re.sub(r"\(define-fun related (\(.*?\)\)) Bool .*", r"(define-fun related \1 Bool true)", text)
    assert answers(no_relation)[2] == "sat"


def test_more_states_than_anyone_lists_are_refused() -> None:
    shuffled = program("k = 1", "k = (k * k + x) % 3001; y = k % 2")
    other = program("a = 1", "a = (x + a * a) % 3001; y = a % 2")
    proved = prove(shuffled, other, Domain(1, 0, 1, 10))
    assert proved.every_length.status == "proved"
    assert proved.pair is not None
    assert proved.induction is not None
    only_visited = proved.induction._replace(relations=(), visited=tuple((k, k + 1) for k in range(5000)))
    tampered = proved.pair._replace(specification=proved.pair.specification._replace(start={"a": 2}))
    with pytest.raises(IwbError, match="5,000"):
        exported(tampered, only_visited)


@pytest.mark.parametrize("name", BITS)
def test_dafny_texts_say_what_the_programs_do(name: str) -> None:
    """The loop of the text, its expressions read by the reader below, against the evaluator on random bits."""
    proof = proof_for(name)
    text = dafny(proof)
    streams = proof.pair.domain.inputs
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (3, 12, streams))
    known = dict(re.findall(r"^  var (p_\w+) := (-?\d+);", text, flags=re.MULTILINE))
    given = re.findall(r"^    var y := (.*);", text, flags=re.MULTILINE)[0]
    changed = re.search(r"^    (p_.*?) := (.*);", text, flags=re.MULTILINE)
    for one in x:
        state = {key: int(value) for key, value in known.items()}
        ys = []
        for row in one.tolist():
            names = {**state, **{f"x{k + 1}": value for k, value in enumerate(row)}}
            ys.append(read(given, names)[0])
            if changed is not None:
                values = read_all(changed[2], names)
                state = dict(zip(changed[1].split(", "), values, strict=True))
        assert ys == evaluate(VARIANTS[name], one[None])[0, :, 0].tolist()
    for pair in ("()", "{}", "[]"):
        assert text.count(pair[0]) == text.count(pair[1])
    assert text.count("requires forall i :: 0 <= i <") == streams
    assert "not run through Dafny" in text
    assert ("SpecState" in text) == bool(proof.pair.specification.start)


def test_there_is_a_dafny_text_for_bits_only() -> None:
    assert is_on_bits(proof_for("Parity_All"))
    assert not is_on_bits(proof_for("Add_Mod_3"))


def test_dafny_rounds_like_the_solver() -> None:
    """Euclidean division: for positive divisors the remainder is never negative."""
    x = z3.Int("x")
    for value in range(-7, 8):
        assert z3.simplify(z3.substitute(x / 3, (x, z3.IntVal(value)))).as_long() == read("(x / 3)", {"x": value})[0]


TOKEN = re.compile(r"\s*(==>|==|!=|<=|>=|&&|\|\||[-+*/%<>(),!]|\w+)")


def read_all(text: str, names: dict[str, int]) -> list[int]:
    values = []
    while text.strip():
        value, text = read(text, names)
        values.append(value)
        text = text.strip().removeprefix(",")
    return values


def read(text: str, names: dict[str, int]) -> tuple[int, str]:
    """The value of the fully bracketed expression that the text begins with, and the rest of the text."""

    def next_of(text: str) -> tuple[str, str]:
        found = TOKEN.match(text)
        assert found is not None, text
        return found[1], text[found.end() :]

    token, rest = next_of(text)
    if token != "(":
        if token == "-":
            value, rest = read(rest, names)
            return -value, rest
        literal = {"true": 1, "false": 0}
        return literal[token] if token in literal else names[token] if token in names else int(token), rest
    ahead, after = next_of(rest)
    if ahead == "if":
        test, after = read(after, names)
        word, after = next_of(after)
        assert word == "then"
        then, after = read(after, names)
        word, after = next_of(after)
        assert word == "else"
        otherwise, after = read(after, names)
        value = then if test else otherwise
    elif ahead == "!":
        inner, after = read(after, names)
        value = 1 - inner
    else:
        value, after = read(rest, names)
        while next_of(after)[0] != ")":
            symbol, after = next_of(after)
            other, after = read(after, names)
            value = int(
                {
                    "+": lambda a, b: a + b,
                    "-": lambda a, b: a - b,
                    "*": lambda a, b: a * b,
                    "/": lambda a, b: a // b,
                    "%": lambda a, b: a % b,
                    "==": lambda a, b: a == b,
                    "!=": lambda a, b: a != b,
                    "<=": lambda a, b: a <= b,
                    "<": lambda a, b: a < b,
                    ">=": lambda a, b: a >= b,
                    ">": lambda a, b: a > b,
                    "&&": lambda a, b: a and b,
                    "||": lambda a, b: a or b,
                    "==>": lambda a, b: (not a) or b,
                }[symbol](value, other)
            )
    bracket, after = next_of(after)
    assert bracket == ")"
    return value, after
