"""The paper's search over architectures: its space, its order, the points it visits (section 2.3).

A tuple is (d_g, d_f, n, w_g, w_f); its index is the mixed-radix number with those digits, most significant first. From
index 65,536 the search goes up by a factor of 2^(1/4) until something succeeds, then bisects down. Different tuples may
be one network, as a width means nothing at depth 1; each network is tried once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

RADICES = (3, 3, 128, 256, 256)  # d_g, d_f, n, w_g, w_f
SIZE = math.prod(RADICES)
FIRST = 65_536


class Network(NamedTuple):
    """Hidden numbers and the widths of the hidden layers of f and g: what two tuples may have in common."""

    hidden: int
    f: tuple[int, ...] = ()
    g: tuple[int, ...] = ()


class Sweep(NamedTuple):
    """How far a search is: the next network to try, or none; and the smallest one known to succeed, in the end."""

    untried: Network | None
    found: Network | None


def digits(index: int) -> tuple[int, ...]:
    """(d_g, d_f, n, w_g, w_f) of an index, each from 1."""
    found: list[int] = []
    for radix in reversed(RADICES):
        index, digit = divmod(index, radix)
        found.insert(0, digit + 1)
    return tuple(found)


def network(index: int) -> Network:
    d_g, d_f, n, w_g, w_f = digits(index)
    return Network(n, (w_f,) * (d_f - 1), (w_g,) * (d_g - 1))


def upward() -> Iterator[int]:
    """The indices of the sweep upwards; an index whose network is that of the one before is among them."""
    index = FIRST
    while index <= 2 * SIZE:
        yield min(index, SIZE - 1)
        index = math.floor(index * 2**0.25)


def sweep(outcomes: Mapping[Network, bool]) -> Sweep:
    """Where the search stands, given what is known of the networks that were tried. It asks for one at a time."""
    for index in upward():
        tried = network(index)
        if tried not in outcomes:
            return Sweep(tried, None)
        if outcomes[tried]:
            return _bisect(index // 2, index, outcomes)
    return Sweep(None, None)


def _bisect(fails: int, succeeds: int, outcomes: Mapping[Network, bool]) -> Sweep:
    """Between an index that is taken to fail and one that succeeded."""
    while succeeds - fails > 1:
        middle = (fails + succeeds) // 2
        tried = network(middle)
        if tried not in outcomes:
            return Sweep(tried, None)
        if outcomes[tried]:
            succeeds = middle
        else:
            fails = middle
    return Sweep(None, network(succeeds))
