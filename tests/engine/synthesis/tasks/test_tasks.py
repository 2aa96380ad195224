"""Targets against the same definitions in plain Python, one number at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.synthesis.domain import Domain
from engine.synthesis.tasks.benchmark import TASKS, Task, task
from sessions.errors import CallError

Rows = list[tuple[int, ...]]


def addition(rows: Rows) -> list[int]:
    a = sum(p << k for k, (p, _) in enumerate(rows))
    b = sum(q << k for k, (_, q) in enumerate(rows))
    return [(a + b) >> k & 1 for k in range(len(rows))]


def parity(rows: Rows) -> list[int]:
    return [sum(x for (x,) in rows[: t + 1]) % 2 for t in range(len(rows))]


def parity_last3(rows: Rows) -> list[int]:
    return [sum(x for (x,) in rows[max(0, t - 2) : t + 1]) % 2 for t in range(len(rows))]


def dot(rows: Rows) -> list[int]:
    return [sum(p * q for p, q in rows[: t + 1]) % 2 for t in range(len(rows))]


def division(rows: Rows) -> list[int]:
    number = int("".join(str(x) for (x,) in rows), 2)
    return [int(b) for b in format(number // 3, f"0{len(rows)}b")]


def balanced(rows: Rows) -> list[int]:
    found = []
    for t in range(len(rows)):
        text = "".join("()"[x] for (x,) in rows[: t + 1])
        while "()" in text:
            text = text.replace("()", "")
        found.append(int(text == ""))
    return found


REFERENCES: dict[str, Callable[[Rows], list[int]]] = {
    "Binary_Addition": addition,
    "Parity_All": parity,
    "Parity_Last3": parity_last3,
    "Bit_Dot_Prod_Mod2": dot,
    "Div_3": division,
    "Balanced_Parenthesis": balanced,
}


@pytest.mark.parametrize("chosen", TASKS, ids=lambda t: t.name)
def test_targets_are_what_the_benchmark_defines(chosen: Task) -> None:
    x = chosen.sequences(300, seed=5)
    y = chosen.target(x)
    assert y.shape == (300, 10, 1)
    for rows, wanted in zip(x.tolist(), y[:, :, 0].tolist()):
        assert REFERENCES[chosen.name]([tuple(row) for row in rows]) == wanted


def test_the_same_seed_gives_the_same_data() -> None:
    one, other = task("Div_3").data(50, seed=1), task("Div_3").data(50, seed=1)
    assert (one[0] == other[0]).all()
    assert (one[0] != task("Div_3").data(50, seed=2)[0]).any()


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
