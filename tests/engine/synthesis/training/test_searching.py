"""A search in stages: what is given up, when it ends, and that it can be put away and taken up anywhere."""

from __future__ import annotations

from typing import Any

import pytest

from engine.synthesis.tasks.benchmark import task
from engine.synthesis.training.architectures import Network
from engine.synthesis.training.arm import Setting
from engine.synthesis.training.batched import Recipe
from engine.synthesis.training.portfolio import Entry, Stage
from engine.synthesis.training.searching import Search, in_order
from sessions.packing import pack, unpack

RECIPE = Recipe(750, lr=5e-3)
STAGES = [
    Stage((Entry(Network(1), RECIPE._replace(steps=250, curriculum=False)),), (250,)),
    Stage(
        tuple(Entry(Network(n, (width,)), RECIPE) for n, width in ((1, 2), (1, 3), (2, 4))), (250, 500, 750), thin=True
    ),
]


def nothing() -> None:
    pass


def started(seed: int = 0) -> Search:
    return Search(Setting(task("Parity_Last3"), 4, 32, seed, finish=250), in_order(STAGES))


def told(search: Search) -> list[Any]:
    closest = search.nearest
    assert closest is not None
    return [
        search.tried(),
        search.outcomes,
        closest.row,
        {name: w.tolist() for name, w in closest.weights.items()},
        search.best is None,
    ]


@pytest.fixture(scope="module")
def whole() -> Search:
    search = started()
    while not search.over:
        search.advance(nothing)
    return search


def test_half_of_the_architectures_and_of_the_networks_is_given_up(whole: Search) -> None:
    """Three bits' parity takes more than 750 steps of 32 sequences, so that no network ends it early."""
    assert whole.best is None
    assert whole.outcomes == {
        Network(1): False,
        Network(1, (2,)): False,
        Network(1, (3,)): False,
        Network(2, (4,)): False,
    }
    steps = {network: points[-1].step for network, points, _ in whole.tried()}
    assert steps.pop(Network(1)) == 250
    assert sorted(steps.values()) == [250, 500, 750]  # three, then two, then one
    for network, _, rows in whole.tried():
        if network.f:
            counts = sorted(row.steps for row in rows)
            assert counts == {250: [250] * 4, 500: [250, 250, 500, 500], 750: [250, 250, 750, 750]}[counts[-1]]
    done, planned = whole.steps
    assert done == planned == 250 + 250 + 500 + 750


@pytest.mark.parametrize("cut", [17, 48])
def test_put_away_and_taken_up_it_ends_in_the_same_numbers(whole: Search, cut: int) -> None:
    search = started()
    for _ in range(cut):
        search.advance(nothing)
    assert not search.over
    saved = unpack(pack(search.state()))
    again = started()
    again.restore(saved)
    while not again.over:
        again.advance(nothing)
    assert told(again) == told(whole)


def test_a_search_ends_with_the_stage_that_has_an_exact_network() -> None:
    search = Search(Setting(task("Bitwise_Not"), 3, 64, 0), in_order(STAGES))
    while not search.over:
        search.advance(nothing)
    assert search.outcomes == {Network(1): True}
    assert search.best is not None
    assert search.best.judged is not None
    assert search.best.judged.exact
    assert search.best.row.exact
