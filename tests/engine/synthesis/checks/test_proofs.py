"""Proofs for the 62 tasks with other programs for them, and real counterexamples for wrong ones."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest

from engine.synthesis.checks.induction import by_relations, obligations
from engine.synthesis.checks.pairs import pair_of
from engine.synthesis.checks.proving import Proved, prove
from engine.synthesis.checks.relations import Relation
from engine.synthesis.checks.visiting import visit
from engine.synthesis.domain import Domain
from engine.synthesis.programs.evaluator import evaluate
from engine.synthesis.tasks.benchmark import TASKS, Task, task
from engine.synthesis.tasks.specifications import SPECIFICATIONS
from tests.engine.synthesis.checks.variants import VARIANTS, program

named = pytest.mark.parametrize("chosen", TASKS, ids=lambda t: t.name)
SOON = (
    "Binary_Addition",
    "Sum_Last3",
    "Majority_0_2",
    "Bit_Palindrome",
    "Balanced_Parenthesis",
    "Dithering",
    "Div_7",
    "Newton_Spring",
    "Evens_Counter",
    "Min_Seen",
    "Max_Seen",
    "Add_Mod_6",
    "Abs_Diff",
    "Base_7_Addition",
    "Prev2",
    "Parity_Zeros",
    "Alternating_Last4",
)


def domain_of(chosen: Task) -> Domain:
    return Domain(chosen.inputs, chosen.low, chosen.high, chosen.length)


def really_differ(proved: Proved, first: str, second: str, inputs: int) -> list[int]:
    """The counterexamples' lengths, each run here once more."""
    lengths = []
    for proof in proved.proofs:
        if proof.status != "refuted":
            continue
        read = re.fullmatch(r"(.*) at position (\d+): program (.*), specification (.*)", proof.counterexample)
        assert read is not None
        streams = [[int(v) for v in stream.split()] for stream in read[1].split(" | ")]
        x = np.array(streams).T[None]
        assert x.shape == (1, int(read[2]), inputs)
        shown = [", ".join(str(v) for v in evaluate(source, x)[0, -1]) for source in (first, second)]
        assert shown == [read[3], read[4]]
        assert shown[0] != shown[1]
        lengths.append(int(read[2]))
    return lengths


def check_equal(chosen: Task) -> None:
    x = chosen.sequences(200, seed=8)
    assert (evaluate(VARIANTS[chosen.name], x) == chosen.target(x)).all(), "the test's own program is wrong"
    proved = prove(VARIANTS[chosen.name], SPECIFICATIONS[chosen.name], domain_of(chosen))
    assert [proof.status for proof in proved.proofs] == ["proved", "proved"], proved.proofs
    assert [proof.every_length for proof in proved.proofs] == [False, True]


@pytest.mark.parametrize("name", SOON)
def test_another_program_for_the_task_is_proved_equal(name: str) -> None:
    check_equal(task(name))


@pytest.mark.slow
@named
def test_another_program_for_each_task_is_proved_equal(chosen: Task) -> None:
    check_equal(chosen)


class Wrong(ast.NodeTransformer):
    """The text with its k-th constant, comparison or sign changed."""

    def __init__(self, k: int) -> None:
        self.left = k

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        changeable = isinstance(node, (ast.Compare, ast.BinOp)) or (
            isinstance(node, ast.Constant) and isinstance(node.value, int)
        )
        if not changeable:
            return node
        self.left -= 1
        if self.left != -1:
            return node
        match node:
            case ast.Constant(value=int() as value):
                return ast.Constant(value + 1)
            case ast.Compare(left=left, comparators=others):
                return ast.Compare(left, [ast.NotEq() if isinstance(node.ops[0], ast.Eq) else ast.GtE()], others)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return ast.BinOp(left, ast.Sub(), right)
            case ast.BinOp(left=left, right=right):
                return ast.BinOp(left, ast.Add(), right)
        return node


def mutants(source: str) -> list[str]:
    found = []
    for k in range(200):
        changed = Wrong(k)
        text = ast.unparse(ast.fix_missing_locations(changed.visit(ast.parse(source))))
        if changed.left >= 0:
            break
        found.append(text)
    return found


@pytest.mark.parametrize(
    "name", ["Binary_Addition", "Majority_0_1", "Balanced_Parenthesis", "Div_5", "Sum_Last2", "Newton_Gravity"]
)
def test_wrong_programs_are_never_proved(name: str) -> None:
    """Each is either refuted, with an input that shows it, or agrees with the target on all inputs that are tried."""
    chosen = task(name)
    tried = mutants(VARIANTS[name])
    x = np.concatenate([chosen.sequences(3000, seed=1), chosen.sequences(500, seed=2) * 0 + chosen.low])
    refuted = 0
    for source in tried:
        proved = prove(source, SPECIFICATIONS[name], domain_of(chosen), seconds=4)
        wrong = (evaluate(source, x) != chosen.target(x)).any()
        if wrong:
            assert [proof.status for proof in proved.proofs] == ["refuted", "refuted"], source
        refuted += bool(really_differ(proved, source, SPECIFICATIONS[name], chosen.inputs))
    assert len(tried) >= 2
    assert refuted >= len(tried) // 2


