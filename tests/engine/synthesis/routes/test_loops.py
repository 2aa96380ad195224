"""Each route against functions whose right answer is known: it finds a loop that agrees on sequences it never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.synthesis.domain import Domain
from engine.synthesis.programs.evaluator import evaluate
from engine.synthesis.routes.behaviour import Behaviour
from engine.synthesis.routes.candidate import Candidate, Refused
from engine.synthesis.routes.counts import count_loops
from engine.synthesis.routes.registers import register_loops
from engine.synthesis.routes.windows import input_loops, memory, output_loops
from tests.engine.synthesis.routes.behaving import Function, behaviour_of, lagged, stepwise


def spring(state: tuple[int, int], x: int) -> tuple[tuple[int, int], list[int]]:
    speed = state[0] + x - state[1]
    return (speed, state[1] + speed), [state[1] + speed]


def most_frequent(counts: tuple[int, ...], x: int) -> tuple[tuple[int, ...], list[int]]:
    after = tuple(c + (v == x) for v, c in enumerate(counts))
    return after, [after.index(max(after))]


def magnetic(s: tuple[int, ...], a: int, b: int) -> tuple[tuple[int, ...], list[int]]:
    vx, vy, px, py = s
    vx, vy = vx + a - vy, vy + b + vx
    return (vx, vy, px + vx, py + vy), [px + vx, py + vy]


def palindrome(read: tuple[int, ...], x: int) -> tuple[tuple[int, ...], list[int]]:
    after = (*read, x)
    return after, [int(after == after[::-1])]


BITS, DIGITS, HUNDRED, SIGNED = Domain(1, 0, 1, 10), Domain(1, 0, 9, 10), Domain(1, 0, 99, 10), Domain(1, -100, 99, 10)

WINDOWS: dict[str, tuple[Function, Domain]] = {
    "the last three summed": (lambda x: x + lagged(x, 1) + lagged(x, 2), HUNDRED),
    "five back": (lambda x: lagged(x, 5), Domain(1, 0, 99, 20)),
    "the current one": (lambda x: x, HUNDRED),
    "the difference": (lambda x: x - lagged(x, 1), SIGNED),
    "the distance": (lambda x: np.abs(x - lagged(x, 1)), SIGNED),
    "equal neighbours": (lambda x: (x == lagged(x, 1)).astype(np.int64), Domain(1, 0, 7, 10)),
    "parity of three": (lambda x: (x + lagged(x, 1) + lagged(x, 2)) % 2, BITS),
    "and": (lambda x: x.min(axis=2, keepdims=True), Domain(2, 0, 1, 10)),
    "running sum": (lambda x: np.cumsum(x, axis=1), HUNDRED),
    "largest": (lambda x: np.maximum.accumulate(x, axis=1), HUNDRED),
    "smallest": (lambda x: np.minimum.accumulate(x, axis=1), DIGITS),
    "evens": (lambda x: np.cumsum(x % 2 == 0, axis=1).astype(np.int64), DIGITS),
    "sum mod 7": (lambda x: np.cumsum(x, axis=1) % 7, Domain(1, 0, 6, 10)),
    "a clock": (lambda x: (np.cumsum(np.ones_like(x), axis=1) + 1) % 2, BITS),
    "a spring": (stepwise(spring, (0, 0)), Domain(1, -10, 10, 10)),
    "a magnetic field": (stepwise(magnetic, (0, 0, 0, 0)), Domain(2, -10, 10, 10)),
}


def only(found: list[Candidate | Refused]) -> Candidate:
    programs = [one for one in found if isinstance(one, Candidate)]
    assert programs, found
    return min(programs, key=lambda one: one.rank)


def held(found: Candidate, function: Function, domain: Domain) -> None:
    """The text, run by the evaluator on longer sequences than any that was looked at."""
    x = Domain(domain.inputs, domain.low, domain.high, domain.length + 7).sample(400, np.random.default_rng(99))
    np.testing.assert_array_equal(evaluate(found.source, x), function(x))


@pytest.mark.parametrize("name", WINDOWS)
def test_last_inputs_and_outputs(name: str) -> None:
    function, domain = WINDOWS[name]
    outputs = 2 if name == "a magnetic field" else 1
    behaviour = behaviour_of(function, domain, outputs)
    found = only([*input_loops(behaviour, np.random.default_rng(1)), *output_loops(behaviour)])
    held(found, function, domain)


def test_how_far_a_network_looks_back_is_asked() -> None:
    rng = np.random.default_rng(2)
    for back in (0, 1, 4):
        behaviour = behaviour_of(lambda x, back=back: lagged(x, back) ^ x, BITS)
        assert memory(behaviour, rng) == back
    assert memory(behaviour_of(lambda x: np.cumsum(x, axis=1) % 2, BITS), rng) is None


@pytest.mark.parametrize("values", [2, 3, 4])
def test_counts_of_the_most_frequent_value(values: int) -> None:
    domain = Domain(1, 0, values - 1, 10)
    function = stepwise(most_frequent, (0,) * values)
    found = only(list(count_loops(behaviour_of(function, domain), np.random.default_rng(3))))
    held(found, function, domain)


def test_order_that_matters_is_not_counted() -> None:
    (refused,) = count_loops(behaviour_of(lambda x: lagged(x, 1), BITS), np.random.default_rng(4))
    assert isinstance(refused, Refused)
    assert "order" in refused.reason


REGISTERS: dict[str, tuple[Function, Domain]] = {
    "dithering": (stepwise(lambda e, x: ((e + x) % 15, [(e + x) // 15]), 0), Domain(1, 0, 15, 10)),
    "palindromes": (stepwise(palindrome, ()), BITS),
}


@pytest.mark.parametrize("name", ["palindromes", pytest.param("dithering", marks=pytest.mark.slow)])
def test_registers(name: str) -> None:
    function, domain = REGISTERS[name]
    found = only(list(register_loops(behaviour_of(function, domain), np.random.default_rng(5))))
    held(found, function, domain)


@pytest.mark.slow
def test_noise_has_no_program() -> None:
    """A network whose outputs follow no rule: every route says so."""
    table: Any = np.random.default_rng(6).integers(0, 2, 2**11)

    def hashed(x: Any) -> Any:
        number = np.zeros(len(x), dtype=np.int64) + 1
        outputs = []
        for t in range(x.shape[1]):
            number = number * 2 + x[:, t, 0]
            outputs.append(table[number % 2**11])
        return np.stack(outputs, axis=1)[:, :, None]

    behaviour: Behaviour = behaviour_of(hashed, BITS)
    rng = np.random.default_rng(7)
    found = [
        *input_loops(behaviour, rng),
        *output_loops(behaviour),
        *count_loops(behaviour, rng),
        *register_loops(behaviour, rng),
    ]
    assert all(isinstance(one, Refused) for one in found)
