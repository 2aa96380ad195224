"""One layer's hidden units as they are read: what each reads of every part, of the constant and of the beginning of
the sequence. Also which units are ever on, which matters where the stream was projected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.parts import Bools, Floats, Part


class UnreadError(Exception):
    """A group of units that is no operation; the message goes on after "units 3-5 of mlp0"."""


@dataclass
class HiddenLayer:
    """The readings of all units of one layer."""

    layer: int
    parts: list[Part]
    rows: Floats  # W_out
    into: Floats  # length of a unit's input weights
    one: Floats
    bos: Floats
    readings: list[Floats]  # per part [codes, units]
    touched: Bools  # [part, unit]

    @property
    def half(self) -> int:
        return 2 * self.layer + 1

    def read_by(self, units: Sequence[int]) -> list[int]:
        found: list[int] = np.flatnonzero(self.touched[:, list(units)].any(1)).tolist()
        return found


def ever_on(c: Circuits, f: HiddenLayer) -> Bools:
    """Units that are on for some input; with projected weights, others are about codes that do not occur."""
    if not c.loose:
        return np.ones(len(f.one), dtype=bool)
    rows = c.simulation.together(range(len(f.parts)))
    before = np.broadcast_to(f.one, (len(rows), len(f.one))).copy()
    for k, (part, reading) in enumerate(zip(f.parts, f.readings)):
        if part.encoding == "categorical":
            codes = rows[:, k].astype(np.intp)
            before += np.where(codes[:, None] >= 0, reading[codes], 0)
        else:
            before += rows[:, k, None] * reading
    numeric = np.array([p.encoding == "numerical" for p in f.parts])
    least = np.where(f.touched[numeric].any(0), 1e-3 * f.into, 0.3)
    on: Bools = before.max(0) > least
    return on


def inputs_of(part: Part) -> Sequence[Any]:
    """What a table of the part runs over: codes, or the values of a number."""
    if part.encoding == "categorical":
        return range(part.size)
    return part.values or (0.0,)


def numbers_of(part: Part) -> tuple[float, ...] | None:
    """The values of a number; None of codes."""
    return None if part.encoding == "categorical" else tuple(float(v) for v in part.values or (0.0,))


def nothing(f: HiddenLayer) -> int:
    """Adds a direction that nothing writes, the number 0, to the parts; its index."""
    f.parts.append(Part("Nothing", "numerical", -1, np.zeros((1, f.rows.shape[1])), values=(0.0,)))
    return len(f.parts) - 1
