"""Programs are compiled and read back from the weights; the interpreter says whether it is the same function."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from engine.rasp.compiled import OURS, TRACR, Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.interpreter import evaluate
from engine.rasp.language import SOp
from engine.rasp.library import LIBRARY, program
from engine.rasp.normalised import with_layer_norm
from engine.rasp.packing import packed
from engine.rasp.printing import to_text
from engine.rasp.rotation import rotated
from engine.rasp.sampling.sampler import Sampler
from engine.rasp.syntax import parse
from tests.engine.rasp.decompiling.models import decompiled, shuffled

SMALL = Domain((0, 1, 2, 3, 4), 5)


def close(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) < 1e-4
    return bool(a == b)


def assert_same_function(found: SOp | None, wanted: SOp, domain: Domain, rng: np.random.Generator) -> None:
    """By the slow interpreter, on short inputs and some long ones, where the original is defined."""
    assert found is not None
    inputs = [x for n in (1, 2) for x in itertools.product(domain.vocab, repeat=n)]
    for _ in range(30):
        n = int(rng.integers(2, domain.max_len + 1))
        inputs.append(tuple(domain.vocab[i] for i in rng.integers(len(domain.vocab), size=n)))
    compared = 0
    for x in inputs:
        try:
            reference = evaluate(wanted, list(x), causal=domain.causal)
        except (ValueError, TypeError, ArithmeticError):
            continue
        ours = evaluate(found, list(x), causal=domain.causal)
        for a, b in zip(reference, ours, strict=True):
            if a is not None:
                compared += 1
                assert close(a, b), (x, reference, ours)
    assert compared > 0


def sampled(seed: int, count: int) -> list[SOp]:
    sampler = Sampler(np.random.default_rng(seed))
    return [sampler.program(4 + i % 5).program for i in range(count)]


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("construction", [OURS, TRACR], ids=["ours", "original"])
def test_library_programs_give_the_same_weights_again(name: str, construction: Any) -> None:
    entry = LIBRARY[name]
    domain = Domain(tuple(entry.vocab), entry.max_len, entry.causal)
    d = decompiled(compile_program(program(name), domain, construction))
    assert (d.verification.kind, d.verification.holds) == ("weights", True), d.verification.what
    assert d.unread == ()
    assert (set(d.domain.vocab), d.domain.max_len) == (set(domain.vocab), domain.max_len)
    assert_same_function(d.program, program(name), domain, np.random.default_rng(0))


@pytest.mark.parametrize("changed", [shuffled, rotated], ids=["shuffled", "rotated"])
@pytest.mark.parametrize("name", ["reverse", "sort", "shuffle_dyck", "pair_balance"])
def test_a_change_of_basis_hides_nothing(name: str, changed: Any) -> None:
    entry = LIBRARY[name]
    domain = Domain(tuple(entry.vocab), entry.max_len, entry.causal)
    rng = np.random.default_rng(1)
    d = decompiled(changed(compile_program(program(name), domain), rng))
    assert (d.verification.kind, d.verification.holds) == ("weights", True), d.verification.what
    assert_same_function(d.program, program(name), domain, rng)
    turned = changed is rotated
    assert all((line.dims is None) == turned for line in d.lines if line.encoding == "categorical")


@pytest.mark.parametrize("changed", [None, shuffled, rotated], ids=["sparse", "shuffled", "rotated"])
def test_sampled_programs(changed: Any) -> None:
    rng = np.random.default_rng(2)
    for p in sampled(3, 20):
        c = compile_program(p, SMALL)
        d = decompiled(c if changed is None else changed(c, rng))
        assert d.verification.holds, (to_text(p), d.verification.what)
        assert_same_function(d.program, p, SMALL, rng)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [None, shuffled, rotated], ids=["sparse", "shuffled", "rotated"])
def test_many_sampled_programs(changed: Any) -> None:
    rng = np.random.default_rng(4)
    failed = 0
    programs = sampled(5, 300)
    for p in programs:
        c = compile_program(p, SMALL)
        failed += not decompiled(c if changed is None else changed(c, rng)).verification.holds
    assert failed <= (3 if changed is rotated else 0)


def test_heads_that_share_a_selector_and_layer_norm() -> None:
    for name in ("pair_balance", "shuffle_dyck"):
        entry = LIBRARY[name]
        domain = Domain(tuple(entry.vocab), entry.max_len, entry.causal)
        d = decompiled(packed(program(name), domain))
        assert d.verification.holds, d.verification.what
        assert_same_function(d.program, program(name), domain, np.random.default_rng(0))
    entry = LIBRARY["sort"]
    domain = Domain(tuple(entry.vocab), entry.max_len)
    d = decompiled(with_layer_norm(compile_program(program("sort"), domain)))
    assert (d.verification.kind, d.verification.holds) == ("weights", True)
    assert "LayerNorm" in d.verification.what


def test_lines_say_where_they_come_from() -> None:
    domain = Domain((1, 2, 3, 4), 4)
    c = compile_program(program("sort_unique"), domain)
    d = decompiled(c)
    known: dict[Any, Any] = {(v.op, v.head): v for v in c.variables}
    for line in d.lines:
        v = known[line.op, line.head]
        assert line.dims is not None
        assert set(line.dims) == set(v.dims)
        assert line.units == (() if v.units is None else (v.units,))
        assert line.read
        assert line.how


def test_what_the_weights_do_not_tell_is_said() -> None:
    # No index is greater than 10, so nothing in the weights says what the number that is always 0 was made of.
    text = """
