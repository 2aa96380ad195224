"""A number as a direction that units write: its sign, its unit of length, and its digits as they were before float32
and projection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.hidden_layer import HiddenLayer, numbers_of
from engine.rasp.decompiling.parts import Floats, Part
from engine.rasp.value_sets import ValueSet


def axis_of(c: Circuits, rows: Floats, half: int) -> Floats:
    """The direction in which a number is written, of length 1. Its sign: the one that values and logits read as
    positive, else that of the basis, else of most that is written."""
    lengths = np.linalg.norm(rows, axis=1)
    axis: Floats = rows[int(lengths.argmax())] / lengths.max()
    logits = axis @ c.unembed
    sign = 0.0
    if np.abs(logits).max() > 0.1:
        sign = float(np.sign(logits[np.abs(logits).argmax()]))
    for layer in range((half + 2) // 2, c.n_layers):
        if sign:
            break
        for head in range(c.n_heads):
            carried = axis @ c.v[layer][head]
            if len(carried) and np.abs(carried).max() > 0.1:
                sign = float(np.sign(carried[np.abs(carried).argmax()]))
    if not sign:
        largest = int(np.abs(axis).argmax())
        aligned = abs(abs(axis[largest]) - 1) < 1e-4
        sign = float(np.sign(axis[largest])) if aligned else float(np.sign((rows @ axis).sum()) or 1)
    return axis * sign


def number_map(
    f: HiddenLayer, reads: tuple[int, ...], units: Sequence[int], axis: Floats, amounts: Floats, c: Circuits
) -> Part:
    """A map to a number: `amounts` [inputs of reads[0]] along `axis` [d_model]; nan where the input does not occur."""
    if c.loose:
        axis, amounts = _scaled(axis, amounts)
    part = Part(
        "Map",
        "numerical",
        f.half,
        axis[None],
        reads,
        numbers=snapped(amounts, 0.03 if c.loose else 1e-4),
        inputs=numbers_of(f.parts[reads[0]]),
        layer=f.layer,
        units=tuple(units),
    )
    assert part.numbers is not None
    if c.loose and f.parts[reads[0]].kind != "Nothing":
        c.simulation.extend(f.parts)
        counts = c.simulation.occurrences(part, [len(amounts)])
        part.numbers = np.where(counts > 0, part.numbers, np.nan)
    part.values = ValueSet.of(v for v in part.numbers.tolist() if v == v).values
    return part


def _scaled(axis: Floats, amounts: Floats) -> tuple[Floats, Floats]:
    """The number in a unit in which it is whole or half, if there is one: a projection may have changed its length."""
    sizes = np.abs(amounts)
    some = sizes[sizes > 0.05]
    for unit in (1.0, *(some.min() * k for k in (1, 2, 1 / 2, 1 / 3) if len(some))):
        scaled = amounts / unit
        if np.abs(scaled - np.round(2 * scaled) / 2).max() < 0.05:
            return axis * unit, scaled
    return axis, amounts


def snapped(x: Floats, close: float = 1e-4) -> Floats:
    """Numbers as they were before float32 rounded them: whole numbers and halves exactly, the rest to 7 digits."""
    halves = np.round(2 * x) / 2
    near = np.abs(x - halves) < close
    digits = np.array([float(f"{v:.6g}") for v in x.tolist()])
    found: Floats = np.where(near, halves, digits) + 0.0
    return found
