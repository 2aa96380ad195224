"""Targets against a slow definition of each task, and data that share no sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from engine.rasp.transformer_programs.tasks import (
    NO_TARGET,
    all_payloads,
    encode,
    make_data,
    make_task,
    sample_payloads,
)
from sessions.errors import CallError

NAMES = ("reverse", "histogram", "double_histogram", "sort", "most_frequent", "dyck1", "dyck2")


def slow(name: str, s: Sequence[str]) -> list[str]:
    counts = Counter(s)
    if name == "reverse":
        return list(s)[::-1]
    if name == "sort":
        return sorted(s)
    if name == "histogram":
        return [str(counts[c]) for c in s]
    if name == "double_histogram":
        return [str(sum(other == counts[c] for other in counts.values())) for c in s]
    if name == "most_frequent":
        order = sorted(counts, key=lambda c: (-counts[c], s.index(c)))
        return order + ["<s>"] * (len(s) - len(order))
    result, stack = [], []
    for k, c in enumerate(s):
        if c in "({":
            stack.append(c)
        elif not stack or stack.pop() + c not in ("()", "{}"):
            return result + ["F"] * (len(s) - k)
        result.append("P" if stack else "T")
    return result


@pytest.mark.parametrize("name", NAMES)
def test_targets_are_those_of_the_definition(name: str) -> None:
    task = make_task(name, vocabulary=6, length=6 if name.startswith("dyck") else 7)
    for payloads in sample_payloads(task, 400, np.random.default_rng(0)):
        for row, target in zip(payloads, task.target(task, payloads)):
            assert [task.classes[c] for c in target] == slow(name, [task.symbols[k] for k in row])


def test_the_sizes_of_the_paper() -> None:
    assert [len(make_task(name).tokens) for name in NAMES] == [8, 8, 8, 8, 8, 4, 6]
    assert [make_task(name).context for name in NAMES] == [8, 8, 8, 8, 8, 16, 16]
    assert make_task("sort").size == sum(5**k for k in range(1, 7)) == 19_530
    assert make_task("hist").size == sum(6**k for k in range(1, 8)) == 335_922
    assert make_task("dyck2").causal


def test_all_inputs_are_different_and_all_there_are() -> None:
    task = make_task("hist", vocabulary=5, length=5)
    rows = [tuple(row) for chunk in all_payloads(task) for row in chunk.tolist()]
    assert len(rows) == len(set(rows)) == task.size


def test_special_tokens_stand_where_they_belong() -> None:
    task = make_task("reverse")
    examples = encode(task, np.array([[0, 3]]))
    assert [task.tokens[k] for k in examples.ids[0]] == ["<s>", "0", "3", "</s>", *["<pad>"] * 4]
    assert examples.targets[0].tolist() == [NO_TARGET, 3, 0, *[NO_TARGET] * 5]


@pytest.mark.parametrize("name", ["hist", "dyck1"])
def test_no_sequence_is_in_two_parts(name: str) -> None:
    data = make_data(make_task(name), 2_000, np.random.default_rng(3))
    parts = [{row.tobytes() for row in part.ids} for part in data]
    assert [len(part) for part in parts] == [1600, 200, 200]
    assert len(set.union(*parts)) == 2_000
    again = make_data(make_task(name), 2_000, np.random.default_rng(3))
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(data, again))


def test_wrong_names_and_sizes_get_a_sentence() -> None:
    with pytest.raises(CallError, match="histogram"):
        make_task("histogramm")
    with pytest.raises(CallError, match="length"):
        make_task("sort", length=2)
    with pytest.raises(CallError, match="vocabulary"):
        make_task("sort", vocabulary=4)
