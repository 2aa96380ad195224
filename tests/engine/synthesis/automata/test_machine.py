"""Clusters and machines: against machines known beforehand, brute force over words, and the benchmark's sizes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.synthesis.automata.machine import UNKNOWN, Mealy, build, isomorphic, minimise, reachable, run
from engine.synthesis.automata.states import Explored, cluster, consistent, explore
from engine.synthesis.domain import Domain
from engine.synthesis.tasks.benchmark import task
from sessions.errors import IwbError
from tests.engine.synthesis.conftest import MachineNetwork, bundled, machine_of, random_machine

BITS = ((0,), (1,))


def words(machine: Mealy, length: int) -> np.ndarray:
    return np.array(list(product(machine.symbols, repeat=length)))


def distinguishable_states(machine: Mealy) -> int:
    """Myhill-Nerode by brute force: reachable states told apart by some word shorter than the number of states."""
    machine = reachable(machine)
    x = words(machine, max(machine.states, 1))
    seen = set()
    for start in range(machine.states):
        order = [start, *(s for s in range(machine.states) if s != start)]
        place = np.argsort(order)
        moved = Mealy(machine.symbols, place[machine.next][order], machine.output[order])
        seen.add(run(moved, x)[1].tobytes())
    return len(seen)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), states=st.integers(1, 6))
def test_minimising_keeps_the_behaviour_and_leaves_only_distinguishable_states(seed: int, states: int) -> None:
    machine = random_machine(np.random.default_rng(seed), states)
    small = minimise(machine)
    assert small.states == distinguishable_states(machine)
    x = words(machine, 8)
    assert (run(machine, x)[1] == run(small, x)[1]).all()
    assert isomorphic(small, minimise(small))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), states=st.integers(2, 7))
def test_a_partial_machine_keeps_every_known_path(seed: int, states: int) -> None:
    rng = np.random.default_rng(seed)
    whole = random_machine(rng, states)
    partial = Mealy(whole.symbols, np.where(rng.random(whole.next.shape) < 0.3, UNKNOWN, whole.next), whole.output)
    small = minimise(partial)
    assert small.states <= reachable(partial).states
    x = words(whole, 7)
    before, after = run(partial, x)[1], run(small, x)[1]
    known = before != -1
    assert (before[known] == after[known]).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), states=st.integers(1, 6))
def test_renaming_states_is_an_isomorphism_and_changing_an_output_is_not(seed: int, states: int) -> None:
    rng = np.random.default_rng(seed)
    machine = random_machine(rng, states)
    order = np.concatenate([[0], 1 + rng.permutation(states - 1)]).astype(np.int64)
    place = np.argsort(order)
    assert isomorphic(machine, Mealy(machine.symbols, place[machine.next][order], machine.output[order]))
    changed = machine.output.copy()
    changed[0, 0] = 1 - changed[0, 0]
    assert not isomorphic(machine, Mealy(machine.symbols, machine.next, changed))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), states=st.integers(1, 5))
def test_the_machine_inside_a_network_is_found_again(seed: int, states: int) -> None:
    machine = random_machine(np.random.default_rng(seed), states)
    model = MachineNetwork(machine, seed)
    explored = explore(model, machine.symbols, 7)
    clusters = cluster(explored)
    found, _ = build(model, machine.symbols, explored, clusters)
    small = minimise(found)
    x = words(machine, 7)
    assert (run(small, x)[1] == run(machine, x)[1]).all()
    assert clusters.label[0] == 0
    if small.complete:
        assert isomorphic(small, minimise(machine))


@pytest.mark.parametrize(
    ("name", "states"),
    [("Binary_Addition", 2), ("Parity_All", 2), ("Parity_Last3", 4), ("Bit_Dot_Prod_Mod2", 2), ("Div_3", 3)],
)
def test_bundled_networks_hold_the_smallest_machine_there_is(name: str, states: int) -> None:
    model = bundled(name)
    domain = Domain(model.inputs, 0, 1, 10)
    explored = explore(model, domain.alphabet(), 10)
    assert explored.whole
    machine, _ = build(model, domain.alphabet(), explored, cluster(explored))
    small = minimise(machine)
    assert small.complete
    assert small.states == states
    for x in domain.chunks(2**17):
        assert (run(small, x)[1] == task(name).target(x)).all()


def test_division_is_the_machine_of_long_division() -> None:
    model = bundled("Div_3")
    explored = explore(model, BITS, 10)
    machine, _ = build(model, BITS, explored, cluster(explored))
    by_hand = machine_of(lambda r, x: ((2 * r + x[0]) % 3, (2 * r + x[0]) // 3), 3, BITS)
    assert isomorphic(minimise(machine), by_hand)


def test_balanced_parenthesis_is_a_counter_to_the_length_and_says_no_more() -> None:
    model = bundled("Balanced_Parenthesis")
    explored = explore(model, BITS, 10)
    machine, asked = build(model, BITS, explored, cluster(explored))
    small = minimise(machine)
    assert not small.complete
    assert len(asked) > 0
    assert small.states == 12  # depths 0 to 10, and the one that is never left
    x = Domain(1, 0, 1, 10).numbered(np.arange(1024))
    assert (run(small, x)[1] == task("Balanced_Parenthesis").target(x)).all()


def made_up(hidden: list[list[float]], successor: list[list[int]], outputs: list[list[int]]) -> Explored:
    return Explored(
        np.array(hidden, dtype=np.float32),
        np.arange(len(hidden)),
        np.array(successor),
        np.array(outputs)[:, :, None],
        np.array([row[0] >= 0 for row in successor]),
        True,
    )


def test_a_clustering_that_two_futures_contradict_is_refined() -> None:
    # Points 0 and 1 lie close together, but only from point 1 does the output become 1.
    explored = made_up([[0.0], [0.1], [5.0]], [[1], [2], [2]], [[0], [1], [0]])
    assert not consistent(explored, np.array([0, 0, 1]))
    clusters = cluster(explored, tolerance=1.0)
    assert len(set(clusters.label.tolist())) == 3
    assert clusters.split == 1
    assert consistent(explored, clusters.label)


def test_states_without_end_are_refused_in_a_sentence() -> None:
    count = 60
    explored = made_up(
        [[float(k)] for k in range(count)],
        [[k + 1] for k in range(count - 1)] + [[-1]],
        [[int(k % 7 == k // 7)] for k in range(count)],
    )
    with pytest.raises(IwbError, match="at most 8"):
        cluster(explored, most=8)


def test_a_large_domain_is_walked_in_part_and_says_so() -> None:
    model = bundled("Parity_All")
    explored = explore(model, BITS, 12, most=40, rng=np.random.default_rng(0))
    assert not explored.whole
    machine, _ = build(model, BITS, explored, cluster(explored))
    assert minimise(machine).states == 2
