"""The search of the paper against the facts known of it."""

from __future__ import annotations

from itertools import groupby

from engine.synthesis.training.architectures import FIRST, SIZE, Network, digits, network, sweep, upward


def visited() -> list[tuple[int, ...]]:
    """The points of the upward sweep, without those whose network is that of the one before at the very end."""
    return [digits(index) for index in dict.fromkeys(upward())]


def test_the_space_and_where_the_search_starts() -> None:
    assert SIZE == 75_497_472
    assert digits(FIRST) == (1, 1, 2, 1, 1)
    assert digits(SIZE - 1) == (3, 3, 128, 256, 256)
    assert digits(0) == (1, 1, 1, 1, 1)
    assert sorted(digits(i) for i in (0, 1, 256, 65_536, FIRST * 128)) == [
        digits(i) for i in (0, 1, 256, 65_536, FIRST * 128)
    ]


def test_the_upward_sweep_is_the_papers() -> None:
    points = visited()
    assert len(points) == 42
    affine = [n for d_g, d_f, n, *_ in points if (d_g, d_f) == (1, 1)]
    assert affine[:18] == [2, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20]
    assert affine[-1] == 128
    assert [n for d_g, d_f, n, *_ in points if (d_g, d_f) == (1, 2)] == [25, 54, 88, 128]
    assert [n for d_g, d_f, n, *_ in points if (d_g, d_f) == (1, 3)] == [49, 107]
    assert [point[:3] for point in points if point[0] > 1] == [
        (2, 1, 47), (2, 1, 128), (2, 2, 97), (2, 3, 85), (3, 1, 94), (3, 2, 128), (3, 3, 128)
    ]  # fmt: skip


def asked(smallest: Network, order: list[Network]) -> tuple[list[Network], Network | None]:
    """The networks tried when those from `smallest` on, in `order`, succeed; and what is found."""
    outcomes: dict[Network, bool] = {}
    while (state := sweep(outcomes)).untried is not None:
        assert state.untried not in outcomes
        outcomes[state.untried] = order.index(state.untried) >= order.index(smallest)
    return list(outcomes), state.found


def test_bisection_ends_at_the_smallest_success_and_tries_each_network_once() -> None:
    order = [network(n * FIRST) for n in range(128)]
    tried, found = asked(Network(1), order)
    assert tried == [Network(2), Network(1)]
    assert found == Network(1)
    tried, found = asked(Network(9), order)
    assert [key for key, _ in groupby(tried)] == tried
    assert found == Network(9)
    assert tried[:7] == [Network(n) for n in (2, 3, 4, 5, 6, 7, 8)]


def test_bisection_among_widths() -> None:
    """f of depth 2 with n = 25: success from width 100 on; smaller n all fail."""
    outcomes: dict[Network, bool] = {}
    while (state := sweep(outcomes)).untried is not None:
        tried = state.untried
        outcomes[tried] = len(tried.f) == 1 and (tried.hidden > 20 or (tried.hidden == 20 and tried.f[0] >= 100))
    assert state.found == Network(20, (100,))


def test_nothing_found() -> None:
    outcomes: dict[Network, bool] = {}
    while (state := sweep(outcomes)).untried is not None:
        outcomes[state.untried] = False
    assert state.found is None
    assert len(outcomes) == 42 - 6  # n = 2, 3 and 4 come several times
