"""What is drawn, against the published counts; what is kept, against the slow interpreter; and that it compiles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from engine.rasp.agreement import compare, defined
from engine.rasp.compiled import Domain
from engine.rasp.forward import outputs
from engine.rasp.functions import Value
from engine.rasp.interpreter import evaluate
from engine.rasp.language import Aggregate, Indices, SOp, Tokens, nodes
from engine.rasp.sampling.pools import MAPS, SEQUENCE_MAPS
from engine.rasp.sampling.sampler import Sampled, Sampler, sample_many
from engine.rasp.sampling.trials import DEFAULTS, PUBLISHED, Settings
from sessions.errors import CallError

ALL = [x for n in range(1, 6) for x in itertools.product(range(5), repeat=n)]


def _programs(n: int, seed: int, settings: Settings = DEFAULTS) -> list[Sampled]:
    sampler = Sampler(np.random.default_rng(seed), settings)
    return [sampler.program(4 + i % 6) for i in range(n)]


def _run(program: SOp, inputs: list[tuple[int, ...]]) -> list[list[Value] | None]:
    return defined(lambda rows: [evaluate(program, row) for row in rows], inputs)


def test_a_seed_gives_the_same_programs() -> None:
    first, again, other = (_programs(30, seed) for seed in (1, 1, 2))
    assert [p.tokens for p in first] == [p.tokens for p in again]
    assert [p.tokens for p in first] != [p.tokens for p in other]
    # ... whatever the sampler drew before
    sampler = Sampler(np.random.default_rng(9))
    for _ in range(20):
        sampler.program(5)
    sampler.rng = np.random.default_rng(1)
    assert [sampler.program(4 + i % 6).tokens for i in range(30)] == [p.tokens for p in first]


def test_both_lengths_are_reported() -> None:
    for i, one in enumerate(_programs(60, 3)):
        sops = [node for node in nodes(one.program) if isinstance(node, SOp)]
        inputs = [node for node in sops if isinstance(node, Tokens | Indices)]
        assert one.length == len(sops) == 4 + i % 6
        assert one.operations == len(sops) - len(inputs) == len(one.classes)
        assert any(isinstance(node, Tokens) for node in inputs)


@pytest.mark.parametrize("settings", [DEFAULTS, PUBLISHED])
def test_operations_occur_as_often_as_published(settings: Settings) -> None:
    found = sample_many(500, length=6, rng=np.random.default_rng(0), settings=settings).shares()
    published = {
        "Map": 0.37,
        "SequenceMap": 0.30,
        "SelectAggregate": 0.24,
        "LinearSequenceMap": 0.08,
        "SelectorWidth": 0.01,
    }
    drawn = 4 * 500
    for name, share in published.items():
        chance = 4 * math.sqrt(share * (1 - share) / drawn)
        assert abs(found[name] - share) < chance + 0.02, (name, found)  # the published are rounded counts of a sample


def test_short_programs_repeat_as_often_as_published() -> None:
    """39 % duplicates in 1,300 draws of length 4."""
    found = sample_many(1_300, length=4, rng=np.random.default_rng(0), unique=False)
    assert found.draws == 1_300
    assert abs(found.same_tokens / 1_300 - 0.39) < 0.06
    assert found.same_behaviour > 100


def test_unique_programs_differ_in_tokens_and_behaviour() -> None:
    found = sample_many(60, length=4, rng=np.random.default_rng(4))
    assert len({p.tokens for p in found}) == len({p.behaviour for p in found}) == 60
    assert found.draws == 60 + found.same_tokens + found.same_behaviour
    some = ALL[:: len(ALL) // 300]
    results = [
        str([None if row is None else [_number(v) for v in row] for row in _run(p.program, some)]) for p in found
    ]
    assert len(set(results)) >= 58  # two may differ on other inputs only


def test_programs_that_behave_alike_have_one_digest() -> None:
    found = sample_many(80, length=4, rng=np.random.default_rng(0), unique=False)
    by_digest: dict[bytes, list[Sampled]] = {}
    for one in found:
        by_digest.setdefault(one.behaviour, []).append(one)
    groups = [group for group in by_digest.values() if len({p.tokens for p in group}) > 1]
    assert groups
    for group in groups[:4]:
        results = [
            [None if row is None else [_number(v) for v in row] for row in _run(p.program, ALL)] for p in group[:2]
        ]
        assert results[0] == results[1]


def _number(value: Value) -> Value:
    return None if value is None else round(float(value), 5)


def test_sampling_ends_where_there_is_nothing_new() -> None:
    found = sample_many(10_000, length=2, rng=np.random.default_rng(0), patience=50)
    assert 0 < len(found) < 100


def test_what_is_kept_is_worth_keeping() -> None:
    full = [x for x in ALL if len(x) == 5]
    rng = np.random.default_rng(1)
    some = [full[i] for i in rng.choice(len(full), 100, replace=False)]
    for one in _programs(40, 5):
        results = [row for row in _run(one.program, some) if row is not None]
        assert len(results) > 90
        assert [tuple(row) for row in results] != some
        assert sum(v is None for row in results for v in row) / (5 * len(results)) < 0.5
        numbers = np.array([[0.0 if v is None else float(v) for v in row] for row in results])
        assert numbers.std(axis=0).sum() > 0.3  # 0.5 on the sampler's own inputs


def test_categorical_aggregates_do_not_average_words() -> None:
    """Every value that an aggregate gives is the one that all the keys it selects have, on all inputs."""
    some = ALL[:: len(ALL) // 400]
    seen = 0
    for one in _programs(40, 6):
        for node in nodes(one.program):
            if isinstance(node, Aggregate) and node.encoding == "categorical":
                seen += 1
                value, result = _run(node.sop, some), _run(node, some)
                for values, made in zip(value, result):
                    assert values is None or made is None or set(made) <= {*values, None}
    assert seen > 10


def test_sampled_programs_compile_to_what_they_compute() -> None:
    """200 programs of length 4 to 9, each on 30 inputs; five of them on all 3,905."""
    rng = np.random.default_rng(0)
    for i, one in enumerate(_programs(200, 7)):
        assert one.compiled is not None
        inputs = ALL if i % 40 == 0 else [ALL[j] for j in rng.choice(len(ALL), 30)]
        _agrees(one, inputs)


@pytest.mark.slow
def test_ten_thousand_sampled_programs_compile_to_what_they_compute() -> None:
    rng = np.random.default_rng(1)
    sampler = Sampler(rng)
    for i in range(10_000):
        _agrees(sampler.program(4 + i % 6), [ALL[j] for j in rng.choice(len(ALL), 40)])


def _agrees(one: Sampled, inputs: list[tuple[int, ...]]) -> None:
    assert one.compiled is not None
    found = compare(inputs, _run(one.program, inputs), outputs(one.compiled, inputs), exhaustive=inputs is ALL)
    assert found.agreed == found.tested, (one.tokens, found.difference)


def test_another_vocabulary_and_length() -> None:
    settings = Settings(vocab_size=9, max_len=7)
    sampler = Sampler(np.random.default_rng(0), settings)
    rng = np.random.default_rng(1)
    for _ in range(10):
        one = sampler.program(6)
        assert one.compiled is not None
        assert one.compiled.domain == Domain(tuple(range(9)), 7)
        inputs = [tuple(rng.integers(9, size=rng.integers(1, 8)).tolist()) for _ in range(40)]
        _agrees(one, inputs)


def test_mistakes_are_clear() -> None:
    with pytest.raises(CallError, match="length 1 are not drawn"):
        Sampler(np.random.default_rng(0)).program(1)
    with pytest.raises(CallError, match="all alike"):
        Sampler(np.random.default_rng(0), Settings(vocab_size=1))


def test_the_pools_are_the_published_ones() -> None:
    bodies = {key: [f.text.split(": ")[1] for f in pool] for key, pool in MAPS.items()}
    assert bodies["categorical", "categorical"] == ["x + 1", "x - 1"]
    assert bodies["freq", "float"] == bodies["float", "float"] == ["x", "x + 0.5", "x + 1", "x * 2"]
    assert len(bodies["categorical", "bool"]) == 10
    assert bodies["bool", "categorical"] == ["x", "not x"]
    assert [f.text.split(": ")[1] for f in SEQUENCE_MAPS] == ["x * y", "x + y % 10", "x - y", "x or y", "x and y"]