zero = numerical(map(lambda x: x > 10, indices))
other = numerical(map(lambda x: x, tokens))
numerical(linear_sequence_map(zero, other, 1, 1))
"""
    d = decompiled(compile_program(parse(text), Domain((1, 2, 3), 3)))
    assert d.verification.holds
    assert any("not in the weights" in sentence for sentence in d.unread)
    assert any(not line.read for line in d.lines)


def test_comparisons_that_coincide_are_all_named() -> None:
    d = decompiled(compile_program(parse("selector_width(select(tokens, tokens, !=))"), Domain(("a", "b"), 3)))
    (line,) = [line for line in d.lines if line.op == "SelectorWidth"]
    assert line.alternatives == ()
    d = decompiled(compile_program(parse("aggregate(select(tokens, indices, <), tokens)"), Domain((5, 6), 3)))
    (line,) = [line for line in d.lines if line.op == "Aggregate"]
    assert "false" in line.alternatives or line.how.count("not in the weights")


def test_a_model_that_was_not_compiled_is_not_read() -> None:
    rng = np.random.default_rng(0)
    c = compile_program(program("sort_unique"), Domain((1, 2, 3, 4), 4))
    noise = {name: np.asarray(rng.standard_normal(w.shape), np.float32) for name, w in c.state.items()}
    d = decompiled(Compiled(**{**c.__dict__, "state": noise}))
    assert not d.verification.holds
    assert d.unread


def test_a_changed_weight_is_noticed() -> None:
    """Two entries of a table changed places: what is found is the changed function."""
    domain = Domain((0, 1, 2), 3)
    c = compile_program(parse("sequence_map(lambda x, y: x * y, tokens, indices)"), domain)
    state = {name: w.copy() for name, w in c.state.items()}
    row = int(np.flatnonzero(state["blocks.0.mlp.W_out"].any(1))[0])
    state["blocks.0.mlp.W_out"][[row, row + 4]] = state["blocks.0.mlp.W_out"][[row + 4, row]]
    d = decompiled(Compiled(**{**c.__dict__, "state": state}))
    assert d.verification.holds
    assert d.program is not None
    assert evaluate(d.program, [0, 1, 2]) != evaluate(c.program, [0, 1, 2]) or evaluate(d.program, [1, 1]) != evaluate(
        c.program, [1, 1]
    )
