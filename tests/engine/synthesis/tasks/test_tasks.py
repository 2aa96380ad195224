"""Targets against the same definitions in plain Python, one sequence at a time, and against examples by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engine.synthesis.domain import Domain
from engine.synthesis.programs.evaluator import evaluate
from engine.synthesis.tasks.benchmark import TASKS, Task, task
from engine.synthesis.tasks.specifications import SPECIFICATIONS
from sessions.errors import CallError
from tests.engine.synthesis.tasks.reference import REFERENCES

named = pytest.mark.parametrize("chosen", TASKS, ids=lambda t: t.name)


def trials(chosen: Task) -> np.ndarray:
    """Random sequences, and some in which ties, repetitions and extremes are frequent."""
    x = chosen.sequences(300, seed=5)
    few = np.random.default_rng(6).choice([chosen.low, chosen.high], (100, chosen.length, chosen.inputs))
    repeated = np.repeat(x[:100, ::2], 2, axis=1)
    return np.concatenate([x, few, repeated, np.full_like(x[:1], chosen.low), np.full_like(x[:1], chosen.high)])


@named
def test_targets_are_what_the_benchmark_defines(chosen: Task) -> None:
    x = trials(chosen)
    y = chosen.target(x)
    assert y.shape == (len(x), chosen.length, chosen.outputs)
    assert np.issubdtype(y.dtype, np.integer)
    for rows, wanted in zip(x.tolist(), y.tolist()):
        assert REFERENCES[chosen.name]([tuple(row) for row in rows]) == [tuple(row) for row in wanted]


@named
def test_specifications_say_the_same(chosen: Task) -> None:
    x = trials(chosen)
    found = evaluate(SPECIFICATIONS[chosen.name], x)
    assert found.reshape(len(x), chosen.length, chosen.outputs).tolist() == chosen.target(x).tolist()


@named
def test_outputs_never_depend_on_what_comes_later(chosen: Task) -> None:
    x = chosen.sequences(50, seed=1)
    assert (chosen.target(x[:, :4]) == chosen.target(x)[:, :4]).all()


@pytest.mark.parametrize(
    ("name", "read", "written"),
    [
        ("Parity_Last4", [1, 0, 0, 0, 0, 1], [1, 1, 1, 1, 0, 1]),
        ("Parity_Zeros", [1, 0, 0, 1], [0, 1, 0, 0]),
        ("Evens_Counter", [0, 1, 2, 4], [1, 1, 2, 3]),
        ("Sum_Last3", [5, 6, 7, 8], [5, 11, 18, 21]),
        ("Prev2", [5, 6, 7, 8], [0, 0, 5, 6]),
        ("Previous_Equals_Current", [0, 0, 3, 3], [1, 1, 0, 1]),
        ("Previous_Equals_Current", [3, 3], [0, 1]),
        ("Diff_Last2", [-100, 99, 99], [-100, 199, 0]),
        ("Abs_Diff", [-100, 99], [100, 199]),
        ("Diff_Abs_Values", [-100, 99, 0], [100, -1, -99]),
        ("Min_Seen", [7, 9, 3, 4], [7, 7, 3, 3]),
        ("Majority_0_1", [1, 0, 1, 0], [1, 0, 1, 0]),
        ("Majority_0_3", [3, 2, 2, 3, 1, 1, 0, 3], [3, 2, 2, 2, 2, 1, 1, 3]),
        ("Perfect_Square_Detector", [0, 1, 2, 4, 16, 17], [1, 1, 0, 1, 1, 0]),
        ("Bit_Palindrome", [1, 0, 1, 1, 0, 1], [1, 0, 1, 0, 0, 1]),
        ("Balanced_Parenthesis", [0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 0, 1]),
        ("Balanced_Parenthesis", [1, 0, 0, 1], [0, 0, 0, 0]),
        ("Parity_Bits_Mod2", [1, 1, 1], [0, 1, 0]),
        ("Alternating_Last3", [0, 1, 0], [0, 0, 1]),
        ("Alternating_Last3", [1, 0, 1, 1], [0, 1, 1, 0]),  # 1, 0 after the zero before the start is 0, 1, 0
        ("Alternating_Last4", [1, 0, 1, 0], [0, 0, 1, 1]),
        ("Div_5", [1, 1, 1, 1], [0, 0, 1, 1]),
        ("Dithering", [15, 14, 1, 0], [1, 0, 1, 0]),
        ("Newton_Gravity", [0, 0, 0], [-1, -3, -6]),
        ("Newton_Spring", [1, 0, 0, 0], [1, 1, 0, -1]),
    ],
)
def test_examples_by_hand(name: str, read: list[int], written: list[int]) -> None:
    assert task(name).target(np.array(read)[None, :, None])[0, :, 0].tolist() == written


def test_a_sum_is_written_least_digit_first_and_its_last_carry_dropped() -> None:
    x = np.array([[[6, 6], [6, 6], [0, 1]], [[6, 1], [6, 0], [6, 0]]])
    assert task("Base_7_Addition").target(x)[:, :, 0].tolist() == [[5, 6, 2], [0, 0, 0]]


def test_tasks_are_those_of_the_reference_in_its_order() -> None:
    assert [t.number for t in TASKS] == list(range(1, 63))
    assert len({t.name for t in TASKS}) == 62
    assert set(REFERENCES) == set(SPECIFICATIONS) == {t.name for t in TASKS}
    assert {t.name for t in TASKS if t.length == 20} == {"Sum_Last5", "Sum_Last6", "Sum_Last7", "Prev5"}
    assert [t.name for t in TASKS if t.outputs == 2] == ["Newton_Magnetic"]


def test_the_table_of_the_reference_if_it_is_here() -> None:
    """Names, numbers of inputs, ranges and lengths against the text of the specification itself."""
    text = Path("/work/shared/reference/mips_benchmark.md")
    if not text.exists():
        pytest.skip("the reference is not part of the repository")
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\d) \| (-?\d+)\.\.(\d+)[^|]*\| (\d+) \|", text.read_text(), re.M)
    assert len(rows) == 62
    assert [(t.number, t.name, t.inputs, t.low, t.high, t.length) for t in TASKS] == [
        (int(number), name, int(inputs), int(low), int(high), int(length))
        for number, name, inputs, low, high, length in rows
    ]


def test_sequences_cover_their_range_evenly() -> None:
    for chosen in TASKS:
        if chosen.name == "Bit_Palindrome":
            continue
        x = chosen.sequences(4_000)
        assert (x.min(), x.max()) == (chosen.low, chosen.high)
        middle, spread = (chosen.low + chosen.high) / 2, chosen.high - chosen.low + 1
        assert abs(x.mean() - middle) < 6 * spread / np.sqrt(12 * x.size)


def test_equal_sequences_are_drawn_once() -> None:
    small = task("Previous_Equals_Current")._replace(high=1, length=5)
    x = small.sequences(30, seed=3)
    assert len(np.unique(x, axis=0)) == len(x) == 30
    assert (np.diff([int("".join(map(str, row[:, 0])), 2) for row in x]) < 0).any()  # not sorted
    assert len(small.sequences(100)) == 32  # there are no more


def test_palindromes_come_first_with_uniform_lengths() -> None:
    chosen = task("Bit_Palindrome")
    x, y = chosen.data(20_000, seed=4)
    for length in range(2, 11):
        # Chosen with 1/9; else a palindrome by chance, or with a longer one around it, at most as often as 2 in 1/2.
        share = float(y[:, length - 1, 0].mean())
        uniform = 2.0 ** -(length // 2)
        assert share > 1 / 9 + 8 / 9 * 0.5 * uniform
    assert abs(float(y[:, 9, 0].mean()) - by_enumeration()) < 0.015
    assert abs(x.mean() - 0.5) < 0.02


def by_enumeration() -> float:
    """The chance that all ten bits are a palindrome: each of the 9 lengths forces some of the five equalities."""
    chance = 0.0
    for length in range(2, 11):
        parent = list(range(10))

        def root(place: int, parent: list[int] = parent) -> int:
            while parent[place] != place:
                place = parent[place]
            return place

        for k in range(length // 2):
            parent[root(k)] = root(length - 1 - k)
        free = 0
        for k in range(5):
            if root(k) != root(9 - k):
                parent[root(k)] = root(9 - k)
                free += 1
        chance += 2.0**-free / 9
    return chance


def test_the_same_seed_gives_the_same_data() -> None:
    for name in ("Div_3", "Previous_Equals_Current", "Bit_Palindrome"):
        one, other = task(name).data(50, seed=1), task(name).data(50, seed=1)
        assert (one[0] == other[0]).all()
        assert (one[0] != task(name).data(50, seed=2)[0]).any()


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(CallError, match="Div_3"):
        task("Div3")


def test_a_domain_lists_every_sequence_once() -> None:
    domain = Domain(2, -1, 1, 2)
    x = np.concatenate(list(domain.chunks(10)))
    assert x.shape == (81, 2, 2)
    assert domain.size == 81
    assert len({row.tobytes() for row in x}) == 81
    assert x.min() == -1
    assert x.max() == 1
    assert domain.alphabet()[:2] == ((-1, -1), (-1, 0))
