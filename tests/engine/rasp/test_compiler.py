"""A compiled model computes what its program means: outputs, and every direction of the residual stream."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine.rasp import forward
from engine.rasp.compiled import BOS, OURS, PAD, TRACR, Compiled, Construction, Domain
from engine.rasp.compiler import compile_program
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
    categorical,
    indices,
    numerical,
    tokens,
)
from engine.rasp.library import LIBRARY
from engine.rasp.library import program as library_program
from engine.rasp.value_sets import infer
from sessions.errors import CallError
from tests.engine.rasp.by_hand import defined, evaluate_all, ideal, random_program

SMALL = Domain((0, 1, 2), 3)


def f(text: str) -> Function:
    return Function.parse(f"lambda x: {text}")


def every_input(domain: Domain) -> list[tuple[Value, ...]]:
    return [x for n in range(1, domain.max_len + 1) for x in itertools.product(domain.vocab, repeat=n)]


def residual_error(compiled: Compiled, rows: Sequence[Sequence[Value]]) -> float:
    """The largest, relative to the number itself where that is beyond 1."""
    found = forward.run(compiled, forward.encode(compiled, rows)).resid[-1]
    wanted, known = ideal(compiled, rows)
    return float((np.abs(found - wanted) / np.maximum(1, np.abs(wanted)) * known).max())


def check(program: SOp, domain: Domain, rows: Sequence[Sequence[Value]] | None = None) -> Compiled:
    """Outputs and residual stream, on all inputs at once (so that short ones are padded)."""
    compiled = compile_program(program, domain)
    rows = every_input(domain) if rows is None else rows
    for row, found in zip(rows, forward.outputs(compiled, rows), strict=True):
        values = defined(compiled, row)
        if values is None:
            continue
        for wanted, got in zip(values[program], found, strict=True):
            if wanted is not None and compiled.outputs is None:
                assert got == pytest.approx(float(wanted), rel=1e-4, abs=1e-4), (row, values[program], found)
            elif wanted is not None:
                assert got == wanted, (row, values[program], found)
    assert residual_error(compiled, rows) < 1e-4
    return compiled


def hist() -> SelectorWidth:
    return SelectorWidth(Select(tokens, tokens, Comparison.EQ)).named("hist")


def length() -> SelectorWidth:
    return SelectorWidth(Select(tokens, tokens, Comparison.TRUE)).named("length")


def fractions(text: str = "x == 1", by: Comparison = Comparison.LEQ) -> Aggregate:
    marked = numerical(Map(f(text), tokens))
    return numerical(Aggregate(Select(indices, indices, by), marked, 0))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("seed", range(80))
def test_random_programs_on_all_inputs(seed: int, causal: bool) -> None:
    rng = np.random.default_rng([seed, causal])
    program = random_program(rng, int(rng.integers(2, 9)))
    with contextlib.suppress(CallError):  # the generator does not know everything that is refused
        check(program, Domain(SMALL.vocab, SMALL.max_len, causal))


def test_most_random_programs_compile() -> None:
    compiled = 0
    for seed in range(200):
        with contextlib.suppress(CallError):
            compile_program(random_program(np.random.default_rng(seed), 6), SMALL)
            compiled += 1
    assert compiled > 120


@pytest.mark.slow
def test_many_random_programs() -> None:
    for seed in range(2_000):
        rng = np.random.default_rng([17, seed])
        program = random_program(rng, int(rng.integers(3, 12)))
        with contextlib.suppress(CallError):
            check(program, Domain((-1, 0, 1, 2), 3, bool(seed % 2)))


SOME = Map(f("None if x == 1 else x"), tokens)
PROGRAMS: dict[str, tuple[SOp, Domain]] = {
    "negative numbers": (numerical(Map(f("-x"), tokens)), SMALL),
    "negative tokens": (numerical(Map(f("x * 2.5"), tokens)), Domain((-2, -1, 3), 3)),
    "thirds": (Map(f("x == 2 / 3"), fractions()), SMALL),
    "sum of widths": (
        numerical(LinearSequenceMap(numerical(hist()), numerical(length()), 2, -1)),
        SMALL,
    ),
    "booleans, 1 and 1.0": (
        SequenceMap(Function.parse("lambda x, y: x or y"), Map(f("x == 1"), tokens), indices),
        SMALL,
    ),
    "one s-op twice": (SequenceMap(Function.parse("lambda x, y: x * y"), hist(), hist()), SMALL),
    "division by zero is dropped": (Map(f("6 / x"), tokens), SMALL),
    "None": (Map(f("None if x == 0 else x"), tokens), SMALL),
    "None as a key": (SelectorWidth(Select(SOME, tokens, Function.parse("lambda k, q: k is None"))), SMALL),
    "None as a query": (
        Aggregate(Select(indices, SOME, Function.parse("lambda k, q: q is None and k == 0")), tokens),
        SMALL,
    ),
    "None as neither": (SelectorWidth(Select(SOME, SOME, Function.parse("lambda k, q: k != q"))), SMALL),
    "words": (
        Aggregate(Select(indices, indices, Function.parse("lambda k, q: k == q - 1")), tokens),
        Domain(("a", "b"), 4),
    ),
    "words and numbers": (hist(), Domain(("a", 2, 10, True), 3)),
    "tuples": (
        SelectorWidth(
            Select(
                SequenceMap(Function.parse("lambda x, y: (x, y)"), tokens, indices),
                SequenceMap(Function.parse("lambda x, y: (x, y)"), tokens, indices),
                Function.parse("lambda k, q: k[0] == q[0] and k[1] <= q[1]"),
            )
        ),
        SMALL,
    ),
    "one token": (length(), Domain((7,), 1)),
    "nothing is selected": (SelectorWidth(Select(tokens, tokens, Comparison.FALSE)), SMALL),
    "more values than keys": (
        Aggregate(Select(Map(f("x > 0"), tokens), Map(f("x > 0"), tokens), Comparison.NEQ), hist()),
        Domain((0, 1), 4),
    ),
    "copies of tokens": (
        SelectorWidth(Select(tokens.named("letters"), categorical(tokens), Comparison.LT)),
        SMALL,
    ),
}


@pytest.mark.filterwarnings("ignore:sequence_map of an s-op with itself")
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("causal", [False, True])
def test_programs_on_all_inputs(name: str, causal: bool) -> None:
    program, domain = PROGRAMS[name]
    check(program, Domain(domain.vocab, domain.max_len, causal))


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library(name: str) -> None:
    entry = LIBRARY[name]
    program = library_program(name)
    check(program, Domain(entry.vocab[:3], min(entry.max_len, 4), entry.causal))
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, entry.max_len + 1, 100)
    rows = [tuple(entry.vocab[i] for i in rng.integers(len(entry.vocab), size=n)) for n in lengths]
    check(program, Domain(entry.vocab, entry.max_len, entry.causal), rows)


def test_the_beginning_stays_clean() -> None:
    """Numerical maps that are not 0 at 0, and two widths in one layer: nothing of it is left at BOS."""
    shifted = numerical(Map(f("x + 3"), fractions()))
    wide = Map(f("x > 0.4"), fractions())
    both = numerical(LinearSequenceMap(numerical(hist()), numerical(length()), 1, 1))
    for program in (shifted, wide, both):
        c = compile_program(program, SMALL)
        row = forward.run(c, forward.encode(c, [(0, 1, 2)])).resid[-1][0, 0]
        clean = np.zeros(c.d_model)
        clean[[c.residual.index("one"), c.residual.index(f"tokens:{BOS}")]] = 1
        np.testing.assert_allclose(row, clean, atol=1e-7)


def test_padding_changes_nothing() -> None:
    for program in (hist(), fractions(by=Comparison.TRUE), SelectorWidth(Select(hist(), hist(), Comparison.LEQ))):
        c = compile_program(program, Domain((0, 1), 6))
        rows = [(0, 1, 1), (1,)]
        together = forward.encode(c, [*rows, (0,) * 6])
        assert (together[1, 2:] == c.tokens.index(PAD)).all()
        found = forward.run(c, together).logits
        for i, row in enumerate(rows):
            alone = forward.run(c, forward.encode(c, [row])).logits[0]
            np.testing.assert_allclose(found[i, : len(row) + 1], alone, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [10, 60, 200])
def test_float32_carries_long_inputs(n: int, causal: bool) -> None:
    rng = np.random.default_rng(n)
    domain = Domain(tuple(range(1, n + 1)), n, causal)
    mixed = [rng.integers(1, n + 1, n), rng.integers(1, 4, n), np.full(n, 2), np.full(1, 2), rng.permutation(n) + 1]
    rows: list[Any] = [row.tolist() for row in mixed]
    smaller = SelectorWidth(Select(tokens, tokens, Comparison.LT)).named("smaller")
    for program in (
        hist(),
        numerical(hist()),
        Map(f("x > 0.5"), fractions("x < 3")),
        Map(f("x * 2"), numerical(hist())),
        numerical(Map(f("x / 2 + 1"), numerical(smaller))),
        numerical(LinearSequenceMap(numerical(hist()), numerical(smaller), 1, -1)),
        numerical(Map(f("x"), hist())),
        Aggregate(Select(indices, indices, Function.parse("lambda k, q: q == k + 2")), tokens),
    ):
        assert residual_error(compile_program(program, domain), rows) < 2e-5
    in_order = Aggregate(Select(smaller, indices, Comparison.EQ), tokens)
    if not causal:
        check(in_order, domain, [rows[-1], rows[-1][: n // 2]])


def test_value_sets() -> None:
    of = fractions()
    over = Map(f("x > 0.4"), of)
    sets = infer(over, SMALL)
    assert sets[tokens] == (0, 1, 2)
    assert sets[of] == (0, 1 / 3, 1 / 2, 2 / 3, 1)  # the original's has no 2 / 3
    assert infer(over, SMALL, TRACR)[of] == (0, 1 / 3, 1 / 2, 1)
    assert sets[over] == (False, True)
    assert of not in infer(of, SMALL)
    assert infer(Map(f("None if x == 1 else 1 / x"), tokens), SMALL)[tokens] == (0, 1, 2)
    assert infer(hist(), Domain(("a", 10, 2, True), 3))[tokens] == (True, 2, 10, "a")


def test_what_the_original_gets_wrong() -> None:
    """The repairs are what makes these right (reference, sections 2 and 3)."""

    def right(program: SOp, domain: Domain, row: Sequence[Value], construction: Construction) -> bool:
        found = forward.outputs(compile_program(program, domain, construction), [row])[0]
        wanted = evaluate_all(program, row, domain.causal)[program]
        return all(abs(got - w) < 1e-3 for w, got in zip(wanted, found, strict=True))

    cases: list[tuple[SOp, Domain, list[Value]]] = [
        (hist(), Domain((0, 1), 20), [0] * 20),  # one exactness for thresholds that draw closer
        (numerical(Map(f("-x"), tokens)), SMALL, [0, 1, 2]),  # negative weights die in the ReLU
        (Map(f("x > 0.6"), fractions()), SMALL, [1, 1, 0]),  # 2/3 is in no value set, so its threshold is elsewhere
        (fractions(by=Comparison.EQ), Domain((0, 1), 300), [0, 1] * 150),  # scores divided by sqrt(d_head)
    ]
    for program, domain, row in cases:
        assert right(program, domain, row, OURS)
        assert not right(program, domain, row, TRACR), program


def test_sets_that_nothing_needs_are_not_enumerated() -> None:
    """The differences of averages over 300 positions are hundreds of millions; only the number is needed."""
    opens, closes = fractions("x == 1"), fractions("x == 2")
    balance = numerical(LinearSequenceMap(opens, closes, 1, -1))
    domain = Domain((0, 1, 2), 300)
    c = compile_program(balance, domain)
    assert c.variables[-1].values is None
    row = [1, 2, 0] * 100
    wanted = evaluate_all(balance, row[:50])[balance]
    found = forward.outputs(c, [row[:50]])[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    with pytest.raises(CallError, match="sums"):
        compile_program(Map(f("x > 0"), balance), domain)


def test_what_grows_too_large_is_said_before_memory_is_gone() -> None:
    both = SequenceMap(Function.parse("lambda x, y: x + y"), tokens, indices)
    with pytest.raises(CallError, match="pairs"):
        compile_program(both, Domain(tuple(range(5_000)), 5_000))
    with pytest.raises(CallError, match="weights"):
        compile_program(both, Domain(tuple(range(900)), 900))


def test_an_s_op_without_values_is_refused() -> None:
    for nothing in (Map(f("None"), tokens), Map(f("x / 0"), fractions())):
        with pytest.raises(CallError, match="no value at all"):
            compile_program(nothing, SMALL)


def test_values_too_close_for_float32_are_refused() -> None:
    close = Map(f("x == 0.3"), numerical(Map(f("0.1 + 0.2 if x else 0.3"), tokens)), simplify=False)
    with pytest.raises(CallError, match="too close"):
        compile_program(close, SMALL)


def test_compiling_is_deterministic() -> None:
    for seed in range(20):
        program = random_program(np.random.default_rng(seed), 5)
        try:
            a, b = compile_program(program, SMALL), compile_program(program, SMALL)
        except CallError:
            continue
        assert a.residual == b.residual
        assert a.variables == b.variables
        for name, w in a.state.items():
            np.testing.assert_array_equal(w, b.state[name])


def test_one_exactness_for_all_thresholds_can_be_asked_for() -> None:
    c = compile_program(hist(), Domain((0, 1), 4), Construction(exactness=100.0))
    assert set(np.unique(np.abs(c.state["blocks.0.mlp.W_in"][c.variables[-1].attention_dim]))) == {0.0, 100.0}


def test_inputs_that_do_not_fit() -> None:
    c = compile_program(hist(), SMALL)
    with pytest.raises(CallError, match="4 tokens"):
        forward.encode(c, [(0, 1, 2, 0)])
    for odd in (9, BOS, [1], None):
        with pytest.raises(CallError, match="not in the vocabulary"):
            forward.encode(c, [(odd,)])
    with pytest.raises(CallError, match="beginning"):
        forward.run(c, np.array([[0, 1]]))


def test_a_sequence_map_of_one_s_op_is_not_taken_for_one_of_two() -> None:
    """Both have the same function on the same value sets, and other units."""
    f = Function.parse("lambda x, y: x * 10 + y")
    for causal in (False, True):
        first = Aggregate(Select(indices, tokens, Comparison.EQ), indices)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twice = SequenceMap(f, first, first)
        program = SequenceMap(Function.parse("lambda x, y: (x, y)"), twice, SequenceMap(f, first, indices))
        c = compile_program(program, Domain((0, 1, 2), 3, causal))
        outputs = forward.outputs(c, [(0, 1, 2), (0, 0, 1)])
        assert outputs == [[(0, 0), (11, 11), (22, 22)], [(0, 0), (0, 1), (11, 12)]]
