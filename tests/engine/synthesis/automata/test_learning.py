"""Machines learned by asking, against machines known beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.synthesis.automata.learning import by_asking
from engine.synthesis.automata.machine import Mealy, build, isomorphic, minimise
from engine.synthesis.automata.states import explore
from tests.engine.synthesis.conftest import MachineNetwork, bundled, machine_of, random_machine


class Drifting(MachineNetwork):
    """A machine's network that never comes back: each step turns the place of every state further."""

    def __init__(self, machine: Mealy) -> None:
        super().__init__(machine)
        self.inner, self.hidden = self.hidden, self.hidden + 1
        self.asked = 0

    def step(self, h: Tensor, x: Tensor) -> Tensor:
        self.asked += len(h)
        after = super().step(self._still(h), x)
        time = h[:, -1:] + 1
        return torch.cat([after + 100 * time, time], dim=1)

    def readout(self, h: Tensor) -> Tensor:
        return super().readout(self._still(h))

    def _still(self, h: Tensor) -> Tensor:
        return h[:, :-1] - 100 * h[:, -1:]


def learned(network: MachineNetwork, length: int, most: int = 256, sample: int = 2_000_000) -> Mealy | None:
    symbols = network.machine.symbols
    explored = explore(network, symbols, length, most=sample, rng=np.random.default_rng(0))
    clusters = by_asking(network, symbols, explored, most)
    if clusters is None:
        return None
    machine, asked = build(network, symbols, explored, clusters)
    assert len(asked) == 0
    assert machine.complete
    return machine


@pytest.mark.parametrize("seed", range(12))
def test_a_machine_whose_states_drift_is_learned_as_its_smallest(seed: int) -> None:
    machine = random_machine(np.random.default_rng(seed), 2 + seed, symbols=2 + seed % 2)
    found = learned(Drifting(machine), 9 if seed % 2 == 0 else 8)
    assert found is not None
    smallest = minimise(machine)
    assert found.states == smallest.states
    assert isomorphic(found, smallest)


@pytest.mark.parametrize(
    ("step", "states", "symbols"),
    [
        (lambda s, x: ((s + x[0]) % 7, int((s + x[0]) % 7 == 0)), 7, tuple((k,) for k in range(3))),  # told late
        (lambda s, x: ((2 * s + x[0]) % 5, (2 * s + x[0]) // 5), 5, ((0,), (1,))),
        (
            lambda s, x: ((x[0] + x[1] + s) // 6, (x[0] + x[1] + s) % 6),
            2,
            tuple((p, q) for p in range(6) for q in range(6)),
        ),
    ],
    ids=["multiples of 7", "division by 5", "addition in base 6"],
)
def test_of_a_tree_that_was_followed_in_part_the_machine_is_the_same(
    step: Callable[[int, tuple[int, ...]], tuple[int, int]], states: int, symbols: tuple[tuple[int, ...], ...]
) -> None:
    machine = machine_of(step, states, symbols)
    found = learned(Drifting(machine), 8, sample=8_000)
    assert found is not None
    assert isomorphic(found, minimise(machine))


def test_every_output_that_was_seen_is_the_machines() -> None:
    model = bundled("Parity_Last3")
    explored = explore(model, ((0,), (1,)), model.length)
    clusters = by_asking(model, ((0,), (1,)), explored)
    assert clusters is not None
    assert len(clusters.representative) == 4
    known = explored.known
    for label in range(4):
        mine = known & (clusters.label == label)
        assert (explored.outputs[mine] == explored.outputs[clusters.representative[label]]).all()
        led = clusters.label[explored.successor[mine]]
        assert (led == led[0]).all()


class Palindromes:
    """Remembers all bits, as the digits of one number, and says whether they read the same backwards."""

    handle, task, hidden, inputs, outputs, low, high, length = None, "", 1, 1, 1, 0, 1, 10

    def step(self, h: Tensor, x: Tensor) -> Tensor:
        return torch.where(h == 0, 2.0 + x, 2 * h + x)  # a leading 1 keeps zeros apart

    def readout(self, h: Tensor) -> Tensor:
        written = [f"{int(v):b}"[1:] for v in h[:, 0]]
        return torch.tensor([[float(bits == bits[::-1])] for bits in written])


def test_what_has_no_end_is_no_machine() -> None:
    model, symbols = Palindromes(), ((0,), (1,))
    assert by_asking(model, symbols, explore(model, symbols, 10), most=40) is None  # type: ignore[arg-type]
    assert learned(Drifting(random_machine(np.random.default_rng(3), 60, symbols=3)), 6, most=20) is None
    counter = machine_of(lambda s, x: (min(s + x[0], 39), int(s + x[0] == 11)), 40, symbols)
    assert learned(Drifting(counter), 12, most=8) is None


def test_few_questions_are_enough() -> None:
    machine = machine_of(lambda s, x: ((s + x[0]) % 5, (s + x[0]) % 5), 5, tuple((k,) for k in range(5)))
    network = Drifting(machine)
    symbols = machine.symbols
    explored = explore(network, symbols, 6, most=20_000, rng=np.random.default_rng(0))
    network.asked = 0
    assert by_asking(network, symbols, explored) is not None
    assert network.asked <= 5 * 5 * (1 + 5) + 5 * 5 + 5 * 5 * 5  # states, symbols, and words of one symbol