def test_a_difference_beyond_the_length_refutes_every_length_only() -> None:
    counts = program("n = 0", "n = n + 1 if n < 40 else 40; y = int(n == 40)")
    never = program("", "y = 0")
    proved = prove(counts, never, Domain(1, 0, 1, 10))
    assert [proof.status for proof in proved.proofs] == ["proved", "refuted"]
    assert really_differ(proved, counts, never, 1) == [40]
    beyond = prove(counts, never, Domain(1, 0, 99, 39))
    assert [proof.status for proof in beyond.proofs] == ["proved", "refuted"]
    assert "turns of both loops" in beyond.its_length.method


def test_a_difference_that_random_runs_miss_is_found_by_the_solver() -> None:
    code = program("n = 0", "n = n + 1 if x == 7 * n + 3 else 0; y = int(n == 5)")
    never = program("", "y = 0")
    proved = prove(code, never, Domain(1, 0, 99, 6))
    assert [proof.status for proof in proved.proofs] == ["refuted", "refuted"]
    assert set(really_differ(proved, code, never, 1)) <= {5, 6}
    # Too many states to visit: unrolled.
    many = program("n = s1 = 0", "n = n + 1 if x == 7 * n + 3 else 0; s1 = s1 + x; y = int(n == 5) * s1")
    found = prove(many, never, Domain(1, 0, 99, 6))
    assert found.its_length.status == "refuted"
    assert really_differ(found, many, never, 1)


def test_arithmetic_is_pythons_integers_not_64_bits() -> None:
    """In 64 bits the power of two would become 0 after four turns."""
    grows = program("v = 1", "v = v * 65536; y = int(v == 0)")
    never = program("", "y = 0")
    proved = prove(grows, never, Domain(1, 0, 1, 10))
    assert proved.every_length.status == "proved"
    assert proved.every_length.method.startswith("induction")
    shrinks = program("v = 1", "v = v * 65536; y = int(v != 0)")
    assert prove(shrinks, never, Domain(1, 0, 1, 10)).every_length.status == "refuted"


def test_a_relation_that_is_not_kept_proves_nothing() -> None:
    pair = pair_of(VARIANTS["Parity_All"], program("y = 0", "y = x"), Domain(1, 0, 1, 10))
    false = [Relation("p_y == s_y", lambda s: s["p_y"] == s["s_y"])]
    assert not by_relations(pair, false, until=float("inf")).proved
    right = pair_of(VARIANTS["Parity_All"], SPECIFICATIONS["Parity_All"], Domain(1, 0, 1, 10))
    kept = Relation("p_y == s_count % 2", lambda s: s["p_y"] == s["s_count"] % 2)
    assert by_relations(right, [kept], until=float("inf")).proved
    shifted = Relation("p_y == s_count % 3", lambda s: s["p_y"] == s["s_count"] % 3)
    assert not by_relations(right, [shifted], until=float("inf")).proved
    untrue_at_the_start = Relation("false", lambda s: s["p_y"] == s["p_y"] + 1)
    assert not by_relations(right, [untrue_at_the_start], until=float("inf")).proved
    assert set(obligations(right, 1).state) == {"p_y", "s_count"}


def test_visited_states_are_those_that_can_be_reached() -> None:
    """Long division by 7: remainder 0..6, beside the last v = 2r + x, of which 0..13 occur with their remainder."""
    pair = pair_of(VARIANTS["Div_7"], SPECIFICATIONS["Div_7"], Domain(1, 0, 1, 10))
    found = visit(pair)
    assert found is not None
    assert sorted(found.states) == [(v, v % 7) for v in range(14)]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("y = 0 // x", "divisor is not positive"),
        ("y = x; ys.append(y)", "once per turn"),
    ],
)
def test_what_is_not_covered_is_not_proved_and_says_why(body: str, why: str) -> None:
    proved = prove(program("", body), program("", "y = 0"), Domain(1, 0, 1, 4))
    assert [proof.status for proof in proved.proofs] == ["not proved", "not proved"]
    assert all(why in proof.reason for proof in proved.proofs)


def test_a_divisor_that_is_always_positive_is_covered() -> None:
    proved = prove(program("", "y = 7 % (x + 1)"), program("", "y = 1 - x % 2 if x < 1 else 1"), Domain(1, 0, 1, 4))
    assert proved.every_length.status == "refuted"  # 7 % 1 is 0
    proved = prove(program("", "y = 7 % (x + 1)"), program("", "y = x"), Domain(1, 0, 1, 4))
    assert proved.every_length.status == "proved"


def test_length_is_proved_where_no_relation_is_found() -> None:
    """A sum of squares is no linear matter: the ten bits are run instead."""
    one = program("a = b = 0", "b = b + x * (2 * a + 1); a = a + x; y = b - a * a")
    zero = program("", "y = 0")
    proved = prove(one, zero, Domain(1, 0, 1, 10), seconds=4)
    assert proved.its_length.status == "proved"
    if proved.every_length.status != "proved":
        assert "1,024 sequences were run" in proved.its_length.method
        assert proved.every_length.reason
