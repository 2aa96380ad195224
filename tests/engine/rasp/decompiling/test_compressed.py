"""Streams projected on fewer directions: what is verified is the model's function, and what is not is said."""

from __future__ import annotations

import numpy as np

from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.compression import compressed
from engine.rasp.decompiling.benchmark import benchmark
from engine.rasp.rotation import rotated
from engine.rasp.sampling.sampler import Sampler
from engine.rasp.syntax import parse
from tests.engine.rasp.decompiling.models import decompiled
from tests.engine.rasp.decompiling.test_decompiler import assert_same_function

SMALL = Domain((0, 1, 2, 3, 4), 5)


def test_a_projected_stream_is_read() -> None:
    rng = np.random.default_rng(0)
    p = parse("m = map(lambda x: x + 1, tokens)\naggregate(select(indices, m, ==), tokens)")
    c, fidelity = compressed(rotated(compile_program(p, SMALL), rng), 0.9, rng)
    assert fidelity.inputs_same == 1
    d = decompiled(c)
    assert d.method == "projected weights"
    assert (d.verification.kind, d.verification.holds) == ("behaviour", True), d.verification.what
    assert_same_function(d.program, p, SMALL, rng)


def test_what_holds_is_right() -> None:
    """Most models with nine tenths of their directions are read; none is called verified that is another function."""
    rng = np.random.default_rng(1)
    sampler = Sampler(rng)
    held = 0
    for _ in range(12):
        p = sampler.program(int(rng.integers(4, 7))).program
        c, fidelity = compressed(rotated(compile_program(p, SMALL), rng), 0.9, rng)
        d = decompiled(c)
        if d.verification.holds:
            held += 1
            if fidelity.inputs_same == 1:
                assert_same_function_closely(d.program, p, rng)
    assert held >= 8


def assert_same_function_closely(found: object, wanted: object, rng: np.random.Generator) -> None:
    from engine.rasp.agreement import compare, defined, inputs_of
    from engine.rasp.language import SOp
    from engine.rasp.vectorised import Batch

    assert isinstance(found, SOp)
    assert isinstance(wanted, SOp)
    inputs, exhaustive = inputs_of(SMALL, rng, 500)
    reference = defined(lambda rows: Batch(rows).evaluate(wanted), inputs)
    ours = defined(lambda rows: Batch(rows).evaluate(found), inputs)
    both = [None if o is None or r is None else r for r, o in zip(reference, ours)]
    agreement = compare(inputs, both, ours, exhaustive=exhaustive, tolerance=0.03)
    assert agreement.agreed >= 0.98 * agreement.tested


def test_the_benchmark_counts() -> None:
    rng = np.random.default_rng(2)
    sampler = Sampler(rng)
    programs = [sampler.program(4).program for _ in range(3)]
    seen = []
    rows = benchmark(programs, SMALL, rng, keeps=(0.9,), progress=lambda done, total: seen.append((done, total)))
    assert [row.condition for row in rows] == ["sparse", "rotated", "90% of directions kept"]
    assert seen[-1] == (9, 9)
    assert rows[0].exact == rows[0].behaves == rows[1].behaves == 1
    for row in rows:
        assert row.models == 3
        assert abs(row.behaves + row.partial + row.nothing - 1) < 1e-9
        assert 0 < row.median_ms <= row.slowest_ms
